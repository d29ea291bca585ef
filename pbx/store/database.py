"""SQLite beneath the store: connections and their settings, opening, moving a broken file aside, writing a group.

WAL with synchronous=FULL: a committed group survives a power cut, readers never wait for the writer. What may
only be set per connection is set for each.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import ClauseElement, Connection, Engine, bindparam, create_engine, event, select
from sqlalchemy import exc as sa_exc
from sqlalchemy.dialects.sqlite import dialect, insert
from sqlalchemy.pool import QueuePool, StaticPool

from pbx.errors import StoreVersionError
from pbx.store import migrations, schema
from pbx.store.spool import Spool
from pbx.store.writer import Database, Group, RetryableError, Row

T = TypeVar("T")

DATABASE_FILE: Final = "voipat.db"
READERS: Final = 4
# Set per connection; the WAL is cut back to 64 MiB after a checkpoint.
READING: Final = ("PRAGMA busy_timeout = 2000", "PRAGMA query_only = ON")
WRITING: Final = (
    "PRAGMA busy_timeout = 2000",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA journal_size_limit = 67108864",
)
# A whole check reads the whole file: 64 MiB take 0.1–0.3 s, and more is left to `voipat check-store` by hand.
CHECKED_AT_OPEN: Final = 64 * 1024 * 1024
# SQLITE_CORRUPT and SQLITE_NOTADB: the only codes that mean the file itself is broken.
BROKEN_CODES: Final = frozenset({11, 26})

log = logging.getLogger(__name__)


class SqliteDatabase(Database):
    """The writer's connection.

    Groups go to the driver itself: SQLAlchemy around a transaction took 0.4 ms of a commit's 0.55, and one comes each
    50 ms. Jobs (`run`) are few, and use the same connection through it.
    """

    def __init__(
        self, path: Path, spool: Spool, *, wallclock: Callable[[], float], on_replaced: Callable[[], None]
    ) -> None:
        self._path = path
        self._spool = spool
        self._wallclock = wallclock
        self._on_replaced = on_replaced
        self._engine = writing_engine(path)
        self._connection = _driver_of(self._engine)
        self._upserts = {table.name: _upsert(table.name) for table in schema.metadata.sorted_tables}
        self._deletes = {table.name: _delete(table.name) for table in schema.metadata.sorted_tables}

    def write(self, group: Group) -> dict[str, int]:
        """Commit the group with the time of it; see `Database.write`."""
        dropped: dict[str, int] = {}
        try:
            with self._transaction() as connection:
                for table, rows in group.items():
                    self._write_rows(connection, table, rows)
                self._mark(connection)
        except sqlite3.DatabaseError as error:
            if is_broken(error):
                self._replace(reason_of(error))
            if not _row_is_at_fault(error):
                raise RetryableError(reason_of(error)) from error
            dropped = self._write_singly(group)
        except (sqlite3.Error, ValueError, OverflowError):
            dropped = self._write_singly(group)
        return dropped

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            # Of a disk that is full SQLite has rolled back by itself.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def run(self, job: Callable[[Connection], T]) -> T:
        """Commit what `job` does."""
        try:
            with self._engine.begin() as connection:
                return job(connection)
        except sa_exc.DatabaseError as error:
            if is_broken(error):
                self._replace(reason_of(error))
            raise

    def spool(self, waiting: Group) -> None:
        """Keep the CDRs; bindings come back with the next REGISTER."""
        self._spool.append([row for row in waiting.get(schema.cdrs.name, {}).values() if row is not None])

    def settled(self) -> None:
        """Empty the spool."""
        self._spool.clear()

    def close(self) -> None:
        """Close the connection; SQLite checkpoints the WAL then."""
        self._engine.dispose()

    def _replace(self, reason: str) -> None:
        """The file broke under us: out of the way with it, and on with an empty one."""
        self._engine.dispose()
        aside = _move_aside(self._path, self._wallclock())
        log.error("the database broke (%s): moved to %s, going on with an empty one", reason, aside)
        open_database(self._path, self._wallclock)
        self._engine = writing_engine(self._path)
        self._connection = _driver_of(self._engine)
        self._on_replaced()

    def _write_rows(
        self, connection: sqlite3.Connection, table: str, rows: Mapping[tuple[str, ...], Row | None]
    ) -> None:
        saved = [row for row in rows.values() if row is not None]
        if saved:
            connection.executemany(self._upserts[table], saved)
        if len(saved) < len(rows):
            gone = [_key_parameters(key) for key, row in rows.items() if row is None]
            connection.executemany(self._deletes[table], gone)

    def _mark(self, connection: sqlite3.Connection) -> None:
        connection.execute(self._upserts["meta"], {"key": "alive", "value": repr(self._wallclock())})

    def _write_singly(self, group: Group) -> dict[str, int]:
        """One row at a time, so that a row which cannot be written takes no other with it."""
        dropped: dict[str, int] = {}
        for table, rows in group.items():
            for key, row in rows.items():
                try:
                    with self._transaction() as connection:
                        self._write_rows(connection, table, {key: row})
                except (sqlite3.Error, ValueError, OverflowError) as error:
                    if isinstance(error, sqlite3.DatabaseError) and not _row_is_at_fault(error):
                        raise RetryableError(reason_of(error)) from error
                    dropped[table] = dropped.get(table, 0) + 1
                    log.error("the store dropped a row of %s that it can never take: %s", table, type(error).__name__)
        return dropped


def open_database(path: Path, wallclock: Callable[[], float]) -> Path | None:
    """Make the database at `path` usable and of the newest schema; where a broken one was moved, if it was.

    Raises: StoreVersionError.
    """
    try:
        _prepare(path)
    except (sqlite3.DatabaseError, sa_exc.DatabaseError) as error:
        if not is_broken(error):
            raise
        aside = _move_aside(path, wallclock())
        log.error("the database was broken (%s): moved to %s, starting with an empty one", reason_of(error), aside)
        _prepare(path)
        return aside
    return None


def writing_engine(path: Path) -> Engine:
    """One connection that commits durably."""
    engine = create_engine("sqlite://", creator=lambda: _connect(path, "rwc"), poolclass=StaticPool)
    _begin_explicitly(engine, "BEGIN IMMEDIATE")
    return engine


def _driver_of(engine: Engine) -> sqlite3.Connection:
    """The one connection that a writing engine has."""
    borrowed = engine.raw_connection()
    try:
        connection = borrowed.driver_connection
    finally:
        borrowed.close()
    assert isinstance(connection, sqlite3.Connection), "sqlite:// is by the driver of the standard library"
    return connection


def reading_engine(path: Path) -> Engine:
    """A small pool of connections that cannot write."""
    pool = {"poolclass": QueuePool, "pool_size": READERS, "max_overflow": 0, "pool_timeout": 30.0}
    engine = create_engine("sqlite://", creator=lambda: _connect(path, "ro"), **pool)
    _begin_explicitly(engine, "BEGIN")
    return engine


def is_broken(error: BaseException) -> bool:
    """Whether the error says that the file is no sound database."""
    cause = getattr(error, "orig", None) or error
    code = getattr(cause, "sqlite_errorcode", None)
    return code is not None and (code & 0xFF) in BROKEN_CODES


def reason_of(error: BaseException) -> str:
    """The database's own words, without the statement and its values."""
    return str(getattr(error, "orig", None) or error)


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    # Transactions are begun explicitly (isolation_level None), which makes DDL part of them too.
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    for pragma in READING if mode == "ro" else WRITING:
        connection.execute(pragma)
    return connection


