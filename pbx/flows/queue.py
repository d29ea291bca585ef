"""Queues: callers wait in the order they came, with music and their position, until an agent takes the call.

Each caller rings agents by himself when it is his turn; an agent who is reserved, in a call, in wrap-up, paused, or not
to be disturbed is not rung. An agent who lets `pause_after` calls ring in vain is paused until `voipat set` says else.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Final

from pbx.decisions import ToQueue
from pbx.flows.visit import Visit
from pbx.objects.groups import Queue
from pbx.queues import REST_S, Agent, Place, in_order
from pbx.tenant_state import QUEUE_PAUSED
from voipat import Call, NoAnswer, Number, Rejected, reasons

# An agent's other calls end without a word to the queue: so often we look.
LOOK_S: Final = 1.0


async def wait_for_agent(visit: Visit, target: ToQueue) -> None:
    """Wait and talk, or go on to `otherwise`. Raises: CallOutcome."""
    queue, call = target.queue, visit.call
    if len(visit.desk.queues.line(call.tenant, queue).waiting) >= queue.max_callers:
        call.note("queue %s: has %d callers", queue.number, queue.max_callers)
        await call.say("queue/full")
    elif not queue.join_empty and not any(_serves(visit, number) for number in queue.agents):
        call.note("queue %s: no agent is there", queue.number)
    elif await _served(visit, queue):
        return
    await visit.follow(queue.otherwise)


async def _served(visit: Visit, queue: Queue) -> bool:
    """Whether an agent talked to the caller before `max_wait_s` was over."""
    await visit.call.answer()
    visit.call.variables["queue"] = queue.number
    deadline = _now() + queue.max_wait_s
    while (left := deadline - _now()) > 0:
        with ExitStack() as held:
            found = await _find(visit, queue, held, left)
            if found is None:
                break
            # Who hung up before the music was off is as one who did not answer.
            if found.outcome is None:
                await visit.call.bridge(found)
                return True
    visit.call.note("queue %s: nobody for %g s", queue.number, queue.max_wait_s)
    return False


async def _find(visit: Visit, queue: Queue, held: ExitStack, wait_s: float) -> Call | None:
    """The call of an agent; what it holds of him is left in `held`."""
    call, deadline = visit.call, _now() + wait_s
    with visit.desk.queues.place(call, queue) as place:
        async with call.meanwhile(_entertain(visit, queue, place)):
            while (left := deadline - _now()) > 0:
                agents = _choose(visit, queue, place)
                if not agents:
                    await place.changed(min(left, LOOK_S))
                elif (found := await _ring(visit, queue, place, agents, held, min(left, queue.ring_s))) is not None:
                    return found
    return None


def _choose(visit: Visit, queue: Queue, place: Place) -> list[str]:
    desk, tenant = visit.desk, visit.call.tenant
    line = desk.queues.line(tenant, queue)
    if not line.is_next(place):
        return []
    free = [number for number in queue.agents if _serves(visit, number) and _is_free(visit, number)]
    agents = [desk.queues.agent(tenant, number) for number in free]
    return in_order(queue, free, agents, line.last_rung, desk.chance.uniform(0.0, 1.0))


def _serves(visit: Visit, number: str) -> bool:
    """Whether an agent is at work: registered, not paused, not to be left alone."""
    extension = visit.tenant.extensions.get(number)
    if extension is None or number == visit.caller or visit.state.dnd(extension):
        return False
    return visit.state.get(number, QUEUE_PAUSED) != "on" and visit.call.is_reachable(number)


def _is_free(visit: Visit, number: str) -> bool:
    agent = visit.desk.queues.agent(visit.call.tenant, number)
    is_in_call = visit.desk.admission.calls_of(visit.call.tenant, number) > 0
    return not agent.reserved and not is_in_call and agent.free_at <= _now()


async def _ring(
    visit: Visit, queue: Queue, place: Place, numbers: list[str], held: ExitStack, ring_s: float
) -> Call | None:
    """The call of the first who answers; the others are free again at once. Raises: HungUp, Cancelled."""
    call, desk = visit.call, visit.desk
    desk.queues.line(call.tenant, queue).last_rung = numbers[0]
    with ExitStack() as ringing:
        agents = {number: _take(visit, number, ringing) for number in numbers}
        place.is_ringing = True
        desk.queues.wake(call.tenant)
        try:
            found = await call.dial(numbers, timeout=ring_s)
        except Rejected as refused:
            if call.outcome is not None:
                raise
            for number, agent in agents.items():
                _missed(visit, queue, number, agent, in_vain=isinstance(refused, NoAnswer))
            return None
        finally:
            place.is_ringing = False
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


async def _entertain(visit: Visit, queue: Queue, place: Place) -> None:
    """Music, and every so often the position."""
    call, music = visit.call, visit.music(queue.music)
    if not queue.announce_position:
        await call.play(music)
    while True:
        position = visit.desk.queues.line(call.tenant, queue).position(place)
        await (call.say("queue/next") if position == 1 else call.say("queue/position", Number(position)))
        try:
            async with asyncio.timeout(queue.announce_every_s):
                await call.play(music)
        except TimeoutError:
            continue


def _now() -> float:
    return asyncio.get_running_loop().time()
