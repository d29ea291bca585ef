"""voipat and another server under the same load in turns (A B A B): `python -m bench.peers [SCENARIO] [--peer PEER]`.

Server on one core, generator on the other. CPU is user and system time of the server's process tree. A run in which the
generator was the limit is made once more; when that one is no better the figure is marked INVALID.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence

from bench.peers.base import Contender
from bench.peers.pairs import SCENARIOS, Scenario, Trial
from bench.rig.figures import evidence, median, missing
from bench.rig.processes import PeerMissing

# A server that did not come up, a port that was taken, a load that did not end.
FAILURES = (AssertionError, OSError, subprocess.SubprocessError)


def once(scenario: Scenario, make: Callable[[], Contender]) -> Trial:
    """A trial; a second one when the first does not count or did not get to its end."""
    try:
        trial = scenario.trial(make)
    except FAILURES:
        time.sleep(2)
        return scenario.trial(make)
    return scenario.trial(make) if trial.proof.faults() else trial


def in_turns(scenario: Scenario, peer: str, rounds: int) -> tuple[list[Trial], list[Trial]]:
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(once(scenario, scenario.ours))
        theirs.append(once(scenario, scenario.peers[peer]))
    return ours, theirs


def report_one(scenario: Scenario, version: str, trials: Sequence[Trial]) -> None:
    failed, repeated = sum(trial.failed for trial in trials), sum(trial.retransmitted for trial in trials)
    note = f"failed or lost {failed}, retransmitted {repeated}; {evidence([trial.proof for trial in trials])}"
    median(f"{version}: {scenario.title}", scenario.unit, [trial.cost for trial in trials], note).print()
    for key in trials[0].beside:
        what, _, unit = key.rpartition("/")
        median(f"{version}: {what}", unit, [trial.beside[key] for trial in trials], "").print()


def compare(scenario: Scenario, peer: str, rounds: int) -> None:
    """Prints the figures of both and their ratio, whoever wins."""
    try:
        versions = scenario.ours().version(), scenario.peers[peer]().version()
    except PeerMissing as error:
        missing(f"voipat / {peer}: {scenario.title}", f"not measured: {error}").print()
        return
    try:
        ours, theirs = in_turns(scenario, peer, rounds)
    except FAILURES as error:
        missing(f"voipat / {peer}: {scenario.title}", f"not measured, failed twice: {error}").print()
        return
    report_one(scenario, versions[0], ours)
    report_one(scenario, versions[1], theirs)
    costs = [[trial.cost for trial in trials] for trials in (ours, theirs)]
    pairs = [mine / other for mine, other in zip(*costs, strict=True)]
    ratio = statistics.median(pairs)
    counts = not any(trial.proof.faults() for trial in (*ours, *theirs))
    verdict = "voipat costs less" if ratio < 1 else f"{peer} costs less"
    note = f"{verdict}; {scenario.remark}" if counts else f"INVALID: see the runs above; {scenario.remark}"
    median(f"voipat / {peer}: {scenario.title}", "×", pairs, note).print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", nargs="?", choices=list(SCENARIOS), help="default: all")
    parser.add_argument("--peer", help="default: every peer of the scenario")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    chosen = [SCENARIOS[options.scenario]] if options.scenario else list(SCENARIOS.values())
    pairs = [(scenario, peer) for scenario in chosen for peer in scenario.peers if options.peer in (None, peer)]
    if not pairs:
        known = "; ".join(f"{scenario.name}: {', '.join(scenario.peers)}" for scenario in chosen)
        parser.error(f"nothing to run with {options.peer}. Peers: {known}")
    for scenario, peer in pairs:
        compare(scenario, peer, options.rounds)


if __name__ == "__main__":
    main()
