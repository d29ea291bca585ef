"""The embedded store: one SQLite file in the data directory, one writing thread, readers that cannot write."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DatabaseError

from pbx.errors import DataDirectoryError
from pbx.secrets import RandomBytes, Sealer, load_key
from pbx.store import cdr_queries, recording_queries, schema, tenant_tables
from pbx.store.base import (
    AuditRecord,
    BindingRecord,
    CdrFilter,
    LegRecord,
    MailRecord,
    MessageRecord,
    RecordingFilter,
    RecordingRecord,
    StoreHealth,
    SubscriptionRecord,
    TextRecord,
)
from pbx.store.database import (
    DATABASE_FILE,
    SqliteDatabase,
    open_database,
    reading_engine,
    reason_of,
    restored,
    storable,
)
from pbx.store.lock import DataLock
from pbx.store.spool import SPOOL_FILE, Spool
from pbx.store.writer import MAX_PENDING, Key, RetryableError, Row, Writer
from pbx.tenant_changes import TenantChanges
from pbx.tenants import TenantConfig

T = TypeVar("T")

KEY_FILE: Final = "secrets.key"
JOB_TIMEOUT_S: Final = 60.0

# json.dumps makes an encoder for each call that asks for other separators.
_AS_JSON: Final = json.JSONEncoder(separators=(",", ":")).encode
_LEG_TEXTS: Final = (
    "id",
    "linked_id",
    "tenant",
    "caller",
    "callee",
    "call_id",
    "codec",
    "recording",
    "hangup_by",
    "route",
)


@dataclass(frozen=True, slots=True)
class OpeningReport:
    """What was found at start: legs closed as interrupted, CDRs taken from the spool, a broken file moved aside."""

    interrupted: int = 0
    from_spool: int = 0
    moved_aside: Path | None = None


class StoreReader:
    """Reads the database in `directory`, also one whose daemon is down. Every verb blocks on the disk."""

    def __init__(self, directory: Path) -> None:
        path = directory / DATABASE_FILE
        if not path.exists():
            raise DataDirectoryError(directory, f"there is no {DATABASE_FILE} in it")
        self.engine = reading_engine(path)

    def tenant(self, domain: str) -> SqliteTenantReader:
        """What can be read of one tenant."""
        return SqliteTenantReader(self, domain)

    def domains(self) -> list[str]:
        """Every domain that has tenants, bindings or CDRs here."""
        return self.read(cdr_queries.domains)

    def read(self, query: Callable[[Connection], T]) -> T:
        """What `query` finds in one snapshot of the database."""
        with self.engine.connect() as connection:
            return query(connection)

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()

    def __enter__(self) -> StoreReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class SqliteTenantReader:
    """One tenant's rows; see `TenantReader`."""

    def __init__(self, reader: StoreReader, domain: str) -> None:
        self.domain = domain
        self._reader = reader

    def load_bindings(self) -> list[BindingRecord]:
        """Every binding saved and not removed, expired ones too."""
        table = schema.bindings
        wanted = select(table.c.aor, table.c.key, table.c.contact, table.c.expires_at, table.c.fields)

        def load(connection: Connection) -> list[BindingRecord]:
            return [
                BindingRecord(restored(aor), restored(key), restored(contact), expires_at, json.loads(fields))
                for aor, key, contact, expires_at, fields in connection.execute(wanted.where(self._is_mine(table)))
            ]

        return self._reader.read(load)

    def count_bindings(self) -> int:
        """How many `load_bindings` would return."""
        counted = select(func.count()).select_from(schema.bindings).where(self._is_mine(schema.bindings))
        return int(self._reader.read(lambda connection: connection.scalar(counted)) or 0)

    def load_subscriptions(self) -> list[SubscriptionRecord]:
        """Everyone who watches something, also those whose time is over."""
        table = schema.subscriptions
        wanted = select(table.c.id, table.c.expires_at, table.c.fields).where(self._is_mine(table))

        def load(connection: Connection) -> list[SubscriptionRecord]:
            rows = connection.execute(wanted.order_by(table.c.id))
            return [SubscriptionRecord(id_, expires_at, json.loads(fields)) for id_, expires_at, fields in rows]

        return self._reader.read(load)

    def load_state(self) -> list[tuple[str, str, str]]:
        """What was set by hand: (owner, key, value)."""
        table = schema.tenant_state
        wanted = select(table.c.owner, table.c.key, table.c.value).where(self._is_mine(table))
        return self._reader.read(lambda connection: [tuple(row) for row in connection.execute(wanted)])

    def load_messages(self) -> list[MessageRecord]:
        """Every message and greeting of every mailbox, oldest first."""
        table = schema.voicemail_messages
        wanted = select(*(table.c[name] for name in MessageRecord._fields)).where(self._is_mine(table))

        def load(connection: Connection) -> list[MessageRecord]:
            rows = connection.execute(wanted.order_by(table.c.received, table.c.id))
            return [MessageRecord(*row)._replace(caller=restored(row.caller), name=restored(row.name)) for row in rows]

        return self._reader.read(load)

    def load_outbox(self) -> list[MailRecord]:
        """Every message that waits to be sent as e-mail, oldest first."""
        table = schema.outbox
        wanted = select(*(table.c[name] for name in MailRecord._fields)).where(self._is_mine(table))
        ordered = wanted.order_by(table.c.queued, table.c.id)
        return self._reader.read(lambda connection: [MailRecord(*row) for row in connection.execute(ordered)])

    def load_texts(self) -> list[TextRecord]:
        """Every text message that waits, oldest first."""
        table = schema.waiting_messages
        wanted = select(*(table.c[name] for name in TextRecord._fields)).where(self._is_mine(table))
        ordered = wanted.order_by(table.c.received, table.c.id)
        return self._reader.read(lambda connection: [TextRecord(*row) for row in connection.execute(ordered)])

    def recordings(self, wanted: RecordingFilter) -> list[RecordingRecord]:
        """The recordings that the filter wants, newest first."""
        return self._reader.read(lambda connection: recording_queries.page(connection, self.domain, wanted))

    def recording(self, recording_id: str) -> RecordingRecord | None:
        """One recording of this tenant."""
        return self._reader.read(lambda connection: recording_queries.find(connection, self.domain, recording_id))

    def audit(self, *, since: float, limit: int) -> list[AuditRecord]:
        """What was done since, newest first."""
        return self._reader.read(lambda connection: recording_queries.audited(connection, self.domain, since, limit))

    def calls(self, wanted: CdrFilter) -> list[list[LegRecord]]:
        """The legs of each call, newest call first, its first leg in front; the filter is on that one."""
        return self._reader.read(lambda connection: cdr_queries.calls(connection, self.domain, wanted))

    def legs(self, wanted: CdrFilter) -> list[LegRecord]:
        """Each leg, newest first."""
        return self._reader.read(lambda connection: cdr_queries.legs(connection, self.domain, wanted))

    def _is_mine(self, table: Any) -> Any:
        return table.c.tenant == self.domain


