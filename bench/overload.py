"""Goodput of B2BUA calls at the sustainable rate and at multiples of it (S19): digest, media anchored, CDR written.

Goodput is calls that came up and ended well. Overload control refuses new calls with 503 and Retry-After; sipp counts
those as failed and does not call again, as a phone would.

The machine may be used by others too, so the unit is the server's own CPU: the sustainable rate is where calls take
`SUSTAINED_SHARE` of a core and none fails, found by loads that grow, and the goodput of a run is the calls that succeed
in a second of a core: those offered, or those that a second of CPU made, whichever is less. During the last run some
calls are up since before, and must not notice; some others send RTP to the echo, which must come back in time. After
each run it is measured how long anything is refused. A run in which the generator was late, or others had the server's
core while it wanted it, says INVALID and why.

The server is pinned to one core, so that its threads (event loop, store, media) wait for one another: that is its own
work and no disturbance. What others took of its wish to run is at the most what they had of that core.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.rig import load, usage
from bench.rig.echoes import NUMBER, Echoes
from bench.rig.figures import Figure
from bench.rig.processes import free_port, wait_until
from bench.rig.server import Server
from bench.rig.sipp import Sipp
from bench.signalling import started, target_of

STANDING: Final = 20
ECHOES: Final = 5
# How much of a core calls may take so that all of them succeed, and how one comes there: what a call costs on a core
# that is hardly used says little, it is half as much on a busy one.
SUSTAINED_SHARE: Final = 0.6
FIRST_RATE: Final = 60.0
STEP: Final = 1.4
LEARN_SECONDS: Final = 5.0
# Calls whose BYE was lost are repeated for 32 s (64*T1), on a busy machine they start late besides.
REST_S: Final = 90.0
# Who has no core when it is its turn is late, and sheds calls that it could have served.
MOST_DISTURBED: Final = 0.1


@dataclass(frozen=True, slots=True)
class Run:
    """One load: `factor` times the sustainable rate."""

    factor: float
    rate: float
    load: load.Load
    seconds: float
    # How long the server's threads were ready and did not run, and how long others had its core.
    waited_s: float
    others_s: float
    # From the end of the load until nothing was refused any more.
    recovered_s: float = 0.0

    @property
    def goodput(self) -> float:
        """Calls per second of a core."""
        offered = self.rate * min(self.load.proof.punctual, 1.0)
        return min(offered, self.load.successful / self.load.cpu_s) if self.load.cpu_s else 0.0

    @property
    def disturbed(self) -> float:
        """The part of the time that others may have kept the server waiting."""
        return min(self.waited_s, self.others_s) / self.seconds

    def faults(self) -> list[str]:
        """Why the run does not count."""
        found = self.load.proof.faults()
        if self.disturbed > MOST_DISTURBED:
            found.append(f"others had the server's core {self.disturbed:.0%} of the time while it waited")
        if self.factor <= 1 and self.load.failed:
            found.append(f"{self.load.failed} calls failed at the sustainable rate")
        return found

    def note(self) -> str:
        """What became of the other calls, what the server was given, and whether the generator kept up."""
        one, faults = self.load, self.faults()
        proof = f"INVALID: {', '.join(faults)}" if faults else one.proof.text()
        return (
            f"offered {self.rate:.0f}/s, succeeded {one.successful}, failed {one.failed}, "
            f"retransmitted {one.retransmitted}; server {one.cpu_s / self.seconds:.0%} of its core, its threads waited "
            f"{self.waited_s / self.seconds:.0%}, others had {self.others_s / self.seconds:.0%}, "
            f"{one.cost() * 1e3:.2f} ms a good call; back to normal after {self.recovered_s:.1f} s; {proof}"
        )


@dataclass(frozen=True, slots=True)
class Result:
    """All runs of one measurement."""

    sustained: load.Load
    runs: list[Run]
    # How many of `STANDING` calls that were up during the last run ended as they should.
    undisturbed: int
    # What the phones at the echo saw meanwhile: milliseconds more than the median that 99 % of the packets took.
    jitter_ms: float
    lost: int
    # What the daemon took more after the last run than before the first.
    grown_kb: int
    shed: dict[str, int]

    def ratio(self, run: Run) -> float:
        """Goodput of a run over that of the best."""
        return run.goodput / max(each.goodput for each in self.runs)

    def faults(self) -> list[str]:
        """Why the whole does not count; empty when it does."""
        first = [f"{self.sustained.failed} calls failed at {FIRST_RATE:g}/s"] if self.sustained.failed else []
        return first + [f"{run.factor:g} ×: {fault}" for run in self.runs for fault in run.faults()]

    def figures(self) -> list[Figure]:
        """What is printed."""
        cost, faults = self.sustained.cost() * 1e3, self.faults()
        last = self.runs[-1]
        verdict = f"INVALID: {'; '.join(faults)}" if faults else f"valid; shed {self.shed}"
        return [
            Figure("a call costs", "ms of CPU", round(cost, 3), [cost], f"failed {self.sustained.failed}"),
            *(
                Figure(f"goodput of a core at {run.factor:g} ×", "calls/s", round(run.goodput, 1), [], run.note())
                for run in self.runs
            ),
            Figure(f"of {STANDING} calls up at {last.factor:g} ×, undisturbed", "", self.undisturbed, [], ""),
            Figure(
                "memory that the runs left", "MB", round(self.grown_kb / 1024, 1), [], "transactions of 32 s included"
            ),
            Figure(f"jitter of RTP at {last.factor:g} ×, p99", "ms", round(self.jitter_ms, 1), [], f"lost {self.lost}"),
            Figure(f"goodput at {last.factor:g} × / peak", "×", round(self.ratio(last), 3), [], verdict),
        ]


def measure(directory: Path, *, factors: Sequence[float] = (1, 2, 3), seconds: float = 10) -> Result:
    """Load after load on one server, each when it is at rest again."""
    server, core = started(directory / "server", "[tenant.features]", f'echo = "{NUMBER}"'), usage.cores()[0]
    try:
        target = target_of(server)
        callee = load.Callee(directory, target)
        try:

            def run(factor: float, rate: float, length: float, up: int = 0) -> Run:
                marks, recovered = [_mark(server, core)], [0.0]

                def settle() -> None:
                    marks.append(_mark(server, core))
                    recovered.append(_rest(server, up))

                done = load.calls(directory, target, callee, rate=rate, count=int(rate * length), settle=settle)
                (waited, others), (waited_after, others_after) = marks
                others = max(others_after - others, 0.0)
                return Run(factor, rate, done, length, waited_after - waited, others, recovered[-1])

            before_kb = server.resident_kb()
            sustained, sustainable = _learn(lambda rate: run(1.0, rate, LEARN_SECONDS).load)
            runs = [run(each, each * sustainable, seconds) for each in factors[:-1]]
            with (
                _standing(server, directory, callee, seconds) as standing,
                Echoes(server.port, ECHOES, seconds) as echoes,
            ):
                runs.append(run(factors[-1], factors[-1] * sustainable, seconds, STANDING + ECHOES))
                heard = echoes.heard()
            undisturbed, grown_kb = standing.successful(), server.resident_kb() - before_kb
        finally:
            callee.close()
        stats = server.stats()
    finally:
        server.close()
    shed = {name: count for name, count in stats.items() if name.startswith("app_overload")}
    jitter_ms = (heard["latency_us"]["p99"] - heard["latency_us"]["p50"]) / 1e3
    return Result(sustained, runs, undisturbed, jitter_ms, heard["lost"], grown_kb, shed)


def _mark(server: Server, core: int) -> tuple[float, float]:
    """How long the server's threads have waited so far, and how long others have had its core."""
    return usage.waited_seconds(server.process.pid), usage.core_busy_seconds(core) - server.cpu_seconds()


