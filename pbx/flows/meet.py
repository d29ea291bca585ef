"""A conference room of the plan: PIN, announcements, and keys within it.

6 mutes and unmutes oneself, 9 (a moderator) locks and opens the room. A lock keeps no moderator out, or nobody could
open the room after the line of the one who locked it broke.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from pbx.decisions import ToConference
from pbx.flows.visit import Flow, Visit
from pbx.objects.groups import Conference as RoomConfig
from voipat import App, Call, Conference, Member, PromptSet, Rejected, reasons

TRIES: Final = 3
LONGEST_PIN: Final = 16
MUTE: Final = "6"
LOCK: Final = "9"


def meet(app: App) -> Flow:
    """The flow of `ToConference`."""
    # How many of each room are in it now, by tenant and number.
    moderators: Counter[tuple[str, str]] = Counter()

    async def run(visit: Visit, target: ToConference) -> None:
        """Raises: CallOutcome."""
        call, config = visit.call, target.conference
        await call.answer()
        is_moderator = await _may_enter(call, config)
        room = app.conference(f"room-{config.number}", tenant=visit.tenant.domain, limit=config.max_parties)
        async with room as conference:
            member = await conference.join(call, past_lock=is_moderator)
            if config.announce:
                await conference.announce(_words(call, "conference/has-joined"))
            if not is_moderator:
                await _stay(call, conference, member, is_moderator=False)
                return
            key = visit.tenant.domain, config.number
            moderators[key] += 1
            try:
                await _stay(call, conference, member, is_moderator=True)
            finally:
                moderators[key] -= 1
                if not moderators[key]:
                    del moderators[key]
                    if config.ends_with_moderator:
                        await _end(conference)

    return run


async def _end(conference: Conference) -> None:
    """The last moderator has left."""
    for member in conference.members:
        if member.is_in:
            await member.kick()


async def _may_enter(call: Call, config: RoomConfig) -> bool:
    """Ask for the PIN where there is one; whether it was the moderator's. Raises: Rejected after three wrong ones."""
    if not config.pin and not config.moderator_pin:
        await call.say("conference/joined")
        return False
    for _ in range(TRIES):
        given = await call.ask(_words(call, "conference/enter-pin"), digits=LONGEST_PIN)
        if given and given == config.moderator_pin:
            await call.say("conference/joined")
            return True
        if given == config.pin:
            await call.say("conference/joined")
            return False
        call.note("conference %s: wrong PIN", config.number)
        await call.say("wrong-pin")
    await call.say("goodbye")
    raise Rejected(reasons.TOO_MANY_PINS)


async def _stay(call: Call, conference: Conference, member: Member, *, is_moderator: bool) -> None:
    async for digit in call.digits():
        if digit == MUTE:
            await member.set_muted(not member.muted)
        elif digit == LOCK and is_moderator:
            conference.lock(not conference.is_locked)
            await conference.announce(
                _words(call, "conference/locked" if conference.is_locked else "conference/unlocked")
            )


def _words(call: Call, name: str) -> str:
    prompts: PromptSet = call.prompts
    return prompts.path(name)
