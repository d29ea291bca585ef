"""Somebody holds the database of a running daemon for long (F7): calls and registrations go on, no CDR is lost."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bench.rig import sipp
from bench.rig.processes import free_port, wait_until
from bench.rig.server import Server
from pbx.store.database import DATABASE_FILE
from tests.interop.test_sipp import call_rows, register

RATE = 20
# F7 wants half a minute of it.
HELD_S, SOAK_HELD_S = 3, 30


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with closing(Server(tmp_path / "server")) as started:
        yield started


@pytest.mark.slow
def test_calls_go_on_while_the_database_is_held_and_every_cdr_is_written(
    tmp_path: Path, server: Server, soak: bool
) -> None:
    calls = RATE * (SOAK_HELD_S if soak else HELD_S)
    thief = sqlite3.connect(server.data / DATABASE_FILE, isolation_level=None, timeout=30)
    thief.execute("BEGIN EXCLUSIVE")
    try:
        register(tmp_path, server, "1002", free_port())
        load = sipp.Sipp(
            tmp_path / "load", "call", target=server.address, port=free_port(), calls=calls, rate=RATE, hold_ms=100,
            rows=call_rows("*43"),
        )  # fmt: skip
        try:
            load.wait(60)
        finally:
            load.close()
        # A machine that has too much to do refuses some, which is no fault of the store.
        answered = load.successful()
        assert answered > calls / 2
        wait_until(lambda: server.stats()["store_error"] == "database is locked", 20, "the daemon knows")
        assert [row["aor"] for row in server.rows("registrations")] == ["sip:1002@office.test"]
        wait_until(lambda: "the store cannot be written" in server.process.output(), 10, "the log says so")
    finally:
        thief.execute("ROLLBACK")
        thief.close()
    wait_until(lambda: server.stats()["store_error"] is None, 20, "the store writes again")
    rows = server.rows("cdr", "--limit", "10000")
    assert Counter(row["disposition"] for row in rows if row["callee"] == "*43")["answered"] == answered
    assert "Traceback" not in server.process.output()
