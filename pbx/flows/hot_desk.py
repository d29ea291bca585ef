"""Log in at a shared phone with one's extension and PIN, and log out; the audit has each, and each wrong PIN."""

from __future__ import annotations

from typing import Final

from pbx.decisions import ToDeskLogin, ToDeskLogout
from pbx.flows.visit import Visit
from voipat import Rejected, reasons

TRIES: Final = 3
_LONGEST_PIN: Final = 16


async def log_in(visit: Visit, target: ToDeskLogin) -> None:
    """Ask for what was not dialled, then for the PIN. Raises: CallOutcome."""
    call, desks, phone = visit.call, visit.desk.hot_desks, _desk(visit)
    await call.answer()
    longest = max(map(len, visit.tenant.extensions))
    person = target.number or await call.ask(call.prompts.say(["enter-extension"]), digits=longest)
    for _ in range(TRIES):
        if desks.is_locked(call.tenant, phone, person):
            break
        # Whoever is no extension, or has no PIN, is asked for one as everybody: nobody learns who is.
        given = await call.ask(call.prompts.say(["enter-pin"]), digits=_LONGEST_PIN)
        if not given:
            continue  # nobody pressed anything: no try that could lock somebody out
        was_right = desks.log_in(call.tenant, phone, person, given)
        visit.note_audit(person, "desk-logged-in", phone, allowed=was_right)
        if was_right:
            await call.say("feature/login")
            return
        await call.say("wrong-pin")
    await call.say("goodbye")
    raise Rejected(reasons.TOO_MANY_PINS)


async def log_out(visit: Visit, target: ToDeskLogout) -> None:
    """Leave the desk to the next one. Raises: CallOutcome."""
    call, desks = visit.call, visit.desk.hot_desks
    seat = desks.at(call.tenant, _desk(visit))
    if seat is None:
        raise Rejected(reasons.NOBODY_LOGGED_IN)
    desks.log_out(seat)
    visit.note_audit(seat.person, "desk-logged-out", seat.phone)
    await call.say("feature/logout")


def _desk(visit: Visit) -> str:
    """The phone that the call comes from, whoever sits there. Raises: Rejected when it is no desk."""
    phone = visit.call.seat or visit.caller
    extension = visit.tenant.extensions.get(phone)
    if extension is None or not extension.desk:
        raise Rejected(reasons.NO_DESK)
    return phone
