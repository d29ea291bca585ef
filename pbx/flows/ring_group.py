"""Ring groups: members together, one after another, or more and more; with `confirm` the called one must press 1.

Who is not the one hears "completed elsewhere", so that no phone shows a missed call. A group that nobody can be reached
in goes on at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Final

from pbx.decisions import OnBehalf, ToExtension, ToGroup, ToTrunks
from pbx.flows.outbound import dial_out, place_outside
from pbx.flows.visit import Visit
from pbx.objects.groups import RingGroup
from pbx.routing import route
from voipat import Call, CallOutcome, Rejected, reasons

CONFIRM_KEY: Final = "1"
CONFIRM_S: Final = 10.0

Member = ToExtension | ToTrunks
_Attempt = asyncio.Task[Call | Rejected]


async def ring_group(visit: Visit, target: ToGroup) -> None:
    """Ring by the group's strategy and bridge with who answers, or go on to `otherwise`. Raises: CallOutcome."""
    group = target.group
    members = list(_members(visit, group))
    for together in _stages(visit, group, members):
        try:
            with ExitStack() as places:
                winner = await _ring(visit, group, together, places)
                await visit.call.bridge(winner)
            return
        except Rejected as refused:
            if visit.call.outcome is not None:
                raise
            visit.call.note("group %s: %s %s", group.number, refused.reason.id, refused.reason.text)
    await visit.follow(group.otherwise)


def _members(visit: Visit, group: RingGroup) -> Iterator[tuple[str, Member]]:
    """Who can be rung now: not who wants no calls, nor who calls himself."""
    for number in group.members:
        extension = visit.tenant.extensions.get(number)
        if extension is None:
            found = route(visit.directory, visit.call.tenant, number, visit.at, OnBehalf(), state=visit.state).target
            if isinstance(found, ToTrunks):
                yield number, found
        elif number != visit.caller and not visit.state.dnd(extension):
            yield number, ToExtension(extension)


def _stages(
    visit: Visit, group: RingGroup, members: list[tuple[str, Member]]
) -> Iterator[Sequence[tuple[str, Member]]]:
    """Who is rung together, stage by stage."""
    if not members:
        return
    match group.strategy:
        case "simultaneous":
            yield members
        case "memory":
            yield from (members[: count + 1] for count in range(len(members)))
        case "random":
            waiting = list(members)
            while waiting:
                place = min(int(visit.desk.chance.uniform(0.0, float(len(waiting)))), len(waiting) - 1)
                yield [waiting.pop(place)]
        case "rollover":
            yield from _rollover(visit, group, members)
        case _:
            yield from ([member] for member in members)


def _rollover(
    visit: Visit, group: RingGroup, members: list[tuple[str, Member]]
) -> Iterator[Sequence[tuple[str, Member]]]:
    key = (visit.call.tenant, group.number)
    numbers = [number for number, _ in members]
    last = visit.desk.last_rung.get(key, "")
    first = numbers.index(last) + 1 if last in numbers else 0
    for place in range(len(members)):
        member = members[(first + place) % len(members)]
        visit.desk.last_rung[key] = member[0]
        yield [member]


async def _ring(visit: Visit, group: RingGroup, members: Sequence[tuple[str, Member]], places: ExitStack) -> Call:
    """The call of who took it. Its member's place is left in `places`, the others' are given back. Raises: Rejected."""
    with ExitStack() as ringing:
        held = {number: ringing.enter_context(ExitStack()) for number, _ in members}
        free = {number: member for number, member in members if _take(visit, member, held[number])}
        if not free:
            raise Rejected(reasons.CALLEE_LIMIT)
        if not group.confirm and all(isinstance(member, ToExtension) for member in free.values()):
            winner = await visit.call.dial(list(free), timeout=group.ring_s)
            number = winner.own_number
        else:
            winner, number = await _race(visit, group, free)
        if number in held:
            places.push(held[number].pop_all())
        else:
            places.enter_context(winner.take_place())
    return winner


def _take(visit: Visit, member: Member, places: ExitStack) -> bool:
    try:
        if isinstance(member, ToTrunks):
            places.enter_context(place_outside(visit, member))
            return True
        places.enter_context(visit.desk.admission.callee(visit.call.tenant, member.extension))
    except Rejected:
        return False
    return True


async def _race(visit: Visit, group: RingGroup, members: Mapping[str, Member]) -> tuple[Call, str]:
    """The first who answers and, where that is asked for, presses 1. Raises: Rejected, HungUp, Cancelled."""
    reason = reasons.NO_ANSWER
    async with asyncio.TaskGroup() as tasks:
        running = {tasks.create_task(_reach(visit, group, member)): number for number, member in members.items()}
        winner: tuple[Call, str] | None = None
        async for task in _as_they_come(running):
            found = task.result()
            if isinstance(found, Call):
                winner = found, running[task]
                break
            reason = found.reason
        for attempt in visit.call.attempts:
            if winner is None or attempt is not winner[0]:
                attempt.end("server", reasons.COMPLETED_ELSEWHERE)
        for task in running:
            task.cancel()
    if winner is None:
        raise Rejected(reason)
    return winner


async def _reach(visit: Visit, group: RingGroup, member: Member) -> Call | Rejected:
    try:
        if isinstance(member, ToTrunks):
            found = await dial_out(visit, member, timeout=group.ring_s)
        else:
            found = await visit.call.dial(member.extension.number, timeout=group.ring_s)
    except Rejected as refused:
        return refused
    except CallOutcome as outcome:
        # The caller is gone: every other member hears it by itself.
        return Rejected(outcome.reason)
    return await _confirmed(visit, group, found) if group.confirm else found


async def _confirmed(visit: Visit, group: RingGroup, found: Call) -> Call | Rejected:
    """The voicemail of a mobile answers too, but presses no key."""
    try:
        prompt = visit.prompt(group.confirm_prompt)
        key = await found.ask(prompt, digits=1, timeout=CONFIRM_S)
    except CallOutcome as outcome:
        return Rejected(outcome.reason)
    if key == CONFIRM_KEY:
        return found
    found.end("server", reasons.NO_ANSWER)
    return Rejected(reasons.NO_ANSWER)


async def _as_they_come(tasks: Iterable[_Attempt]) -> AsyncIterator[_Attempt]:
    waiting = set(tasks)
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            yield task
