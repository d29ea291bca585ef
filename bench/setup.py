"""Time that the daemon adds to a call's set-up, at fixed rates; with --full the highest rate that one core sustains.

From the INVITE with credentials to its 200, less what the same two phones take straight to each other at that rate
(without digest, which the timed INVITE has behind it). A rate is sustained when in a run no call failed, less than
0.1 % of the messages were retransmitted and the p99 added is at most 20 ms.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from bench.rig import load
from bench.rig.figures import Figure, evidence, median
from bench.signalling import at_rest, started, target_of

RATES = (100, 400)
SECONDS = 5.0
MESSAGES = 13  # of a call, at the caller's and the callee's
ADDED_MS, REPEATED = 20.0, 0.001


class Bench:
    """The daemon on its core and one phone that answers; `straight` has no daemon between."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.server = started(directory / "server")
        self.callee = load.Callee(directory, target_of(self.server))

    def through(self, rate: float, seconds: float = SECONDS) -> load.Load:
        target, count = target_of(self.server), int(rate * seconds)
        return load.calls(
            self.directory, target, self.callee, rate=rate, count=count, settle=lambda: at_rest(self.server)
        )

    def straight(self, rate: float, seconds: float = SECONDS) -> load.Load:
        return load.calls(self.directory, load.nothing(), self.callee, rate=rate, count=int(rate * seconds))

    def close(self) -> None:
        self.callee.close()
        self.server.close()


def added(bench: Bench, rate: int, runs: int) -> list[Figure]:
    """p50 and p99, in turns with the direct path."""
    pairs = [(bench.through(rate), bench.straight(rate)) for _ in range(runs)]
    loads = [through for through, _ in pairs]
    failed, repeated = sum(one.failed for one in loads), sum(one.retransmitted for one in loads)
    proof = evidence([one.proof for pair in pairs for one in pair])
    figures = []
    for part in (0.5, 0.99):
        direct = statistics.median(straight.percentile(part) for _, straight in pairs)
        figures.append(
            median(
                f"call set-up added at {rate}/s, p{part * 100:.0f}",
                "ms",
                [through.percentile(part) - straight.percentile(part) for through, straight in pairs],
                f"straight {direct:.2f} ms; failed {failed}, retransmitted {repeated}; {proof}",
            )
        )
    return figures


def verdict(bench: Bench, rate: float) -> str:
    """Why that rate is not sustained, or nothing."""
    done, straight = bench.through(rate, 8), bench.straight(rate, 3)
    extra = done.percentile(0.99) - straight.percentile(0.99)
    if done.proof.faults():
        return f"INVALID: {', '.join(done.proof.faults())}"
    if done.failed:
        return f"{done.failed} calls failed"
    if done.retransmitted > REPEATED * MESSAGES * done.successful:
        return f"{done.retransmitted} retransmissions"
    return f"p99 added {extra:.1f} ms" if extra > ADDED_MS else ""


def sustained(bench: Bench) -> Figure:
    """Steps of a quarter up to the first rate that fails twice, then halves the last step until it is 5 %."""
    good, bad, why = 0.0, 0.0, ""
    rate = 200.0
    while not bad or bad - good > 0.05 * bad:
        reason = verdict(bench, rate) and verdict(bench, rate)
        if reason:
            bad, why = rate, reason
        else:
            good = rate
        rate = good * 1.25 if not bad else (good + bad) / 2
        if bad <= 50 and bad:
            break
    note = f"not {bad:.0f}/s: {why}; 0 failed, < 0.1 % retransmitted, p99 added ≤ {ADDED_MS:.0f} ms, runs of 8 s"
    return Figure("sustained B2BUA rate on one core", "calls/s", round(good), [round(good)], note)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--full", action="store_true", help="search the sustained rate")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="voipat-bench-") as directory:
        bench = Bench(Path(directory))
        try:
            bench.through(50, 2)
            for rate in RATES:
                for figure in added(bench, rate, options.runs):
                    figure.print()
            if options.full:
                sustained(bench).print()
        finally:
            bench.close()


if __name__ == "__main__":
    main()
