"""Parking: a call waits with music in a slot until somebody dials the slot, or goes back to who parked it.

The usual way is a blind transfer to the number of the park: its handler runs for the caller who is parked, and the
parker, still on the line, is told the slot. Who dials the number himself is told his own slot; when he then completes
an attended transfer, the other one gets that slot.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from pbx.decisions import ToPark, ToParkSlot
from pbx.flows.visit import Visit
from pbx.objects.groups import Park
from pbx.parking import Parked
from voipat import CallOutcome, Digits, Rejected, reasons

HANG_UP: Final = "hangup"


async def park(visit: Visit, target: ToPark) -> None:
    """Wait in a slot; after `timeout_s` ring who parked the call. Raises: CallOutcome."""
    call = visit.call
    parker = call.transferred_by or visit.caller
    with visit.desk.parking.place(call, target.park, parker) as parked:
        call.note("parked at %s by %s", parked.slot, parker or "nobody")
        await _tell_slot(visit, parked)
        # Who came for it and has left in the same moment has not taken it.
        if await _waits(visit, target.park, parked) and (taker := parked.taken.result()).outcome is None:
            await call.hand_over(taker)
            return
    call.note("nobody took it from %s in %g s", parked.slot, target.park.timeout_s)
    await _go_back(visit, target.park, parker)


async def _go_back(visit: Visit, park: Park, parker: str) -> None:
    """To who parked the call, and where nobody is there, on. Raises: CallOutcome."""
    call, goes_on = visit.call, park.otherwise != HANG_UP
    if call.transferred_by is not None:
        try:
            await visit.follow(parker)
            return
        except Rejected as refused:
            if call.outcome is not None or not goes_on:
                raise
            call.note("back to %s: %s %s", parker, refused.reason.id, refused.reason.text)
    if goes_on:
        await visit.follow(park.otherwise)
    else:
        await call.say("goodbye")


async def unpark(visit: Visit, target: ToParkSlot) -> None:
    """Take the call that waits in a slot. Raises: CallOutcome."""
    call = visit.call
    await call.answer()
    if visit.desk.parking.take(call.tenant, target.slot, call):
        await call.hung_up()
    await call.say("park/empty")
    raise Rejected(reasons.NOTHING_PARKED)


async def _tell_slot(visit: Visit, parked: Parked) -> None:
    """Tell the parker the slot before the call is taken off him; who has hung up already does not wait for it."""
    transferor = visit.call.transferor
    if transferor is None:
        await visit.call.say("park/slot", Digits(parked.slot))
    else:
        visit.speak(transferor, visit.language_of(parked.parker))
        with suppress(CallOutcome):
            await transferor.say("park/slot", Digits(parked.slot))
    visit.desk.parking.said(parked)
    await visit.call.answer()


async def _waits(visit: Visit, park: Park, parked: Parked) -> bool:
    """Music until somebody has come for the call. Raises: CallOutcome."""
    call = visit.call
    async with call.meanwhile(call.play(visit.music(park.music))):
        if not await call.until(parked.taken, timeout=park.timeout_s):
            return False
    return True
