"""What goes on in conferences, queues, parks and at hot desks now, as rows for the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from pbx.audit import OPERATOR
from pbx.flows.visit import Desk
from pbx.hot_desks import Seat
from pbx.output import Row, rfc3339
from pbx.queue_figures import day_of, figures_of
from pbx.tenant_state import QUEUE_PAUSED
from pbx.tenants import TenantConfig
from voipat import App


def conference_rows(app: App, tenant: str | None, room: str | None) -> Iterator[Row]:
    """One row per open room; of one room, one row per member."""
    for each in app.conferences:
        if tenant not in (None, each.tenant) or room not in (None, each.name):
            continue
        if room is None:
            members = len(each.members)
            yield {"tenant": each.tenant, "room": each.name, "members": members, "locked": each.is_locked}
            continue
        for member in each.members:
            yield {
                "tenant": each.tenant,
                "room": each.name,
                "call": member.call.id,
                "caller": member.call.caller,
                "muted": member.muted,
            }


def queue_rows(
    desk: Desk, tenants: Mapping[str, TenantConfig], tenant: str | None, number: str | None, *, now: float
) -> Iterator[Row]:
    """One row per queue, with the figures of the day; of one queue, one per caller, the next one first, and per agent.

    `now` is a wallclock.
    """
    for domain, config in tenants.items():
        for queue in config.plan.queues if tenant in (None, domain) else ():
            waiting = desk.queues.line(domain, queue).waiting
            if number is None:
                free = sum(_agent_state(desk, domain, each) == "free" for each in queue.agents)
                row = {"tenant": domain, "queue": queue.number, "waiting": len(waiting)}
                day = day_of(now, config.plan.settings.time_zone)
                figures = figures_of(desk.state.tenant(domain), queue.number, day)
                yield {**row, "agents": len(queue.agents), "free": free, **figures.shown}
            elif number == queue.number:
                for number_in_line, each in enumerate(waiting, start=1):
                    kind = "callback" if each.call is None else "caller"
                    row = _queue_row(domain, queue.number, kind, each.number, each.state)
                    waited_s = round(max(0.0, now - each.since), 1)
                    yield {**row, "place": number_in_line, "priority": each.priority, "waited_s": waited_s}
                for agent in queue.agents:
                    row = _queue_row(domain, queue.number, "agent", agent, _agent_state(desk, domain, agent))
                    yield {**row, "place": None, "priority": None, "waited_s": None}


def parked_rows(desk: Desk, tenant: str | None) -> Iterator[Row]:
    """One row per call that waits in a slot."""
    for each in desk.parking.parked(tenant):
        yield {
            "tenant": each.call.tenant,
            "slot": each.slot,
            "call": each.call.id,
            "number": each.call.own_number,
            "parker": each.parker,
        }


def desk_rows(desk: Desk, tenant: str | None) -> Iterator[Row]:
    """One row per desk where somebody is logged in."""
    return map(_desk_row, desk.hot_desks.seats(tenant))


def log_out(desk: Desk, name: str) -> Row | None:
    """Make the desk `TENANT/NUMBER` nobody's; who sat there."""
    tenant, _, phone = name.partition("/")
    seat = desk.hot_desks.at(tenant, phone)
    if seat is None:
        return None
    desk.hot_desks.log_out(seat)
    if desk.audit is not None:
        desk.audit.note(tenant, OPERATOR, "desk-logged-out", phone)
    return {**_desk_row(seat), "logged_out": True}


def _desk_row(seat: Seat) -> Row:
    since = rfc3339(datetime.fromtimestamp(seat.since, UTC))
    return {"tenant": seat.tenant, "desk": seat.phone, "person": seat.person, "since": since}


def _queue_row(domain: str, queue: str, kind: str, number: str, state: str) -> dict[str, object]:
    return {"tenant": domain, "queue": queue, "kind": kind, "number": number, "state": state}


def _agent_state(desk: Desk, domain: str, number: str) -> str:
    """What he does; "free" may still mean that no phone of his is registered."""
    if desk.state.tenant(domain).get(number, QUEUE_PAUSED) == "on":
        return "paused"
    if desk.queues.agent(domain, number).reserved or desk.admission.calls_of(domain, number):
        return "busy"
    return "free"
