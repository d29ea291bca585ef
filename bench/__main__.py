"""`make bench`: every figure of the README, written to bench/RESULTS.md with the machine and the commands.

With SCENARIO or PEER only those pairs of `bench.peers` are run and printed, and nothing is written. FULL=1 also
searches the knees.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# command → title; each prints one JSON object a line: name, unit, value, runs, note
PARTS = {
    "bench.message": "SIP messages",
    "bench.signalling": "Signalling",
    "bench.setup": "Call set-up",
    "bench.tls": "TLS",
    "bench.store": "Store",
    "bench.relay": "Media",
    "bench.play": "Prompts",
    "bench.peers": "Other servers, in turns",
}


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def run(module: str, *arguments: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, check=False, timeout=1800)
    if done.returncode != 0:
        raise RuntimeError(f"{module} failed:\n{done.stderr[-3000:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def number(value: float) -> str:
    """Three digits that count, without an exponent."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def table(figures: list[dict[str, Any]]) -> list[str]:
    lines = ["| work | value | runs | note |", "| --- | --- | --- | --- |"]
    for figure in figures:
        runs = ", ".join(map(number, figure["runs"]))
        value = "–" if figure["value"] is None else f"{number(figure['value'])} {figure['unit']}"
        lines.append(f"| {figure['name']} | {value} | {runs} | {figure['note']} |")
    return lines


def machine() -> str:
    return (
        f"{processor()}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}, "
        f"commit {commit()}."
    )


def pairs(scenario: str, peer: str) -> None:
    """Only what was asked for, to the terminal."""
    arguments = [part for part in (scenario, peer and f"--peer={peer}") if part]
    figures = run("bench.peers", *arguments)
    print("\n".join([machine(), "", *table(figures)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=list(PARTS), help="modules to run, all by default")
    parser.add_argument("--scenario", default="", help="one scenario of bench.peers")
    parser.add_argument("--peer", default="", help="one peer of bench.peers")
    parser.add_argument("--full", action="store_true", help="search the knees as well")
    options = parser.parse_args()
    if options.scenario or options.peer:
        pairs(options.scenario, options.peer)
        return
    lines = [
        "# Measured figures",
        "",
        "Written by `make bench`. CPU is that of the measured process, not of the generator; loopback, shipped",
        "configuration, server on one core and generator on the other. The machine is shared and noisy: compare",
        "figures of one run. A figure marked INVALID was limited by its generator.",
        "",
        machine(),
    ]
    failed: list[str] = []
    for module in options.parts:
        print(f"{module} …", flush=True)
        arguments = ["--full"] if options.full and module == "bench.setup" else []
        try:
            figures = run(module, *arguments)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            failed.append(module)
            figures = []
            print(error, file=sys.stderr)
        command = " ".join(["python -m", module, *arguments])
        lines += [
            "",
            f"## {PARTS.get(module, module)}",
            "",
            f"`{command}`",
            "",
            *(table(figures) if figures else ["FAILED: no figures."]),
        ]
    (HERE / "RESULTS.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
