"""The one thread that writes: rows gather by key and are committed together.

A row is put under its table and primary key, and a later row of the same key takes its place, so a call that
rings and ends within one group is one insert, and a queue of refreshes is never longer than the bindings. A
group is committed GROUP_S after its first row or at GROUP_ROWS, whichever comes first: a row is durable within
about 50 ms plus one fsync. A failed commit (disk full, database locked) keeps the rows and tries again; rows put
meanwhile win over the older ones of the failed group.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from itertools import islice
from typing import Any, Final, TypeVar

from pbx.errors import StoreClosedError
from pbx.store.base import StoreHealth

T = TypeVar("T")
Row = Mapping[str, Any]
# A row may come as a function that makes it: it is called in the writer's thread, and only for the row that is left
# of its key. A call that starts, is answered and ends within one group costs one row, not three.
RowMaker = Callable[[], Row]
Key = tuple[str, ...]
Group = dict[str, dict[Key, Row | None]]
Pending = dict[str, dict[Key, Row | RowMaker | None]]

GROUP_S: Final = 0.05
GROUP_ROWS: Final = 200
MAX_GROUP_ROWS: Final = 2000  # of one table in one transaction: some 10 ms
MAX_PENDING: Final = 50_000  # per table, about 2 kB each: when the disk is gone for long, 100 MB are the end
RETRY_FIRST_S: Final = 0.05
RETRY_MAX_S: Final = 2.0

log = logging.getLogger(__name__)


class Database:
    """What the writer writes to; every method runs in the writer's thread."""

    def write(self, group: Group) -> dict[str, int]:
        """Commit the group; returns the rows that can never be written, by table.

        Raises: RetryableError.
        """
        raise AssertionError("abstract")

    def run(self, job: Callable[[Any], T]) -> T:
        """Commit what `job` does with a connection."""
        raise AssertionError("abstract")

    def spool(self, waiting: Group) -> None:
        """Keep what could not be committed, for the case that the process dies before it can be."""

    def settled(self) -> None:
        """Everything that was put is committed: the spool holds nothing that is needed."""

    def close(self) -> None:
        """Nothing is written any more."""


class RetryableError(Exception):
    """The commit failed for a reason outside the rows: it is tried again."""


