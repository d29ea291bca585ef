"""kill -9 at random moments: no call, answered or ringing, is without its CDR, and the store stays sound."""

from __future__ import annotations

import random
import socket
import sqlite3
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.rig import sipp
from bench.rig.processes import free_port, wait_until
from bench.rig.server import Server
from tests.interop.test_sipp import call_rows, register

# Calls a second that nobody answers.
RINGING_RATE = 5


@pytest.mark.slow
def test_no_call_is_lost_to_kill_9(tmp_path: Path, server: Server, soak: bool) -> None:
    rounds = 20 if soak else 2
    moments = random.Random(1)
    known: set[str] = set()
    for number in range(rounds):
        contact = free_port()
        directory = tmp_path / str(number)
        register(directory, server, "1002", contact)
        with ExitStack() as stack:
            silent = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            silent.bind(("127.0.0.1", 0))
            register(directory, server, "1003", silent.getsockname()[1])
            callee = sipp.Sipp(directory, "answer", target=server.address, port=contact)
            stack.callback(callee.close)
            for number_called, rate in (("1002", 50), ("1003", RINGING_RATE)):
                caller = sipp.Sipp(
                    directory, "call", target=server.address, port=free_port(), calls=5000, rate=rate, hold_ms=700,
                    rows=call_rows(number_called),
                )  # fmt: skip
                stack.callback(caller.close)
            wait_until(lambda: server.stats()["calls_answered"] > 10, 10, "calls are up")
            time.sleep(moments.uniform(0.0, 1.5))
            calls = server.rows("calls")
            time.sleep(0.25)
            server.kill()
        up = {row["id"] for row in calls if row["answered"]}
        ringing = {row["id"] for row in calls if row["callee"] == "1003"}
        assert up and ringing
        server.start()
        rows = server.rows("cdr", "--limit", "100000")
        assert {row["disposition"] for row in rows if row["id"] in up} <= {"answered", "interrupted"}
        assert up | ringing <= {row["id"] for row in rows}
        rang = [row for row in rows if row["id"] in ringing]
        assert {(row["disposition"], row["answered"], row["billable_s"]) for row in rang} == {("interrupted", None, 0)}
        assert all(row["ended"] for row in rows)
        assert known <= {row["id"] for row in rows}, "a CDR of an earlier round is gone"
        known = {row["id"] for row in rows}
        with sqlite3.connect(next(server.data.glob("*.db"))) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert server.stats()["calls"] == 0
