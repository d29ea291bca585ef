"""The store under fire: killed, locked, full, broken, opened twice. Calls go on and no CDR is lost."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pbx.cdr import Cause, CdrWriter, LegAnswered, LegEnded, LegStarted
from pbx.errors import DataDirectoryError, DataDirectoryLockedError, StoreVersionError
from pbx.store import schema
from pbx.store.base import BindingRecord, CdrFilter
from pbx.store.database import DATABASE_FILE
from pbx.store.sqlite import SqliteStore, StoreReader

BEGIN = 1_800_000_000.0
TENANT = "office.test"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore.open(tmp_path, wallclock=lambda: BEGIN)
    yield store
    store.close()


def one_call(writer: CdrWriter, leg_id: str) -> None:
    writer.started(LegStarted(leg_id, leg_id, TENANT, "a", "internal", "1001", "1002", leg_id, BEGIN))
    writer.ended(LegEnded(leg_id, BEGIN + 1, "answered"))


def ids(store: SqliteStore | StoreReader) -> set[str]:
    return {leg.id for leg in store.tenant(TENANT).legs(CdrFilter(limit=10_000))}


ANSWERING = """
import sys, time
from pathlib import Path
from pbx.cdr import Cause, CdrWriter, LegAnswered, LegStarted
from pbx.store.base import BindingRecord
from pbx.store.sqlite import SqliteStore

store = SqliteStore.open(Path(sys.argv[1]), wallclock=time.time)
writer = CdrWriter(store)
tenant = store.tenant("office.test")
for number in range(100):
    leg_id = f"call-{number}"
    started = LegStarted(leg_id, leg_id, "office.test", "a", "internal", "1001", "1002", leg_id, time.time())
    writer.started(started)
    writer.answered(LegAnswered(leg_id, time.time(), "PCMU"))
    tenant.save_binding(BindingRecord(f"sip:{number}@office.test", "k", "<sip:1.1.1.1>", time.time() + 60, {}))
assert store.flush()
print("answered", flush=True)
while True:
    writer.tick(time.time(), time.monotonic())
    print("up", flush=True)
