"""Queues: callers wait in their turn, with music and their position, until an agent takes the call.

Who has the higher priority comes first, among equals who came first. Each caller rings agents by himself when it is his
turn; an agent who is reserved, in a call, in wrap-up, paused, or not to be disturbed is not rung. An agent who lets
`pause_after` calls ring in vain is paused until `voipat set` says else. Who presses 1, where the queue has `callback`,
hangs up and keeps his place (`pbx.flows.callbacks`).
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Final

from pbx.decisions import ToQueue
from pbx.flows.queue_agents import crew_of
from pbx.flows.queue_stay import Stay
from pbx.flows.visit import Visit
from pbx.objects.groups import Queue
from pbx.queues import REST_S, Agent, Place, in_order
from pbx.routing import call_back
from pbx.tenant_state import QUEUE_PAUSED
from voipat import Call, Digits, NoAnswer, Number, Rejected, reasons

# An agent's other calls end without a word to the queue: so often we look.
LOOK_S: Final = 1.0
# A program, or the number that was called, says how soon a caller comes.
PRIORITY: Final = "queue_priority"
MOST_PRIORITY: Final = 100
CALLBACK_KEY: Final = "1"
_CAN_BE_SAID: Final = frozenset("0123456789+*#")


async def wait_for_agent(visit: Visit, target: ToQueue) -> None:
    """Wait and talk, or go on to `otherwise`. Raises: CallOutcome."""
    queue, call = target.queue, visit.call
    line = visit.desk.queues.line(call.tenant, queue)
    place = Place(call.own_number, line.moment(call.switch.wallclock()), priority_of(call), call)
    with Stay(visit, queue, place) as stay:
        if len(line.waiting) >= queue.max_callers:
            await _refuse(call, queue)
        elif not queue.join_empty and not any(map(crew_of(visit).serves, queue.agents)):
            call.note("queue %s: no agent is there", queue.number)
        elif await _served(visit, queue, place, stay):
            return
        stay.ends("elsewhere")
    await visit.follow(queue.otherwise)


async def wait_again(visit: Visit, queue: Queue, place: Place) -> None:
    """As `wait_for_agent`, for who was called back and has the place still. Raises: CallOutcome."""
    with Stay(visit, queue, place, called_back=True) as stay:
        if await _served(visit, queue, place, stay, called_back=True):
            return
        stay.ends("elsewhere")
    await visit.follow(queue.otherwise)


def priority_of(call: Call) -> int:
    """From 0 to 100; what is no such number is 0."""
    text = call.variables.get(PRIORITY, "")
    return min(int(text), MOST_PRIORITY) if text.isdecimal() else 0


async def _served(visit: Visit, queue: Queue, place: Place, stay: Stay, *, called_back: bool = False) -> bool:
    """Whether an agent talked to the caller, or is to call back, before `max_wait_s` was over."""
    await visit.call.answer()
    # Who was answered at the same time may have taken the last place. From here to his own place nothing is awaited.
    if not called_back and len(visit.desk.queues.line(visit.call.tenant, queue).waiting) >= queue.max_callers:
        await _refuse(visit.call, queue)
        return False
    visit.call.variables["queue"] = queue.number
    offers = not called_back and _can_be_called_back(visit, queue, place.number)
    deadline = _now() + queue.max_wait_s
    while (left := deadline - _now()) > 0:
        with ExitStack() as held:
            found = await _find(visit, queue, place, held, wait_s=left, offers=offers)
            # Who hung up before the music was off is as one who did not answer.
            if found is not None and found.outcome is None:
                stay.ends("answered", found.own_number)
                await visit.call.bridge(found)
                return True
        if place.wants_callback:
            stay.ends("callback")
            await _promise(visit, queue, place)
            return True
        if found is None:
            break
    visit.call.note("queue %s: nobody for %g s", queue.number, queue.max_wait_s)
    return False


async def _refuse(call: Call, queue: Queue) -> None:
    call.note("queue %s: has %d callers", queue.number, queue.max_callers)
    await call.say("queue/full")


def _can_be_called_back(visit: Visit, queue: Queue, number: str) -> bool:
    if not queue.callback or visit.desk.callbacks is None:
        return False
    return call_back(visit.directory, visit.call.tenant, number, visit.at, state=visit.state) is not None


async def _promise(visit: Visit, queue: Queue, place: Place) -> None:
    """Say which number is called back; whoever hangs up before the end of it has been promised it all the same."""
    call, callbacks = visit.call, visit.desk.callbacks
    assert callbacks is not None, "it was offered"
    call.note("queue %s: is called back", queue.number)
    begin = callbacks.promise(call.tenant, queue, place)
    try:
        number = [Digits(place.number)] if set(place.number) <= _CAN_BE_SAID else []
        await call.say("queue/callback-promised", *number)
    finally:
        begin()


async def _find(
    visit: Visit, queue: Queue, place: Place, held: ExitStack, *, wait_s: float, offers: bool
) -> Call | None:
    """The call of an agent; what it holds of him is left in `held`."""
    call, deadline = visit.call, _now() + wait_s
    with visit.desk.queues.place(call.tenant, queue, place):
        async with call.meanwhile(_entertain(visit, queue, place, offers=offers)):
            while (left := deadline - _now()) > 0 and not place.wants_callback:
                agents = _choose(visit, queue, place)
                if not agents:
                    await place.changed(min(left, LOOK_S))
                elif (found := await _ring(visit, queue, place, agents, held, min(left, queue.ring_s))) is not None:
                    return found
    return None


def _choose(visit: Visit, queue: Queue, place: Place) -> list[str]:
    desk, tenant = visit.desk, visit.call.tenant
    free = crew_of(visit).free_for(queue, place)
    agents = [desk.queues.agent(tenant, number) for number in free]
    last_rung = desk.queues.line(tenant, queue).last_rung
    return in_order(queue, free, agents, last_rung, desk.chance.uniform(0.0, 1.0))


async def _ring(
    visit: Visit, queue: Queue, place: Place, numbers: list[str], held: ExitStack, ring_s: float
) -> Call | None:
    """The call of the first who answers; the others are free again at once. Raises: HungUp, Cancelled."""
    call, desk = visit.call, visit.desk
    desk.queues.line(call.tenant, queue).last_rung = numbers[0]
    with ExitStack() as ringing:
        agents = {number: _take(visit, number, ringing) for number in numbers}
        place.state = "ringing"
        desk.queues.wake(call.tenant)
        try:
            found = await call.dial(numbers, timeout=ring_s)
        except Rejected as refused:
            if call.outcome is not None:
                raise
            for number, agent in agents.items():
                # Rung for less, since the caller's wait was nearly over, nobody has missed a call.
                in_vain = isinstance(refused, NoAnswer) and number not in refused.refused and ring_s >= queue.ring_s
                _missed(visit, queue, number, agent, in_vain=in_vain)
            return None
        finally:
            place.state = "waiting"
    winner = found.own_number
    found.take_place().close()  # of who was reached by a 3xx: he is counted as an agent is
    held.callback(_wrap_up, _take(visit, winner, held), queue.wrap_up_s)
    call.note("queue %s: %s answers", queue.number, winner)
    return found


def _take(visit: Visit, number: str, held: ExitStack) -> Agent:
    """Reserve an agent, and count the call as his."""
    desk, tenant = visit.desk, visit.call.tenant
    agent = held.enter_context(desk.queues.reserved(tenant, number))
    held.enter_context(desk.admission.extension(tenant, number, None, reasons.CALLEE_LIMIT))
    return agent


def _missed(visit: Visit, queue: Queue, number: str, agent: Agent, *, in_vain: bool) -> None:
    agent.free_at = _now() + REST_S
    visit.call.note("queue %s: %s does not answer", queue.number, number)
    if not in_vain:
        return
    agent.missed += 1
    if queue.pause_after and agent.missed >= queue.pause_after:
        agent.missed = 0
        visit.state.set(number, QUEUE_PAUSED, "on")
        visit.call.note("queue %s: %s is paused", queue.number, number)


def _wrap_up(agent: Agent, seconds: float) -> None:
    agent.missed = 0
    agent.calls += 1
    agent.last_ended = _now()
    agent.free_at = agent.last_ended + seconds


async def _entertain(visit: Visit, queue: Queue, place: Place, *, offers: bool) -> None:
    """Music, and every so often the position and the offer to call back."""
    call, music = visit.call, visit.music(queue.music)
    if not (queue.announce_position or offers):
        await call.play(music)
    key = CALLBACK_KEY if offers else ""
    while not await _announced(visit, queue, place, key):
        try:
            async with asyncio.timeout(queue.announce_every_s):
                if await call.play(music, stop_digits=key):
                    break
        except TimeoutError:
            continue
    place.wants_callback = True
    place.wake()
    await call.play(music)


async def _announced(visit: Visit, queue: Queue, place: Place, key: str) -> bool:
    """Say what there is to say; whether the key was pressed."""
    call, said = visit.call, list[str | Number]()
    if queue.announce_position:
        position = visit.desk.queues.line(call.tenant, queue).position(place)
        said += ["queue/next"] if position == 1 else ["queue/position", Number(position)]
    if key:
        said.append("queue/callback")
    return bool(await call.say(*said, stop_digits=key))


def _now() -> float:
    return asyncio.get_running_loop().time()