class SqliteTenantStore(SqliteTenantReader):
    """One tenant's part of the store; see `TenantStore`."""

    def __init__(self, reader: StoreReader, writer: Writer, domain: str, sealer: Sealer) -> None:
        super().__init__(reader, domain)
        self._writer = writer
        self._sealer = sealer

    def save_binding(self, binding: BindingRecord) -> bool:
        """Write the binding within 50 ms; False when the queue is full."""
        row = partial(_binding_row, self.domain, binding)
        return self._writer.put("bindings", (self.domain, binding.aor, binding.key), row)

    def remove_binding(self, aor: str, key: str) -> bool:
        """Remove the binding within 50 ms; False when the queue is full."""
        return self._writer.put("bindings", (self.domain, aor, key), None)

    def save_subscription(self, subscription: SubscriptionRecord) -> bool:
        """Write it within 50 ms; False when the queue is full."""
        row = partial(_subscription_row, self.domain, subscription)
        return self._writer.put("subscriptions", (self.domain, subscription.id), row)

    def remove_subscription(self, subscription_id: str) -> bool:
        """Remove it within 50 ms; False when the queue is full."""
        return self._writer.put("subscriptions", (self.domain, subscription_id), None)

    def save_state(self, owner: str, key: str, value: str | None) -> bool:
        """Keep a value within 50 ms, None to forget it; False when the queue is full."""
        row = None if value is None else {"tenant": self.domain, "owner": owner, "key": key, "value": value}
        return self._writer.put("tenant_state", (self.domain, owner, key), row)

    def save_message(self, message: MessageRecord) -> bool:
        """Keep the row within 50 ms; False when the queue is full."""
        row = {**message._asdict(), "tenant": self.domain}
        row |= {"caller": storable(message.caller), "name": storable(message.name)}
        return self._writer.put("voicemail_messages", (self.domain, message.id), row)

    def remove_message(self, message_id: str) -> bool:
        """Forget the row within 50 ms; False when the queue is full."""
        return self._writer.put("voicemail_messages", (self.domain, message_id), None)

    def save_mail(self, mail: MailRecord) -> bool:
        """Keep the row within 50 ms; False when the queue is full."""
        return self._writer.put("outbox", (self.domain, mail.id), {**mail._asdict(), "tenant": self.domain})

    def remove_mail(self, message_id: str) -> bool:
        """Forget the row within 50 ms; False when the queue is full."""
        return self._writer.put("outbox", (self.domain, message_id), None)

    def text(self, message_id: str) -> str | None:
        """What a text message says. Blocks. Raises: SecretError."""
        table = schema.waiting_messages
        wanted = select(table.c.sealed).where(self._is_mine(table) & (table.c.id == message_id))
        sealed = self._reader.read(lambda connection: connection.scalar(wanted))
        return None if sealed is None else self._sealer.open(sealed, (self.domain, "text", message_id))

    def save_text(self, message: TextRecord, content: str) -> bool:
        """Keep the row, its content sealed, within 50 ms; False when the queue is full."""
        sealed = self._sealer.seal(content, (self.domain, "text", message.id))
        row = {**message._asdict(), "tenant": self.domain, "sealed": sealed}
        return self._writer.put("waiting_messages", (self.domain, message.id), row)

    def remove_text(self, message_id: str) -> bool:
        """Forget the row within 50 ms; False when the queue is full."""
        return self._writer.put("waiting_messages", (self.domain, message_id), None)

    def save_recording(self, recording: RecordingRecord) -> bool:
        """Keep the row within 50 ms; False when the queue is full."""
        row = {**recording._asdict(), "tenant": self.domain}
        row |= {name: storable(row[name]) for name in ("caller", "callee")}
        return self._writer.put("recordings", (self.domain, recording.id), row)

    def remove_recording(self, recording_id: str) -> bool:
        """Forget the row within 50 ms; False when the queue is full."""
        return self._writer.put("recordings", (self.domain, recording_id), None)

    def save_audit(self, record: AuditRecord) -> bool:
        """Keep it within 50 ms; False when the queue is full."""
        row = {**record._asdict(), "tenant": self.domain, "allowed": int(record.allowed)}
        return self._writer.put("audit", (self.domain, record.id), row)

    def save_leg(self, leg: LegRecord) -> bool:
        """Write the leg's CDR as it is now within 50 ms; False when the queue is full."""
        assert leg.tenant == self.domain, "a leg is written through its own tenant's handle"
        return self._writer.put("cdrs", (leg.id,), partial(_leg_row, leg))

    def discard_leg(self, leg_id: str) -> bool:
        """Forget the leg, as if it had never started."""
        return self._writer.put("cdrs", (leg_id,), None)


