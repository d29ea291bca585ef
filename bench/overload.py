"""Goodput of B2BUA calls at the sustainable rate and at a multiple of it (S19): digest, media anchored, CDR written.

Goodput is calls that came up and ended well, per second of the load. Overload control refuses new calls with 503 and
Retry-After; sipp counts those as failed and does not call again, as a phone would.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench.rig import load
from bench.rig.figures import Figure
from bench.signalling import at_rest, started, target_of


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=250)
    parser.add_argument("--factor", type=float, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="voipat-bench-") as directory:
        for figure in measure(Path(directory), rate=options.rate, factor=options.factor, seconds=options.seconds):
            figure.print()


if __name__ == "__main__":
    main()
