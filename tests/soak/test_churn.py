"""Calls that come and go with media: memory, descriptors, ports and dialogs return to where they were."""

from __future__ import annotations

import os
from pathlib import Path

from bench.rig import sipp
from bench.rig.processes import free_port, wait_until
from bench.rig.server import Server
from tests.interop.test_sipp import call_rows, register


def descriptors(server: Server) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def churn(directory: Path, server: Server, contact: int, rate: int, seconds: float) -> int:
    """Answered, busy and refused calls beside each other; how many were answered."""
    answered = int(rate * seconds)
    callee = sipp.Sipp(directory, "answer", target=server.address, port=contact)
    others = [
        sipp.Sipp(
            directory,
            scenario,
            target=server.address,
            port=free_port(),
            calls=max(1, int(seconds * 5)),
            rate=5,
            rows=call_rows(number, caller="1004"),
        )
        for scenario, number in (("expect_404", "7777"), ("expect_480", "1007"))
    ]
    try:
        sipp.run(
            directory,
            "call",
            target=server.address,
            port=free_port(),
            calls=answered,
            rate=rate,
            hold_ms=1500,
            rows=call_rows("1002"),
            timeout=seconds + 60,
        )
        assert [other.wait(60) for other in others] == [0, 0]
    finally:
        for process in (callee, *others):
            process.close()
    return answered


def at_rest(server: Server) -> int:
    """Waits until nothing of the calls is left; resident kB then.

    Transactions of ended calls live up to 32 s (timers B, D, H, J, M) and are not a leak.
    """
    stats = wait_until(
        lambda: found if (found := server.stats())["transactions"] == found["dialogs"] == 0 else None,
        40,
        "no transaction and no dialog is left",
    )
    assert (stats["calls"], stats["ports"]) == (0, 0)
    return server.resident_kb()


def test_memory_ports_and_descriptors_stay_flat_under_churn(tmp_path: Path, soak: bool) -> None:
    # A busy machine must not make the server shed calls: they all have to be answered.
    rounds, rate, seconds = (12, 40, 120.0) if soak else (1, 15, 8.0)
    # The flight recorder keeps some 17 kB of each of its latest calls, up to 64 MB: growth that is meant.
    server = Server(tmp_path / "server", **{"server.trace": "false"})
    try:
        contact = free_port()
        register(tmp_path, server, "1002", contact)
        churn(tmp_path, server, contact, rate, seconds)  # as large a peak as the later ones: the allocator keeps it
        resident, opened = at_rest(server), descriptors(server)
        answered = sum(churn(tmp_path, server, contact, rate, seconds) for _ in range(rounds))
        grown = at_rest(server) - resident
        assert descriptors(server) <= opened + 2
        # What the collector looks at only in a quiet moment may still be there.
        assert grown < 12288 + answered * 0.05, f"{grown} kB more after {answered} calls"
    finally:
        server.close()
