"""kill -9 with answered calls up: nothing that was answered is lost."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from bench.rig import sipp
from bench.rig.processes import free_port, wait_until
from bench.rig.server import Server
from pbx.store.database import DATABASE_FILE
from tests.interop.test_sipp import call_rows, register

CALLS = 100


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
        time.sleep(0.25)
        server.kill()
    finally:
        caller.close()
        callee.close()

    server.start()
    rows = server.rows("cdr", "--limit", "1000")
    assert len(rows) == CALLS
    assert {row["disposition"] for row in rows} == {"interrupted"}
    assert all(row["answered"] for row in rows)
    assert {row["aor"] for row in server.rows("registrations")} == {"sip:1002@office.test", "sip:1003@office.test"}
    server.close()

    with sqlite3.connect(server.data / DATABASE_FILE) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