class SqliteStore:
    """The store of a running daemon; it owns the data directory until `close`."""

    def __init__(self, directory: Path, wallclock: Callable[[], float], random_bytes: RandomBytes, limit: int) -> None:
        self._closed = False
        self._lock = DataLock(directory)
        try:
            self._open(directory, wallclock, random_bytes, limit)
        except BaseException:
            self._lock.release()
            raise

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        wallclock: Callable[[], float],
        random_bytes: RandomBytes = os.urandom,
        max_pending: int = MAX_PENDING,
    ) -> SqliteStore:
        """The store in `directory`, made when missing; legs that a crash left open are closed. Blocks.

        Raises: DataDirectoryError, DataDirectoryLockedError, StoreVersionError, SecretError.
        """
        return cls(directory, wallclock, random_bytes, max_pending)

    def _open(self, directory: Path, wallclock: Callable[[], float], random_bytes: RandomBytes, limit: int) -> None:
        path = directory / DATABASE_FILE
        self.directory = directory
        self._wallclock = wallclock
        try:
            self._sealer = Sealer(load_key(directory / KEY_FILE, random_bytes), random_bytes)
            self._spool = Spool(directory / SPOOL_FILE)
            moved_aside = open_database(path, wallclock)
            self._reader = StoreReader(directory)
            database = SqliteDatabase(path, self._spool, wallclock=wallclock, on_replaced=self._reader.close)
            from_spool, interrupted = _recover(database, self._spool)
        except OSError as error:
            raise DataDirectoryError(directory, error.strerror or str(error)) from None
        except (DatabaseError, RetryableError) as error:
            raise DataDirectoryError(directory, reason_of(error)) from None
        self.opening = OpeningReport(interrupted, from_spool, moved_aside)
        self._writer = Writer(database, max_pending=limit)
        # As many as there are tenants: who asks names one of the configuration's.
        self._handles: dict[str, SqliteTenantStore] = {}

    def tenant(self, domain: str) -> SqliteTenantStore:
        """The handle of one tenant."""
        handle = self._handles.get(domain)
        if handle is None:
            handle = self._handles[domain] = SqliteTenantStore(self._reader, self._writer, domain, self._sealer)
        return handle

    def domains(self) -> list[str]:
        """As `StoreReader.domains`."""
        return self._reader.domains()

    def save_tenants(self, tenants: Sequence[TenantConfig]) -> TenantChanges:
        """Make the stored tenants exactly these; what changed. Blocks."""
        return self._do(lambda connection: tenant_tables.save(connection, tenants, self._sealer))

    def load_tenants(self) -> tuple[TenantConfig, ...]:
        """The tenants as they were saved. Blocks.

        Raises: SecretError.
        """
        return self._reader.read(lambda connection: tenant_tables.load(connection, self._sealer))

    def remove_cdrs(self, *, before: float, limit: int, before_of: Mapping[str, float] = MappingProxyType({})) -> int:
        """Remove up to `limit` CDRs of calls that ended before; how many went. Blocks.

        `before_of` has the moments of tenants with their own.
        """
        return self._do(lambda connection: cdr_queries.remove_ended(connection, before, limit, before_of))

    def remove_audit(self, *, before: float, limit: int) -> int:
        """Remove up to `limit` rows of what was done before; how many went. Blocks."""
        return self._do(lambda connection: recording_queries.remove_audit(connection, before, limit))

    def remove_expired_bindings(self, wallclock: float, *, limit: int) -> int:
        """Remove up to `limit` bindings whose time is over; how many went. Blocks."""
        return self._do(lambda connection: cdr_queries.remove_expired_bindings(connection, wallclock, limit))

    def mark_alive(self) -> None:
        """Note the wallclock, so that a crash's interrupted calls end no earlier."""
        self._mark("alive", self._wallclock())

    def mark_clock_set(self, wallclock: float) -> None:
        """Note that the clock was set, to this: open legs say how long they had lasted until then."""
        self._mark("clock_set", wallclock)

    def _mark(self, key: str, moment: float) -> None:
        self._writer.put("meta", (key,), {"key": key, "value": repr(moment)})

    def health(self) -> StoreHealth:
        """The writer's counters."""
        return self._writer.health()

    def flush(self, timeout: float = 5.0) -> bool:
        """Whether everything written so far is durable within `timeout` seconds. Blocks."""
        return self._writer.flush(timeout)

    def close(self, timeout: float = 10.0) -> bool:
        """Commit what is pending and give the directory back; False when the disk did not take all of it."""
        # Before the writer's, because only the last connection that may write cleans the WAL up.
        self._reader.close()
        complete = self._writer.close(timeout)
        if self._closed:
            return complete
        self._closed = True
        if complete:
            self._spool.close()
        self._lock.release()
        return complete

    def _do(self, job: Callable[[Connection], T]) -> T:
        return self._writer.run(job).result(JOB_TIMEOUT_S)


