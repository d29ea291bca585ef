"""Queries on recordings and on who did what; each touches an index and a bounded number of rows."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select, tuple_

from pbx.store.base import MAX_QUERY_ROWS, AuditRecord, RecordingFilter, RecordingRecord
from pbx.store.database import restored
from pbx.store.schema import audit, recordings

_COLUMNS = [recordings.c[name] for name in RecordingRecord._fields]
_AUDIT_COLUMNS = [audit.c[name] for name in AuditRecord._fields]


def page(connection: Connection, tenant: str, wanted: RecordingFilter) -> list[RecordingRecord]:
    """The tenant's recordings that the filter wants, newest first."""
    conditions = [recordings.c.tenant == tenant]
    for column, value in (
        (recordings.c.owner, wanted.owner),
        (recordings.c.linked_id, wanted.linked_id),
        (recordings.c.state, wanted.state),
    ):
        if value is not None:
            conditions.append(column == value)
    if wanted.since is not None:
        conditions.append(recordings.c.started >= wanted.since)
    if wanted.until is not None:
        conditions.append(recordings.c.started < wanted.until)
    if wanted.before is not None:
        conditions.append(tuple_(recordings.c.started, recordings.c.id) < tuple_(*wanted.before))
    query = select(*_COLUMNS).where(*conditions)
    newest_first = query.order_by(recordings.c.started.desc(), recordings.c.id.desc())
    rows = connection.execute(newest_first.limit(max(0, min(wanted.limit, MAX_QUERY_ROWS))))
    return [_record(RecordingRecord(*row)) for row in rows]


def find(connection: Connection, tenant: str, recording_id: str) -> RecordingRecord | None:
    """One recording of the tenant."""
    mine = select(*_COLUMNS).where(recordings.c.tenant == tenant, recordings.c.id == recording_id)
    row = connection.execute(mine).first()
    return None if row is None else _record(RecordingRecord(*row))


def audited(connection: Connection, tenant: str, since: float, limit: int) -> list[AuditRecord]:
    """What was done since, newest first."""
    mine = select(*_AUDIT_COLUMNS).where(audit.c.tenant == tenant, audit.c.at >= since)
    rows = connection.execute(mine.order_by(audit.c.at.desc(), audit.c.id.desc()).limit(min(limit, MAX_QUERY_ROWS)))
    return [AuditRecord(*row)._replace(allowed=bool(row.allowed)) for row in rows]


def remove_audit(connection: Connection, before: float, limit: int) -> int:
    """Delete up to `limit` rows of what was done before."""
    key = tuple_(audit.c.tenant, audit.c.id)
    old = select(audit.c.tenant, audit.c.id).where(audit.c.at < before).limit(limit)
    return connection.execute(delete(audit).where(key.in_(old))).rowcount


def _record(found: RecordingRecord) -> RecordingRecord:
    return found._replace(caller=restored(found.caller), callee=restored(found.callee))