class Writer:
    """Gathers rows from any thread; `put` takes microseconds and never waits for the disk."""

    def __init__(
        self, database: Database, *, max_pending: int = MAX_PENDING, alarm: Callable[[str], None] = log.error
    ) -> None:
        self._database = database
        self._max_pending = max_pending
        self._alarm = alarm
        # Put by itself too: entering the condition is Python, entering the lock is not.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._pending: Pending = {}
        self._jobs: deque[Callable[[], None]] = deque()
        self._count = 0
        self._submitted = 0
        self._committed = 0
        self._hurry = False
        self._stopping = False
        self._commits = self._rows = self._failures = 0
        self._refused: dict[str, int] = {}
        self._dropped: dict[str, int] = {}
        self._error: str | None = None
        self._thread = threading.Thread(target=self._loop, name="voipat-store", daemon=True)
        self._thread.start()

    def put(self, table: str, key: Key, row: Row | RowMaker | None) -> bool:
        """Write `row` under `key` (None removes it); False when the table's queue is full, which is counted."""
        with self._lock:
            rows = self._pending.get(table)
            if rows is None:
                rows = self._pending[table] = {}
            if key not in rows:
                if len(rows) >= self._max_pending or self._stopping:
                    self._refused[table] = self._refused.get(table, 0) + 1
                    return False
                self._count += 1
            rows[key] = row
            self._submitted += 1
            # The thread sleeps without a deadline on an empty queue and with one on a short one.
            if self._count == 1 or self._count == GROUP_ROWS:
                self._changed.notify_all()
        return True

    def run(self, job: Callable[[Any], T]) -> Future[T]:
        """Run `job(connection)` in a transaction of the writer's thread, after the rows put before it.

        Raises: StoreClosedError.
        """
        future: Future[T] = Future()

        def run_job() -> None:
            try:
                future.set_result(self._database.run(job))
            except Exception as error:  # handed to whoever waits for the future
                future.set_exception(error)

        with self._changed:
            if self._stopping:
                raise StoreClosedError("the store is closed")
            self._jobs.append(run_job)
            self._changed.notify_all()
        return future

    def flush(self, timeout: float) -> bool:
        """Whether everything put so far was committed within `timeout` seconds."""
        with self._changed:
            target = self._submitted
            self._hurry = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._committed >= target, timeout)

    def close(self, timeout: float) -> bool:
        """Commit what is pending, end the thread; False when rows were left behind (they are in the spool)."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(timeout)
        return not self._thread.is_alive() and not self._count

    def health(self) -> StoreHealth:
        """The counters now."""
        with self._changed:
            return StoreHealth(
                pending=self._count,
                committed_rows=self._rows,
                commits=self._commits,
                failures=self._failures,
                refused=dict(self._refused),
                dropped=dict(self._dropped),
                error=self._error,
            )

    def _loop(self) -> None:
        delay = RETRY_FIRST_S
        while True:
            group, sequence, jobs = self._next_group()
            if not group and not jobs:
                break
            if self._commit(group, sequence):
                delay = RETRY_FIRST_S
            elif self._stopping:
                break
            else:
                self._pause(delay)
                delay = min(delay * 2, RETRY_MAX_S)
            for job in jobs:
                job()
        self._database.close()

    def _next_group(self) -> tuple[Group, int, list[Callable[[], None]]]:
        with self._changed:
            self._changed.wait_for(lambda: self._count or self._jobs or self._stopping)
            self._changed.wait_for(self._due, GROUP_S)
            pending, sequence = self._take()
            jobs, self._jobs = list(self._jobs), deque()
            self._hurry = False
        return _made(pending), sequence, jobs

    def _due(self) -> bool:
        return self._count >= GROUP_ROWS or bool(self._jobs) or self._hurry or self._stopping

    def _take(self) -> tuple[Pending, int]:
        """Up to MAX_GROUP_ROWS of each table; the sequence is only known when nothing is left behind."""
        group: Pending = {}
        for table, rows in self._pending.items():
            if len(rows) <= MAX_GROUP_ROWS:
                group[table], self._pending[table] = rows, {}
            else:
                keys = list(islice(rows, MAX_GROUP_ROWS))
                group[table] = {key: rows.pop(key) for key in keys}
        taken = sum(len(rows) for rows in group.values())
        self._count -= taken
        return (group if taken else {}), (self._committed if self._count else self._submitted)

    def _commit(self, group: Group, sequence: int) -> bool:
        if not group:
            return True
        try:
            dropped = self._database.write(group)
        except RetryableError as error:
            self._put_back(group, str(error))
            return False
        except Exception as error:  # a bug of ours must not end the thread that everybody relies on
            log.exception("the store's writer failed")
            self._put_back(group, repr(error))
            return False
        with self._changed:
            self._commits += 1
            self._rows += sum(len(rows) for rows in group.values())
            for table, count in dropped.items():
                self._dropped[table] = self._dropped.get(table, 0) + count
            recovered, self._error = self._error, None
            self._committed = max(self._committed, sequence)
            self._changed.notify_all()
            settled = not self._count
        if settled:
            self._database.settled()
        if recovered:
            log.warning("the store writes again after: %s", recovered)
        return True

    def _put_back(self, group: Group, reason: str) -> None:
        with self._changed:
            for table, rows in group.items():
                newer = self._pending.get(table, {})
                self._pending[table] = {**rows, **newer}
            self._count = sum(len(rows) for rows in self._pending.values())
            # All of it, also what no commit has tried: the process may die before the disk comes back.
            waiting = _made(self._pending)
            # The spool knows a row that it has by its identity.
            self._pending = {table: dict(rows) for table, rows in waiting.items()}
            self._failures += 1
            first = self._error is None
            self._error = reason
        self._database.spool(waiting)
        if first:
            self._alarm(f"the store cannot be written and is tried again, rows are kept in memory: {reason}")

    def _pause(self, delay: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping, delay)


def _made(pending: Pending) -> Group:
    """Every row as it is written."""
    return {
        table: {key: row() if callable(row) else row for key, row in rows.items()} for table, rows in pending.items()
    }