def _recover(database: SqliteDatabase, spool: Spool) -> tuple[int, int]:
    """Take over what the last process left: CDRs in the spool, then legs still open."""
    rows: dict[Key, Row | None] = {(row["id"],): _storable_row(row) for row in spool.recovered()}
    alive, clock_set = database.run(cdr_queries.last_alive), database.run(cdr_queries.last_clock_set)
    if rows:
        database.write({"cdrs": rows})
    spool.erase()
    return len(rows), database.run(lambda connection: cdr_queries.close_open(connection, alive, clock_set))


def _binding_row(domain: str, binding: BindingRecord) -> dict[str, Any]:
    return {
        "tenant": domain,
        "aor": storable(binding.aor),
        "key": storable(binding.key),
        "contact": storable(binding.contact),
        "expires_at": binding.expires_at,
        "fields": _AS_JSON(dict(binding.fields)),
    }


def _subscription_row(domain: str, subscription: SubscriptionRecord) -> dict[str, Any]:
    return {
        "tenant": domain,
        "id": subscription.id,
        "expires_at": subscription.expires_at,
        "fields": _AS_JSON(dict(subscription.fields)),
    }


def _leg_row(leg: LegRecord) -> dict[str, Any]:
    return _storable_row(leg._asdict())


def _storable_row(row: dict[str, Any]) -> dict[str, Any]:
    for name in _LEG_TEXTS:
        text = row[name]
        if text is not None and not text.isascii():
            row[name] = storable(text)
    return row
