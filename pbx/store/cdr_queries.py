"""Queries on CDRs and on what recovery and retention need; each touches an index and a bounded number of rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Table, and_, case, delete, func, or_, select, tuple_, update

from pbx.store.base import MAX_QUERY_ROWS, CdrFilter, LegRecord
from pbx.store.database import restored, storable
from pbx.store.schema import (
    audit,
    bindings,
    cdrs,
    meta,
    outbox,
    recordings,
    subscriptions,
    tenant_state,
    tenants,
    voicemail_messages,
    waiting_messages,
)

# In the state of a tenant that is configured no more: since when.
GONE_KEY: Final = "gone_since"
# What is a tenant's own and goes with it, beside its state: each begins its primary key or an index with the tenant.
OF_TENANTS: Final = (cdrs, bindings, subscriptions, recordings, voicemail_messages, waiting_messages, outbox, audit)
LINKED_AT_ONCE: Final = 500  # ids in one IN list

_COLUMNS: Final = [cdrs.c[name] for name in LegRecord._fields]
# RFC 3398 §7.2.4.1 and ITU-T Q.850: 41, temporary failure.
RESTART_Q850: Final = 41


def legs(connection: Connection, tenant: str, wanted: CdrFilter) -> list[LegRecord]:
    """The tenant's legs that the filter wants, newest first."""
    return _page(connection, tenant, wanted, [])


def calls(connection: Connection, tenant: str, wanted: CdrFilter) -> list[list[LegRecord]]:
    """The legs of each wanted call, its first leg in front."""
    found = {leg.linked_id: [leg] for leg in _page(connection, tenant, wanted, [cdrs.c.id == cdrs.c.linked_id])}
    ids = list(found)
    # As an expression, because with a bare `tenant = ?` SQLite walks cdrs_started of the whole tenant (100 ms in a
    # million rows) rather than cdrs_linked.
    own = func.coalesce(cdrs.c.tenant, "") == tenant
    for start in range(0, len(ids), LINKED_AT_ONCE):
        part = [storable(linked_id) for linked_id in ids[start : start + LINKED_AT_ONCE]]
        others = (
            select(*_COLUMNS)
            .where(cdrs.c.linked_id.in_(part), own, cdrs.c.id != cdrs.c.linked_id)
            .order_by(cdrs.c.started, cdrs.c.id)
        )
        for leg in map(_leg, connection.execute(others)):
            found[leg.linked_id].append(leg)
    return list(found.values())


def domains(connection: Connection) -> list[str]:
    """Every domain with a row: one index step per domain, however many rows it has.

    That a tenant is gone is noted for good, and is none.
    """
    names = set(connection.scalars(select(tenants.c.tenant)))
    for table in OF_TENANTS:
        names.update(_distinct_tenants(connection, table))
    by_hand = select(tenant_state.c.tenant).where(tenant_state.c.key != GONE_KEY)
    names.update(connection.scalars(by_hand.distinct()))
    return sorted(names)


def last_alive(connection: Connection) -> float:
    """When the last process was known to live; 0 when it never said."""
    return _moment(connection, "alive")


def last_clock_set(connection: Connection) -> float:
    """To what the clock was set last while calls were up; 0 when it never was."""
    return _moment(connection, "clock_set")


def _moment(connection: Connection, key: str) -> float:
    return float(connection.scalar(select(meta.c.value).where(meta.c.key == key)) or 0)


def close_open(connection: Connection, alive: float, clock_set: float) -> int:
    """Close every open leg as interrupted at the last time known; how many there were.

    A leg that has a duration already had lasted so long when the clock was set.
    """
    since = max(alive - clock_set, 0.0)
    begun = func.coalesce(cdrs.c.answered, cdrs.c.started)
    end = case((begun > alive, begun), else_=alive)
    duration = case((cdrs.c.duration_s.is_(None), end - cdrs.c.started), else_=cdrs.c.duration_s + since)
    billable = case(
        (cdrs.c.answered.is_(None), 0.0),
        (cdrs.c.billable_s.is_(None), end - cdrs.c.answered),
        else_=cdrs.c.billable_s + since,
    )
    closing = (
        update(cdrs)
        .where(cdrs.c.ended.is_(None))
        .values(
            ended=end,
            duration_s=duration,
            billable_s=billable,
            disposition="interrupted",
            hangup_by="system",
            cause_q850=RESTART_Q850,
        )
    )
    return connection.execute(closing).rowcount


def remove_ended(connection: Connection, before: float, limit: int, before_of: Mapping[str, float]) -> int:
    """Delete up to `limit` legs that started and ended before, of each tenant by its own time where it has one."""
    removed = 0
    for tenant in _distinct_tenants(connection, cdrs):
        end = before_of.get(tenant, before)
        old = (
            select(cdrs.c.id)
            .where(cdrs.c.tenant == tenant, cdrs.c.started < end, cdrs.c.ended < end)
            .limit(limit - removed)
        )
        removed += connection.execute(delete(cdrs).where(cdrs.c.id.in_(old))).rowcount
        if removed >= limit:
            break
    return removed


def remove_expired_bindings(connection: Connection, wallclock: float, limit: int) -> int:
    """Delete up to `limit` bindings, and then subscriptions, that expired before `wallclock`."""
    removed = 0
    for table in (bindings, subscriptions):
        key = list(table.primary_key.columns)
        old = select(*key).where(table.c.expires_at < wallclock).limit(limit - removed)
        removed += connection.execute(delete(table).where(tuple_(*key).in_(old))).rowcount
    return removed


def _page(
    connection: Connection, tenant: str, wanted: CdrFilter, extra: Iterable[ColumnElement[bool]]
) -> list[LegRecord]:
    conditions = [cdrs.c.tenant == tenant, *extra, *_conditions(wanted)]
    # The id as an expression: a bare one makes SQLite walk cdrs_started, which has it, through all of the tenant
    # (80 ms in a million rows) to save the sorting of ties, though cdrs_caller would find the few rows at once.
    newest_first = (cdrs.c.started.desc(), func.coalesce(cdrs.c.id, "").desc())
    limit = max(0, min(wanted.limit, MAX_QUERY_ROWS))
    page = select(*_COLUMNS).where(and_(*conditions)).order_by(*newest_first).limit(limit)
    return [_leg(row) for row in connection.execute(page)]


def _conditions(wanted: CdrFilter) -> Iterable[ColumnElement[bool]]:
    if wanted.since is not None:
        yield cdrs.c.started >= wanted.since
    if wanted.until is not None:
        yield cdrs.c.started < wanted.until
    if wanted.caller is not None:
        yield cdrs.c.caller == storable(wanted.caller)
    if wanted.callee is not None:
        yield cdrs.c.callee == storable(wanted.callee)
    if wanted.disposition is not None:
        yield cdrs.c.disposition == wanted.disposition
    if not wanted.under_way:
        yield cdrs.c.ended.is_not(None)
    if wanted.before is not None:
        started, leg_id = wanted.before
        # Written so that the index is entered at `started` and the tie decided after.
        yield cdrs.c.started <= started
        yield or_(cdrs.c.started < started, cdrs.c.id < leg_id)


def _distinct_tenants(connection: Connection, table: Table) -> Sequence[str]:
    """The tenants of a table whose index begins with the tenant, one seek each."""
    found: list[str] = []
    following: str | None = connection.scalar(select(func.min(table.c.tenant)))
    while following is not None:
        found.append(following)
        following = connection.scalar(select(func.min(table.c.tenant)).where(table.c.tenant > following))
    return found


def _leg(row: Row[Any]) -> LegRecord:
    return LegRecord(*(restored(value) for value in row))
