"""kill -9 at random moments: no answered call is without its CDR, and the store stays sound."""

from __future__ import annotations

import random
import sqlite3
import time
from pathlib import Path

import pytest

from bench.rig import sipp
from bench.rig.processes import free_port, wait_until
from bench.rig.server import Server
from tests.interop.test_sipp import call_rows, register


@pytest.mark.slow
def test_no_answered_call_is_lost_to_kill_9(tmp_path: Path, server: Server, soak: bool) -> None:
    rounds = 20 if soak else 2
    moments = random.Random(1)
    known: set[str] = set()
    for number in range(rounds):
        contact = free_port()
        directory = tmp_path / str(number)
        register(directory, server, "1002", contact)
        callee = sipp.Sipp(directory, "answer", target=server.address, port=contact)
        caller = sipp.Sipp(
            directory,
            "call",
            target=server.address,
            port=free_port(),
            calls=5000,
            rate=50,
            hold_ms=700,
            rows=call_rows("1002"),
        )
        try:
            wait_until(lambda: server.stats()["calls_answered"] > 10, 10, "calls are up")
            time.sleep(moments.uniform(0.0, 1.5))
            up = {row["id"] for row in server.rows("calls") if row["answered"]}
            time.sleep(0.25)
            server.kill()
        finally:
            caller.close()
            callee.close()
        server.start()
        rows = server.rows("cdr", "--limit", "100000")
        assert {row["disposition"] for row in rows if row["id"] in up} <= {"answered", "interrupted"}
        assert up <= {row["id"] for row in rows}
        assert all(row["ended"] for row in rows)
        assert known <= {row["id"] for row in rows}, "a CDR of an earlier round is gone"
        known = {row["id"] for row in rows}
        with sqlite3.connect(next(server.data.glob("*.db"))) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert server.stats()["calls"] == 0
