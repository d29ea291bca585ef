"""kill -9 with answered calls up: none is lost, and each is billed until the last tick of the daemon."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from bench.rig import sipp
from bench.rig.processes import free_port, wait_until
from bench.rig.server import Server
from pbx.store.database import DATABASE_FILE
from tests.interop.test_sipp import call_rows, register

CALLS = 100
# Of them up, so that what says that the daemon lives is its tick and no change of a call.
UP_S = 3.0


def last_alive(server: Server) -> float:
    """The last tick that is on the disk."""
    with closing(sqlite3.connect(server.data / DATABASE_FILE)) as connection:
        (value,) = connection.execute("SELECT value FROM meta WHERE key = 'alive'").fetchone()
    return float(value)


def test_hundred_answered_calls_survive_kill_9_as_interrupted(tmp_path: Path, server: Server) -> None:
    contact = free_port()
    register(tmp_path, server, "1002", contact)
    register(tmp_path, server, "1003", free_port())
    callee = sipp.Sipp(tmp_path, "answer", target=server.address, port=contact)
    caller = sipp.Sipp(
        tmp_path,
        "call",
        target=server.address,
        port=free_port(),
        calls=CALLS,
        rate=50,
        hold_ms=60_000,
        rows=call_rows("1002"),
    )
    try:
        wait_until(lambda: server.stats()["calls_answered"] == CALLS, 20, "100 calls are up")
        all_up = time.time()
        wait_until(lambda: last_alive(server) > all_up + UP_S, 10, "it ticks")
        server.kill()
    finally:
        caller.close()
        callee.close()

    alive = last_alive(server)
    server.start()
    rows = server.rows("cdr", "--limit", "1000")
    assert len(rows) == CALLS
    assert {row["disposition"] for row in rows} == {"interrupted"}
    with closing(sqlite3.connect(server.data / DATABASE_FILE)) as connection:
        legs = connection.execute("SELECT answered, ended, billable_s FROM cdrs").fetchall()
    assert len(legs) >= CALLS
    for answered, ended, billable_s in legs:
        assert answered < alive == ended
        assert billable_s == pytest.approx(ended - answered, abs=0.001) and billable_s > UP_S - 0.1
    assert {row["aor"] for row in server.rows("registrations")} == {"sip:1002@office.test", "sip:1003@office.test"}
    server.close()

    with sqlite3.connect(server.data / DATABASE_FILE) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
