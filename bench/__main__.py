"""`make bench`: every figure of the README, written to bench/RESULTS.md with the machine and the commands."""

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
    "bench.store": "Store",
    "bench.relay": "Media",
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


def run(module: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", module], cwd=HERE.parent, capture_output=True, text=True, check=False, timeout=1200
    )
    if done.returncode != 0:
        raise SystemExit(f"{module} failed:\n{done.stderr[-3000:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def table(figures: list[dict[str, Any]]) -> list[str]:
    lines = ["| work | value | runs | note |", "| --- | --- | --- | --- |"]
    for figure in figures:
        runs = ", ".join(f"{value:.3g}" for value in figure["runs"])
        lines.append(f"| {figure['name']} | {figure['value']:.3g} {figure['unit']} | {runs} | {figure['note']} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(PARTS), help="modules to run, all by default")
    parts = parser.parse_args().parts
    lines = [
        "# Measured figures",
        "",
        "Written by `make bench`. CPU is that of the measured process, not of the generator; loopback, shipped",
        "configuration. The machine is shared and noisy: compare figures of one run.",
        "",
        f"{processor()}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}, "
        f"commit {commit()}.",
    ]
    for module in parts:
        print(f"{module} …", flush=True)
        figures = run(module)
        lines += ["", f"## {PARTS.get(module, module)}", "", f"`python -m {module}`", "", *table(figures)]
    (HERE / "RESULTS.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
