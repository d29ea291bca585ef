"""One run of sipp as an open-loop load, on the generator's core, with the proof that it was not the limit."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.rig import usage
from bench.rig.extensions import CALLEE, EXTENSIONS, users
from bench.rig.processes import free_port
from bench.rig.sipp import Sipp, credentials

CONTACT_PORT = 6000  # nobody is there: bindings that are never called


@dataclass(frozen=True, slots=True)
class Load:
    """What a run did: units of work, the server's CPU over them, the generator's proof."""

    successful: int
    failed: int
    retransmitted: int
    cpu_s: float
    proof: usage.Proof
    setup_ms: tuple[float, ...] = ()

    def cost(self) -> float:
        """Server CPU seconds per unit that succeeded."""
        return self.cpu_s / max(self.successful, 1)

    def percentile(self, part: float) -> float:
        """Of the set-up times in milliseconds, by rank."""
        ordered = sorted(self.setup_ms)
        return ordered[min(int(len(ordered) * part), len(ordered) - 1)] if ordered else float("inf")


@dataclass(frozen=True, slots=True)
class Target:
    """A server under load: where it is, and how its CPU and the drops of its sockets are read."""

    address: str
    cpu_seconds: Callable[[], float]
    kernel_drops: Callable[[], int]


def nothing() -> Target:
    """No server: the generator's two halves talk to each other."""
    return Target("", lambda: 0.0, lambda: 0)


def moment(text: str) -> float:
    """Seconds of sipp's "DATE<tab>TIME<tab>SECONDS.MICROSECONDS"."""
    return float(text.split("\t")[-1])


def punctuality(statistics: Path, rate: float, count: int) -> float:
    """Units started over units due, when the last line before the end was written."""
    with statistics.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    begun = [(moment(row["CurrentTime"]) - moment(row["StartTime"]), int(row["OutgoingCall(C)"])) for row in rows]
    during = [(at, started) for at, started in begun if at > 0.9 and started < count]
    if not during:  # over within a second: the whole of it is what there is
        return 1.0
    at, started = during[-1]
    return started / (at * rate)


def setup_times(log: Path) -> tuple[float, ...]:
    """Milliseconds from the last new INVITE of a call (the one with credentials) to its 200, out of -trace_shortmsg.

    Microseconds fine; sipp's own response times have the 4 ms of the kernel's coarse clock.
    """
    sent: dict[tuple[str, str], float] = {}
    found = []
    for line in log.read_text(errors="replace").splitlines():
        fields = line.split("\t")
        if len(fields) < 7 or not fields[5].endswith(" INVITE"):
            continue
        key, at = (fields[4], fields[5]), float(fields[2])
        if fields[3] == "S" and fields[6].startswith("INVITE"):
            sent.setdefault(key, at)
        elif fields[3] == "R" and fields[6].startswith("SIP/2.0 200") and key in sent:
            found.append((at - sent.pop(key)) * 1e3)
    return tuple(found)


def drive(
    directory: Path,
    scenario: str,
    *,
    target: Target,
    rows: list[list[str | int]],
    rate: float,
    count: int,
    hold_ms: int = 200,
    answering: Sipp | None = None,
    answering_port: int = 0,
    settle: Callable[[], object] = lambda: None,
    timed: bool = False,
    port: int = 0,
    extra: Sequence[str] = (),
    host: str = "127.0.0.1",
) -> Load:
    """`count` units at `rate` a second whatever becomes of them; `settle` waits until the server is at rest again.

    `timed` reads the set-up times of calls, at the price of a line of log for each message. They come from `host`, and
    from its `port` where one is named.
    """
    address = target.address or f"127.0.0.1:{answering_port}"
    port, before, server_drops = port or free_port(), target.cpu_seconds(), target.kernel_drops()
    log = directory / f"setup-{port}.log"
    log_times = ["-trace_shortmsg", "-shortmessage_file", str(log)] if timed else []
    with usage.pinned(usage.cores()[1]):
        load = Sipp(
            directory,
            scenario,
            target=address,
            port=port,
            rows=rows,
            rate=rate,
            calls=count,
            hold_ms=hold_ms,
            limit=20_000,
            extra=["-buff_size", "4194304", *log_times, *extra],
            host=host,
        )
    pids = [load.process.pid] + ([answering.process.pid] if answering else [])
    watch = usage.Watch(pids, [port] + ([answering_port] if answering else []))
    try:
        load.wait(count / rate + 60)
    finally:
        share = watch.end()
        load.close()
    settle()
    proof = usage.Proof(
        share, punctuality(load.statistics, rate, count), watch.drops, target.kernel_drops() - server_drops
    )
    return Load(
        load.successful(),
        load.failed(),
        load.retransmissions(),
        target.cpu_seconds() - before,
        proof,
        setup_times(log) if timed else (),
    )


def register_rows() -> list[list[str | int]]:
    return [[user, credentials(user), CONTACT_PORT] for user in users(EXTENSIONS)]


def register(directory: Path, target: Target, *, rate: float, count: int) -> Load:
    """Digest REGISTER (401 + 200), 5,000 AORs in turn."""
    return drive(directory, "register", target=target, rows=register_rows(), rate=rate, count=count)


class Callee:
    """A phone that answers at once, on the generator's core, registered."""

    def __init__(self, directory: Path, target: Target) -> None:
        self.port = free_port()
        self.user = CALLEE
        with usage.pinned(usage.cores()[1]):
            self.sipp = Sipp(
                directory,
                "answer",
                target=target.address or "127.0.0.1:5060",
                port=self.port,
                limit=20_000,
                extra=["-buff_size", "4194304"],
            )
        if target.address:
            rows: list[list[str | int]] = [[self.user, credentials(self.user), self.port]]
            done = drive(directory, "register", target=target, rows=rows, rate=10, count=1)
            assert done.successful == 1, "the callee's REGISTER failed"

    def close(self) -> None:
        self.sipp.close()


def callers_of(number: str, count: int, *, media_from: int = 6000, step: int = 0) -> list[list[str | int]]:
    """What sipp calls a number with: so many users of ours, each with its password and its media port."""
    return [[user, credentials(user), number, media_from + step * i] for i, user in enumerate(users(count))]


def callers(count: int, callee: Callee) -> list[list[str | int]]:
    """The same to this phone."""
    return callers_of(callee.user, count)


def calls(
    directory: Path,
    target: Target,
    callee: Callee,
    *,
    rate: float,
    count: int,
    hold_ms: int = 200,
    settle: Callable[[], object] = lambda: None,
    scenario: str = "call",
    number: str = "",
    port: int = 0,
    host: str = "127.0.0.1",
) -> Load:
    """Digest INVITE, 180, 200, ACK, BYE to one phone; without a server straight to it and without digest.

    `number` is what is dialled, where that is not the phone's own; `port` is the callers'.
    """
    return drive(
        directory,
        scenario if target.address else "call_open",
        target=target,
        rows=callers_of(number or callee.user, 200),
        rate=rate,
        count=count,
        hold_ms=hold_ms,
        answering=callee.sipp,
        answering_port=callee.port,
        settle=settle,
        timed=True,
        port=port,
        host=host,
    )
