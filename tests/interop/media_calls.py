"""Calls by sipp on both sides, and where the media of each side goes: what a stamping generator is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.rig import ladders, sipp
from bench.rig.processes import free_port, wait_until
from bench.rig.server import Server
from tests.interop.test_sipp import register

CALLER_PORT = 30000  # under the ephemeral range
CALLEE_PORT = 31000


@dataclass(frozen=True)
class MediaCalls:
    """Calls that are up; `streams` are the (local port, target port) of each side."""

    caller: sipp.Sipp
    callee: sipp.Sipp
    streams: list[tuple[int, int]]

    def close(self) -> None:
        self.caller.close()
        self.callee.close()


@contextmanager
def calls_with_media(
    directory: Path, server: Server, count: int, *, hold_ms: int, called: str = "1002"
) -> Iterator[MediaCalls]:
    """`count` answered calls of 1001 to `called`, while no others come."""
    contact = free_port()
    register(directory, server, called, contact)
    ports = [[CALLEE_PORT + 2 * index] for index in range(count)]
    rows = [["1001", sipp.credentials("1001"), called, CALLER_PORT + 2 * index] for index in range(count)]
    callee = sipp.Sipp(directory, "answer_ports", target=server.address, port=contact, rows=ports, trace=True)
    caller = sipp.Sipp(
        directory, "call", target=server.address, port=free_port(), rows=rows, calls=count, rate=50, hold_ms=hold_ms,
        trace=True,
    )  # fmt: skip
    calls = MediaCalls(caller, callee, [])
    try:
        wait_until(lambda: server.stats()["calls_answered"] == count, 20, "all calls are up")
        for side in (caller, callee):
            pairs = ladders.media_pairs(directory / f"{side.stem}.messages").values()
            calls.streams.extend((local, target) for local, _, target in pairs)
        assert len(calls.streams) == 2 * count
        yield calls
    finally:
        calls.close()