def _learn(run: Callable[[float], load.Load]) -> tuple[load.Load, float]:
    """The load that takes `SUSTAINED_SHARE` of a core, or the last before one in which calls fail; and its rate."""
    rate, good = FIRST_RATE, run(FIRST_RATE)
    while not good.failed and good.cpu_s < SUSTAINED_SHARE * LEARN_SECONDS:
        tried = run(rate * STEP)
        if tried.failed:
            break
        rate, good = rate * STEP, tried
    return good, rate


@contextmanager
def _standing(server: Server, directory: Path, callee: load.Callee, seconds: float) -> Iterator[Sipp]:
    """Calls that are up before the load comes and hang up when it is over."""
    before = server.stats()["calls_answered"]
    with usage.pinned(usage.cores()[1]):
        calls = Sipp(
            directory,
            "call",
            target=server.address,
            port=free_port(),
            rows=load.callers(STANDING, callee),
            rate=10,
            calls=STANDING,
            hold_ms=int((seconds + STANDING / 10 + 5) * 1000),
        )
    try:
        wait_until(lambda: server.stats()["calls_answered"] == before + STANDING, 30, "the standing calls are up")
        yield calls
        calls.wait(REST_S)
    finally:
        calls.close()


def _rest(server: Server, up: int) -> float:
    """Nothing is shed, and no call but `up` others is there any more; the seconds until the former."""
    begun = time.monotonic()
    wait_until(lambda: server.stats()["overload_shed"] == 0, REST_S, "overload is over")
    recovered = time.monotonic() - begun
    wait_until(lambda: server.stats()["calls"] <= up, REST_S, "calls end")
    return recovered


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--factors", type=float, nargs="+", default=[1, 2, 3])
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="voipat-bench-") as directory:
        for figure in measure(Path(directory), factors=options.factors, seconds=options.seconds).figures():
            figure.print()


if __name__ == "__main__":
    main()