"""


def test_a_hundred_answered_calls_survive_kill_9(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ANSWERING, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "answered\n"
    # Some ticks later, in the middle of writing the next one.
    for _ in range(1000):
        child.stdout.readline()
    with pytest.raises(DataDirectoryLockedError, match=f"in use by process {child.pid}"):
        SqliteStore.open(tmp_path, wallclock=lambda: BEGIN)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    with StoreReader(tmp_path) as reader:
        assert len(reader.tenant(TENANT).calls(CdrFilter(under_way=True))) == 100
    store = SqliteStore.open(tmp_path, wallclock=lambda: BEGIN)
    assert store.opening.interrupted == 100
    legs = store.tenant(TENANT).legs(CdrFilter())
    bindings = store.tenant(TENANT).load_bindings()
    store.close()
    assert {(leg.disposition, leg.codec) for leg in legs} == {("interrupted", "PCMU")}
    assert len(legs) == len(bindings) == 100
    assert all(leg.answered is not None and leg.ended is not None and leg.ended >= leg.answered for leg in legs)
    assert integrity(tmp_path / DATABASE_FILE) == "ok"


def integrity(path: Path) -> str:
    connection = sqlite3.connect(path)
    (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
    connection.close()
    return str(verdict)


def test_a_second_daemon_is_told_who_has_the_directory(tmp_path: Path, store: SqliteStore) -> None:
    with pytest.raises(DataDirectoryLockedError, match=f"in use by process {os.getpid()}; give this one its own"):
        SqliteStore.open(tmp_path, wallclock=lambda: BEGIN)
    assert store.close()
    assert SqliteStore.open(tmp_path, wallclock=lambda: BEGIN).close()


def test_a_locked_database_delays_rows_and_loses_none(tmp_path: Path, store: SqliteStore) -> None:
    thief = sqlite3.connect(tmp_path / DATABASE_FILE, isolation_level=None)
    thief.execute("BEGIN EXCLUSIVE")
    writer = CdrWriter(store)
    for number in range(50):
        one_call(writer, f"a{number}")
    assert not store.flush(0.1)
    thief.execute("ROLLBACK")
    thief.close()
    assert store.flush(10)
    assert ids(store) == {f"a{number}" for number in range(50)}


def limit_pages(store: SqliteStore, pages: int) -> None:
    """What a full disk does: SQLite answers SQLITE_FULL to what needs more pages."""
    store._do(lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}").scalar_one())


def test_a_full_disk_keeps_cdrs_until_there_is_room(store: SqliteStore) -> None:
    limit_pages(store, 1)  # at least what it has
    writer = CdrWriter(store)
    for number in range(500):
        one_call(writer, f"a{number}")
    assert not store.flush(0.3)
    health = store.health()
    assert health.error == "database or disk is full"
    assert health.pending == 500
    limit_pages(store, 1_000_000)
    assert store.flush(10)
    assert store.health().error is None
    assert ids(store) == {f"a{number}" for number in range(500)}


def test_cdrs_that_a_full_disk_refused_survive_the_end_of_the_process(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path, wallclock=lambda: BEGIN)
    limit_pages(store, 1)
    writer = CdrWriter(store)
    for number in range(2500):
        one_call(writer, f"a{number}")
    writer.started(LegStarted("up", "up", TENANT, "a", "internal", "1001", "bytes \udcff", "up", BEGIN))
    writer.answered(LegAnswered("up", BEGIN + 1))
    assert not store.flush(0.3)
    assert not store.close()
    store = SqliteStore.open(tmp_path, wallclock=lambda: BEGIN)
    assert (store.opening.from_spool, store.opening.interrupted) == (2501, 1)
    assert ids(store) == {*(f"a{number}" for number in range(2500)), "up"}
    (up,) = store.tenant(TENANT).legs(CdrFilter(disposition="interrupted"))
    assert up.callee == "bytes \udcff"
    store.close()
    store = SqliteStore.open(tmp_path, wallclock=lambda: BEGIN)
    assert (store.opening.from_spool, store.opening.interrupted) == (0, 0)
    store.close()


@pytest.mark.parametrize("damage", ["header", "middle", "nothing but noise", "empty schema"])
def test_a_broken_database_is_moved_aside_and_the_server_starts(tmp_path: Path, damage: str) -> None:
    store = SqliteStore.open(tmp_path, wallclock=lambda: BEGIN)
    writer = CdrWriter(store)
    for number in range(2500):
        one_call(writer, f"a{number}")
    store.close()
    path = tmp_path / DATABASE_FILE
    break_file(path, damage)
    content = path.read_bytes()
    store = SqliteStore.open(tmp_path, wallclock=lambda: BEGIN)
    assert store.opening.moved_aside == tmp_path / f"{DATABASE_FILE}.broken-1800000000"
    assert store.opening.moved_aside.read_bytes() == content
    one_call(CdrWriter(store), "new")
    assert store.flush()
    assert ids(store) == {"new"}
    store.close()


def break_file(path: Path, damage: str) -> None:
    content = bytearray(path.read_bytes())
    if damage == "header":
        content[:16] = b"no SQLite at all"
    elif damage == "middle":
        content[4096 : len(content) - 4096] = b"\xa5" * (len(content) - 8192)
    elif damage == "empty schema":
        content[100:4096] = b"\xa5" * 3996
    else:
        content = bytearray(b"\x17\x2b" * 10_000)
    path.write_bytes(content)


def test_a_database_that_breaks_while_we_run_is_replaced(tmp_path: Path, store: SqliteStore) -> None:
    one_call(CdrWriter(store), "before")
    assert store.flush()
    # Another process writes noise over every page.
    path = tmp_path / DATABASE_FILE
    other = sqlite3.connect(path)
    other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    other.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.write(b"\xa5" * size)
    one_call(CdrWriter(store), "after")
    assert store.flush(10)
    assert ids(store) == {"after"}
    assert (tmp_path / f"{DATABASE_FILE}.broken-1800000000").exists()


def test_a_row_that_can_never_be_written_takes_no_other_with_it(store: SqliteStore) -> None:
    writer = CdrWriter(store)
    one_call(writer, "good")
    huge = LegStarted("bad", "bad", TENANT, "a", "internal", "1001", "1002", "bad", BEGIN)
    writer.started(huge)
    writer.ended(LegEnded("bad", BEGIN, "answered", cause=Cause(sip=2**70)))
    one_call(writer, "good too")
    assert store.flush()
    assert ids(store) == {"good", "good too"}
    assert store.health().dropped == {"cdrs": 1}


def test_a_full_queue_is_counted_and_known_calls_still_end(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path, wallclock=lambda: BEGIN, max_pending=2)
    thief = sqlite3.connect(tmp_path / DATABASE_FILE, isolation_level=None)
    thief.execute("BEGIN EXCLUSIVE")
    writer = CdrWriter(store)
    for number in range(10):
        writer.started(LegStarted(f"a{number}", f"a{number}", TENANT, "a", "internal", "1", "2", "c", BEGIN))
    assert writer.unsaved == store.health().refused["cdrs"] >= 6
    thief.execute("ROLLBACK")
    thief.close()
    assert store.flush(10)
    for number in range(10):
        writer.ended(LegEnded(f"a{number}", BEGIN + 1, "failed"))
        assert store.flush(10)
    assert len(ids(store)) == 10
    store.close()


def test_a_store_of_a_newer_voipat_is_left_alone(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path, wallclock=lambda: BEGIN)
    newer = schema.meta.update().where(schema.meta.c.key == "schema_version").values(value="999")
    store._do(lambda connection: connection.execute(newer))
    store.close()
    with pytest.raises(StoreVersionError, match="schema version 999"):
        SqliteStore.open(tmp_path, wallclock=lambda: BEGIN)
    # The refusal left no lock behind.
    with pytest.raises(StoreVersionError):
        SqliteStore.open(tmp_path, wallclock=lambda: BEGIN)


def test_a_data_directory_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataDirectoryError, match="cannot be used: "):
        SqliteStore.open(tmp_path / "file", wallclock=lambda: BEGIN)


def test_bindings_coalesce_while_the_disk_is_away(tmp_path: Path, store: SqliteStore) -> None:
    thief = sqlite3.connect(tmp_path / DATABASE_FILE, isolation_level=None)
    thief.execute("BEGIN EXCLUSIVE")
    tenant = store.tenant(TENANT)
    for refresh in range(100):
        assert tenant.save_binding(BindingRecord("sip:1001@office.test", "k", "<sip:x>", BEGIN + refresh, {}))
    assert store.health().pending <= 2
    thief.execute("ROLLBACK")
    thief.close()
    assert store.flush(10)
    assert [each.expires_at for each in tenant.load_bindings()] == [BEGIN + 99]
