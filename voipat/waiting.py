"""What a flow waits for beside its call, and calls that ring at others: made for parking, queues and pickup."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from voipat import events, reasons
from voipat.errors import Rejected

if TYPE_CHECKING:
    from voipat.call import Call


def wake(waiter: asyncio.Future[None], _: object = None) -> None:
    """Let it go on, unless it does already."""
    if not waiter.done():
        waiter.set_result(None)


async def until(call: Call, event: asyncio.Future[Any], timeout: float) -> bool:
    """As `Call.until`."""
    call.raise_if_ended()
    waiter = call.new_waiter()
    wakes = partial(wake, waiter)
    event.add_done_callback(wakes)
    timer = call.switch.loop.call_later(timeout, wakes)
    try:
        if not event.done():
            await waiter
    finally:
        timer.cancel()
        event.remove_done_callback(wakes)
        call.no_longer_wakes(waiter)
    call.raise_if_ended()
    return event.done()


@asynccontextmanager
async def meanwhile(call: Call, what: Coroutine[Any, Any, object]) -> AsyncIterator[None]:
    """As `Call.meanwhile`."""
    task = call.switch.loop.create_task(what)
    try:
        yield
    finally:
        task.cancel()
        (found,) = await asyncio.gather(task, return_exceptions=True)
        # The end of the call is told by the verb inside of the block; anything else must not be lost.
        if isinstance(found, Exception) and call.outcome is None:
            call.note("what went on meanwhile failed: %s", found)


def ringing_at(call: Call, number: str) -> Sequence[Call]:
    """As `Call.ringing_at`."""
    if not call.tenant:
        return ()
    return [
        attempt
        for caller in call.switch.calls.values()
        if caller.tenant == call.tenant and caller is not call
        for attempt in caller.attempts
        if attempt.own_number == number and attempt.fork is not None and attempt.answered is None
    ]


def is_reachable(call: Call, number: str) -> bool:
    """As `Call.is_reachable`."""
    switch = call.switch
    return any(switch.is_reachable(binding) is not False for binding in switch.lookup(call.tenant, number))


async def pick_up(call: Call, ringing: Call) -> None:
    """As `Call.pick_up`."""
    fork = ringing.fork
    if fork is None or ringing.tenant != call.tenant:
        raise Rejected(reasons.BUSY)
    await fork.pick_up(call)
    await call.hung_up()


async def hand_over(waiting: Call, to: Call) -> None:
    """As `Call.hand_over`."""
    to.raise_if_ended()
    waiting.adopt_again(to)
    tell_taken(waiting, to)
    await waiting.bridge(to)


def tell_taken(call: Call, taker: Call) -> None:
    """Say that `call` is one with that of `taker`, who came for it."""
    call.note("%s takes the call", taker.id)
    switch, joined = call.switch, taker.linked_id
    switch.join(joined, call.linked_id)
    switch.publish(events.CallTaken(taker.id, call.linked_id, call.tenant, joined, switch.wallclock()))
