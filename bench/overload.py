"""Goodput of B2BUA calls at the sustainable rate and at a multiple of it (S19): digest, media anchored, CDR written.

Goodput is calls that came up and ended well, per second of the load. Overload control refuses new calls with 503 and
Retry-After; sipp counts those as failed and does not call again, as a phone would.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Final

from bench.rig import load
from bench.rig.figures import Figure
from bench.signalling import at_rest, started, target_of

# How much of a core calls may take so that all of them succeed, and at what rate one learns what a call costs.
SUSTAINED_SHARE: Final = 0.6
LIGHT_RATE: Final = 40.0
LIGHT_SECONDS: Final = 5.0


def goodput(one: load.Load, seconds: float) -> float:
    """Calls per second that succeeded."""
    return one.successful / seconds


def note(one: load.Load) -> str:
    """What became of the others, and whether the generator kept up."""
    return f"failed {one.failed}, retransmitted {one.retransmitted}; {one.proof.text()}"


def measure(directory: Path, *, rate: float, factor: float, seconds: float) -> list[Figure]:
    """Goodput at `rate`, at `factor` times it, and their ratio."""
    server = started(directory / "server")
    try:
        target = target_of(server)
        callee = load.Callee(directory, target)
        try:
            loads = [
                load.calls(
                    directory, target, callee, rate=each, count=int(each * seconds), settle=lambda: at_rest(server)
                )
                for each in (rate, rate * factor)
            ]
        finally:
            callee.close()
        stats = server.stats()
    finally:
        server.close()
    peak, over = (goodput(one, seconds) for one in loads)
    shed = {name: count for name, count in stats.items() if name.startswith("app_overload")}
    return [
        Figure(f"goodput at {rate:g} calls/s", "calls/s", peak, [peak], note(loads[0])),
        Figure(f"goodput at {rate * factor:g} calls/s", "calls/s", over, [over], f"{note(loads[1])}; shed {shed}"),
        Figure("goodput under overload / at the sustainable rate", "×", over / peak, [over / peak], ""),
    ]


def measure_by_cpu(directory: Path, *, factor: float, seconds: float) -> list[Figure]:
    """The same on a machine that others use too: what a call costs, and the calls that a second of its CPU still makes.

    The sustainable rate is that of `SUSTAINED_SHARE` of a core; the load is `factor` times the one of a whole core's.
    """
    server = started(directory / "server")
    try:
        target = target_of(server)
        callee = load.Callee(directory, target)
        try:

            def run(rate: float, count: float) -> load.Load:
                return load.calls(
                    directory, target, callee, rate=rate, count=int(count), settle=lambda: at_rest(server)
                )

            light = run(LIGHT_RATE, LIGHT_RATE * LIGHT_SECONDS)
            sustainable = SUSTAINED_SHARE / light.cost()
            over = run(factor * sustainable, factor * sustainable * seconds)
        finally:
            callee.close()
        stats = server.stats()
    finally:
        server.close()
    ratio = over.successful / over.cpu_s / sustainable
    shed = {name: count for name, count in stats.items() if name.startswith("app_overload")}
    return [
        Figure("a call costs", "ms of CPU", light.cost() * 1000, [light.cost() * 1000], note(light)),
        Figure("offered", "calls/s", factor * sustainable, [factor * sustainable], f"{note(over)}; shed {shed}"),
        Figure("goodput per CPU second / at the sustainable rate", "×", ratio, [ratio], ""),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=250)
    parser.add_argument("--factor", type=float, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--by-cpu", action="store_true", help="per second of CPU, for a machine that others use too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="voipat-bench-") as directory:
        where, factor, seconds = Path(directory), options.factor, options.seconds
        if options.by_cpu:
            figures = measure_by_cpu(where, factor=factor, seconds=seconds)
        else:
            figures = measure(where, rate=options.rate, factor=factor, seconds=seconds)
        for figure in figures:
            figure.print()


if __name__ == "__main__":
    main()
