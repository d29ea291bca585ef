"""The writer gathers rows by key, commits them together, and never loses one to a disk that fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pbx.store.writer import Database, Group, RetryableError, Writer


class MemoryDatabase(Database):
    """Commits into a dictionary, when `gate` lets it and unless it is told to fail."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, tuple[str, ...]], Any] = {}
        self.groups: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.arrived = threading.Event()
        self.failures: list[Exception] = []
        self.spooled: list[Group] = []
        self.settlements = 0

    def write(self, group: Group) -> dict[str, int]:
        self.arrived.set()
        assert self.gate.wait(10)
        if self.failures:
            raise self.failures.pop()
        self.groups.append(sum(len(rows) for rows in group.values()))
        for table, rows in group.items():
            self.rows.update({(table, key): row for key, row in rows.items()})
        return {}

    def run(self, job: Callable[[Any], Any]) -> Any:
        return job(self)

    def spool(self, group: Group) -> None:
        self.spooled.append(group)

    def settled(self) -> None:
        self.settlements += 1


@pytest.fixture
def database() -> MemoryDatabase:
    return MemoryDatabase()


@pytest.fixture
def alarms() -> list[str]:
    return []


@pytest.fixture
def writer(database: MemoryDatabase, alarms: list[str]) -> Iterator[Writer]:
    writer = Writer(database, max_pending=3, alarm=alarms.append)
    yield writer
    database.gate.set()
    writer.close(10)


def hold(database: MemoryDatabase, writer: Writer) -> None:
    """Keep the thread inside a commit of one row, so that what follows gathers."""
    database.gate.clear()
    writer.put("t", ("held",), {"n": 0})
    assert database.arrived.wait(10)


def test_rows_of_one_key_are_one_write_and_the_last_wins(database: MemoryDatabase, writer: Writer) -> None:
    hold(database, writer)
    for number in range(5):
        writer.put("t", ("a",), {"n": number})
    writer.put("t", ("b",), None)
    database.gate.set()
    assert writer.flush(10)
    assert database.groups == [1, 2]
    assert database.rows["t", ("a",)] == {"n": 4}
    assert database.rows["t", ("b",)] is None


def test_a_full_queue_refuses_new_keys_and_counts_them(database: MemoryDatabase, writer: Writer) -> None:
    hold(database, writer)
    assert [writer.put("t", (name,), {}) for name in "abcde"] == [True, True, True, False, False]
    assert writer.put("t", ("a",), {"new": True})
    assert writer.put("u", ("a",), {})
    assert writer.health().refused == {"t": 2}
    assert writer.health().pending == 4


def test_a_failed_commit_is_tried_again_and_newer_rows_win(
    database: MemoryDatabase, writer: Writer, alarms: list[str]
) -> None:
    database.failures = [RetryableError("disk full"), RetryableError("disk full")]
    hold(database, writer)
    writer.put("t", ("held",), {"n": 1})
    database.gate.set()
    assert writer.flush(10)
    assert database.rows == {("t", ("held",)): {"n": 1}}
    assert len(alarms) == 1
    assert "disk full" in alarms[0]
    assert len(database.spooled) == 2
    assert database.settlements >= 1
    health = writer.health()
    assert (health.failures, health.error, health.pending) == (2, None, 0)


def test_only_the_last_row_of_a_key_is_made_and_in_the_writers_thread(database: MemoryDatabase, writer: Writer) -> None:
    makers: list[tuple[int, str]] = []

    def row(number: int) -> Callable[[], dict[str, int]]:
        def make() -> dict[str, int]:
            makers.append((number, threading.current_thread().name))
            return {"n": number}

        return make

    hold(database, writer)
    for number in range(3):
        writer.put("t", ("a",), row(number))
    database.gate.set()
    assert writer.flush(10)
    assert database.rows["t", ("a",)] == {"n": 2} and makers == [(2, "voipat-store")]


def test_a_made_row_is_made_once_though_its_commit_fails(database: MemoryDatabase, writer: Writer) -> None:
    made: list[dict[str, int]] = []

    def make() -> dict[str, int]:
        made.append({"n": 1})
        return made[-1]

    database.failures.append(RetryableError("disk full"))
    writer.put("t", ("a",), make)
    assert writer.flush(10)
    assert len(made) == 1 and database.spooled[0]["t"]["a",] is database.rows["t", ("a",)] is made[0]


def test_a_bug_in_a_write_does_not_end_the_thread(database: MemoryDatabase, writer: Writer) -> None:
    database.failures = [KeyError("bug")]
    writer.put("t", ("a",), {"n": 1})
    assert writer.flush(10)
    assert database.rows == {("t", ("a",)): {"n": 1}}


def test_jobs_run_after_the_rows_before_them_and_hand_back_what_happens(
    database: MemoryDatabase, writer: Writer
) -> None:
    writer.put("t", ("a",), {"n": 1})
    assert writer.run(lambda connection: connection.rows["t", ("a",)]).result(10) == {"n": 1}
    with pytest.raises(ZeroDivisionError):
        writer.run(lambda connection: 1 // 0).result(10)


def test_many_rows_go_in_bounded_groups(database: MemoryDatabase) -> None:
    writer = Writer(database)
    hold(database, writer)
    for number in range(4500):
        writer.put("t", (str(number),), {"n": number})
    database.gate.set()
    assert writer.flush(10)
    assert database.groups == [1, 2000, 2000, 500]
    assert writer.close(10)


def test_rows_are_taken_at_once_while_the_database_blocks_and_all_are_written_afterwards(
    database: MemoryDatabase,
) -> None:
    writer = Writer(database)
    hold(database, writer)
    assert all(writer.put("t", (str(number),), {"n": number}) for number in range(1000))
    health = writer.health()
    # A `put` that waits is in here until the gate gives up, which is a failure.
    assert (health.pending, health.commits, health.failures) == (1000, 0, 0)
    database.gate.set()
    assert writer.close(10)
    assert [database.rows["t", (str(number),)] for number in range(1000)] == [{"n": n} for n in range(1000)]


def test_close_commits_what_is_pending(database: MemoryDatabase) -> None:
    writer = Writer(database)
    writer.put("t", ("a",), {"n": 1})
    assert writer.close(10)
    assert database.rows == {("t", ("a",)): {"n": 1}}


def test_close_gives_up_on_a_disk_that_fails_and_says_so(database: MemoryDatabase) -> None:
    writer = Writer(database, alarm=lambda reason: None)
    database.failures = [RetryableError("disk full")] * 100
    hold(database, writer)
    closing = threading.Thread(target=writer.close, args=(10,))
    closing.start()
    database.gate.set()
    closing.join()
    assert not writer.close(1)
    assert database.rows == {}
    assert database.spooled
