"""`make bench`: every cell of the speed tables, written to bench/RESULTS.md with the machine and the commands.

With SCENARIO or PEER only these scenarios of `bench/cells/cells.toml` are run and printed, and nothing is written.
FULL=1 searches their knees as well. What fails is reported with its reason, and the rest goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from bench.cells.catalogue import Scenario, scenarios
from bench.report import Outcome, machine, report, table
from bench.rig import usage
from bench.rig.figures import Figure

HERE = Path(__file__).resolve().parent
LONGEST_S, LONGEST_FULL_S = 400, 1800


def run(scenario: Scenario, arguments: list[str], longest_s: float) -> Outcome:
    """In a process group of its own, so that what it started ends with it."""
    command, begun = [sys.executable, "-m", "bench.cells", scenario.name, *arguments], time.monotonic()
    with subprocess.Popen(
        command, cwd=HERE.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as child:
        try:
            output, errors = child.communicate(timeout=longest_s)
            fault = "" if child.returncode == 0 else (errors.strip().splitlines() or ["no reason given"])[-1]
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            output, _ = child.communicate()
            fault = f"not over within {longest_s:.0f} s"
    figures = [Figure(**json.loads(line)) for line in output.splitlines() if line.startswith("{")]
    return Outcome(" ".join(["python", *command[1:]]), figures, fault, time.monotonic() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default="", help="one scenario, or several with commas between")
    parser.add_argument("--peer", default="", help="only beside this one")
    parser.add_argument("--full", action="store_true", help="search the knees as well")
    parser.add_argument("--rounds", type=int, help="fewer or more than the scenarios say")
    parser.add_argument("--seconds", type=float, help="of each load")
    parser.add_argument("--output", type=Path, default=HERE / "RESULTS.md")
    options = parser.parse_args()
    known = scenarios()
    named = [name for name in options.scenario.split(",") if name]
    if unknown := set(named) - set(known):
        parser.error(f"no scenario {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    chosen = [known[name] for name in named] if named else _with_peer(known, options.peer)
    arguments = [f"--{key}={getattr(options, key)}" for key in ("peer", "rounds", "seconds") if getattr(options, key)]
    arguments += ["--full"] if options.full else []
    begun, outcomes, (stolen, passed) = time.monotonic(), {}, usage.stolen_seconds()
    for scenario in chosen:
        print(f"{scenario.name}: {scenario.title} …", flush=True)
        outcomes[scenario.name] = run(scenario, arguments, LONGEST_FULL_S if options.full else LONGEST_S)
        print(f"{outcomes[scenario.name].seconds:.0f} s", flush=True)
        print("\n".join([outcomes[scenario.name].fault, *table(outcomes[scenario.name].figures), ""]), flush=True)
    if named or options.peer:
        print(machine())
    else:
        later, now = usage.stolen_seconds()
        share = (later - stolen) / max(now - passed, 1e-9)
        options.output.write_text(report(known, outcomes, (time.monotonic() - begun) / 60, share))
        print(f"written: {options.output}, {(time.monotonic() - begun) / 60:.1f} minutes")
        subprocess.run([sys.executable, "tools/docs.py"], cwd=HERE.parent, check=True)  # README quotes it
    failed = [name for name, outcome in outcomes.items() if outcome.fault]
    raise SystemExit(f"failed: {', '.join(failed)}" if failed else 0)


def _with_peer(known: dict[str, Scenario], peer: str) -> list[Scenario]:
    return [one for one in known.values() if not peer or any(name.startswith(peer) for name in one.peers)]


if __name__ == "__main__":
    main()
