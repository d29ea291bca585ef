"""Calls set up by sipp on both sides, media by a stamping generator: what voipat loses is counted end to end."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.rig import ladders, media, sipp
from bench.rig.processes import free_port, wait_until
from bench.rig.server import Server
from tests.interop.test_sipp import register

CALLER_PORT = 30000  # under the ephemeral range
CALLEE_PORT = 31000


@pytest.mark.slow
def test_two_hundred_calls_lose_no_packet(tmp_path: Path, server: Server, soak: bool) -> None:
    count, seconds = (200, 30) if soak else (100, 6)
    contact = free_port()
    register(tmp_path, server, "1002", contact)
    ports = [[CALLEE_PORT + 2 * index] for index in range(count)]
    callee = sipp.Sipp(tmp_path, "answer_ports", target=server.address, port=contact, rows=ports, trace=True)
    rows = [["1001", sipp.credentials("1001"), "1002", CALLER_PORT + 2 * index] for index in range(count)]
    caller = sipp.Sipp(
        tmp_path,
        "call",
        target=server.address,
        port=free_port(),
        rows=rows,
        calls=count,
        rate=50,
        hold_ms=(seconds + 12) * 1000,
        trace=True,
    )
    try:
        wait_until(lambda: server.stats()["calls_answered"] == count, 20, "all calls are up")
        pairs = [
            (local, target)
            for side in (caller, callee)
            for local, _, target in ladders.media_pairs(tmp_path / f"{side.stem}.messages").values()
        ]
        assert len(pairs) == 2 * count
        result = media.run_phones(pairs, seconds)
        assert caller.wait(60) == 0
    finally:
        caller.close()
        callee.close()
    assert result["sent"] >= 2 * count * 50 * (seconds - 1)
    assert result["lost"] == 0
    assert server.stats()["ports"] == 0
