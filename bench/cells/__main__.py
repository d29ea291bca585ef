"""The scenarios of `cells.toml`: `python -m bench.cells [SCENARIO …] [--peer PEER]`, one JSON object a line.

Server on one core, generator on the other. CPU is user and system time of the server's process tree. A run in which the
generator was the limit is made once more; when that one is no better the figure is marked INVALID.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys

from bench.cells.catalogue import Scenario, scenarios
from bench.cells.compare import knees, measure
from bench.peers.registry import CONTENDERS
from bench.rig.figures import missing


def run(scenario: Scenario, options: argparse.Namespace) -> None:
    if scenario.absent:
        missing(scenario.title, f"not measured: {scenario.absent}").print()
        return
    if scenario.module:
        subprocess.run([sys.executable, "-m", scenario.module], check=True)
        return
    for figure in measure(scenario, options.peer, options.rounds or scenario.rounds, options.seconds):
        figure.print()
    if options.full:
        for figure in knees(scenario, options.seconds):
            figure.print()


def check_peer(peer: str, chosen: list[Scenario], parser: argparse.ArgumentParser) -> list[Scenario]:
    """Those of the scenarios that have it."""
    if not peer:
        return chosen
    having = [one for one in chosen if peer in {*one.peers, *(CONTENDERS[name].name for name in one.peers)}]
    if not having:
        known = "; ".join(f"{one.name}: {', '.join(one.peers) or 'none'}" for one in chosen)
        parser.error(f"nothing to run with {peer}. Peers: {known}")
    return having


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", nargs="*", choices=[*scenarios(), []], help="default: all")
    parser.add_argument("--peer", default="", help="default: every peer of the scenario")
    parser.add_argument("--rounds", type=int, help="default: what the scenario says")
    parser.add_argument("--seconds", type=float, help="of each load; default: what the scenario says")
    parser.add_argument("--full", action="store_true", help="search our knees as well")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    chosen = [scenarios()[name] for name in options.scenario] or list(scenarios().values())
    for scenario in check_peer(options.peer, chosen, parser):
        run(scenario, options)


if __name__ == "__main__":
    main()