def _begin_explicitly(engine: Engine, statement: str) -> None:
    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(statement)


def _prepare(path: Path) -> None:
    path.touch(mode=0o600)
    engine = writing_engine(path)
    try:
        with engine.begin() as connection:
            _check(connection, path)
            _bring_up_to_date(connection, path)
    finally:
        engine.dispose()


def _check(connection: Connection, path: Path) -> None:
    if path.stat().st_size > CHECKED_AT_OPEN:
        return
    (verdict,) = connection.exec_driver_sql("PRAGMA quick_check(1)").one()
    if verdict != "ok":
        error = sqlite3.DatabaseError(verdict)
        error.sqlite_errorcode = min(BROKEN_CODES)
        raise error


def _bring_up_to_date(connection: Connection, path: Path) -> None:
    known = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE name = 'meta'").first()
    if known is None:
        schema.metadata.create_all(connection)
        connection.execute(schema.meta.insert().values(key="schema_version", value=str(schema.VERSION)))
        return
    version = int(connection.scalar(select(schema.meta.c.value).where(schema.meta.c.key == "schema_version")) or 0)
    if version > schema.VERSION:
        raise StoreVersionError(path, version, schema.VERSION)
    if version < schema.VERSION:
        migrations.migrate(connection, version)


def _move_aside(path: Path, wallclock: float) -> Path:
    """Rename the database with its WAL, so that whoever salvages it has all of it."""
    aside = path.with_name(f"{path.name}.broken-{int(wallclock)}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(path.with_name(aside.name + suffix))
    return aside


def _row_is_at_fault(error: sqlite3.DatabaseError) -> bool:
    """Whether the rows, and not the disk, the lock or the file, made the commit fail."""
    at_fault = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError)
    return isinstance(error, at_fault) and not is_broken(error)


def _upsert(table_name: str) -> str:
    table = schema.metadata.tables[table_name]
    statement = insert(table)
    changing = (column for column in table.c if not column.primary_key and not column.info.get("fixed"))
    others = {column.name: statement.excluded[column.name] for column in changing}
    return _text_of(statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=others))


def _delete(table_name: str) -> str:
    table = schema.metadata.tables[table_name]
    conditions = (column == bindparam(f"key{place}") for place, column in enumerate(table.primary_key))
    return _text_of(table.delete().where(*conditions))


def _text_of(statement: ClauseElement) -> str:
    """The statement with named parameters, as the driver takes it.

    Rows go to the driver as they are: through SQLAlchemy's own execution each one is copied twice, which was a third
    of the writer thread's time.
    """
    return str(statement.compile(dialect=dialect(paramstyle="named")))


def _key_parameters(key: Iterable[Any]) -> dict[str, Any]:
    return {f"key{place}": storable(part) for place, part in enumerate(key)}


def storable(text: str) -> str | bytes:
    """`text` as SQLite takes it: what is no valid UTF-8 goes in as its bytes."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        try:
            return text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            return text.encode("utf-8", "surrogatepass")
    return text


def restored(value: Any) -> Any:
    """What `storable` put in."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
