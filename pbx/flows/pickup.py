"""Pickup: take a call that rings at another phone of one's pickup group."""

from __future__ import annotations

from pbx.decisions import ToPickup
from pbx.flows.visit import Visit
from voipat import Call, Rejected, reasons


async def pick_up(visit: Visit, target: ToPickup) -> None:
    """Take the call that has rung longest at `number`, or anywhere in the caller's group. Raises: CallOutcome."""
    ringing = _ringing(visit, target.number)
    if ringing is None:
        await visit.call.say("feature/nothing-to-pick-up")
        raise Rejected(reasons.NOTHING_TO_PICK_UP)
    visit.call.note("picks up %s, which rings at %s", ringing.id, ringing.own_number)
    await visit.call.pick_up(ringing)


def _ringing(visit: Visit, number: str) -> Call | None:
    """Raises: Rejected when the caller is of no group, or of another one."""
    extensions = visit.tenant.extensions
    group = extensions[visit.caller].pickup_group if visit.caller in extensions else ""
    if not group or (number and extensions[number].pickup_group != group):
        raise Rejected(reasons.PICKUP_REFUSED)
    members = [number] if number else [each.number for each in extensions.values() if each.pickup_group == group]
    found = [call for member in members if member != visit.caller for call in visit.call.ringing_at(member)]
    return min(found, key=lambda call: call.started, default=None)
