"""What goes on in conferences, queues, parks and at hot desks now, as rows for the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from pbx.audit import OPERATOR
from pbx.flows.visit import Desk
from pbx.hot_desks import Seat
from pbx.output import Row, rfc3339
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
    desk: Desk, tenants: Mapping[str, TenantConfig], tenant: str | None, number: str | None
) -> Iterator[Row]:
    """One row per queue; of one queue, one row per caller, the next one first, and one per agent."""
    for domain, config in tenants.items():
        for queue in config.plan.queues if tenant in (None, domain) else ():
            waiting = desk.queues.line(domain, queue).waiting
            if number is None:
                free = sum(_agent_state(desk, domain, each) == "free" for each in queue.agents)
                row = {"tenant": domain, "queue": queue.number, "waiting": len(waiting)}
                yield {**row, "agents": len(queue.agents), "free": free}
            elif number == queue.number:
                for place, each in enumerate(waiting, start=1):
                    state = "ringing" if each.is_ringing else "waiting"
                    yield _queue_row(domain, queue.number, "caller", each.call.own_number, state, place=place)
                for agent in queue.agents:
                    yield _queue_row(domain, queue.number, "agent", agent, _agent_state(desk, domain, agent))


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


def _queue_row(domain: str, queue: str, kind: str, number: str, state: str, *, place: int | None = None) -> Row:
    return {"tenant": domain, "queue": queue, "kind": kind, "number": number, "state": state, "place": place}


def _agent_state(desk: Desk, domain: str, number: str) -> str:
    """What he does; "free" may still mean that no phone of his is registered."""
    if desk.state.tenant(domain).get(number, QUEUE_PAUSED) == "on":
        return "paused"
    if desk.queues.agent(domain, number).reserved or desk.admission.calls_of(domain, number):
        return "busy"
    return "free"
