"""One timer of the loop for the alarms of all calls: they ring in their order, and cancelling leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing

import pytest

from voipat.alarms import Alarms
from voipat.testing.loop import VirtualLoop


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    with closing(VirtualLoop()) as loop:
        yield loop


def test_alarms_ring_in_the_order_of_their_moments(loop: VirtualLoop) -> None:
    alarms, rung = Alarms(loop), list[tuple[str, float]]()
    for name, seconds in (("late", 30.0), ("soon", 1.0), ("again", 1.0)):
        alarms.call_later(seconds, lambda name=name: rung.append((name, loop.time())))
    start = loop.time()
    loop.run_until_complete(asyncio.sleep(31.0))
    assert [(name, round(at - start, 3)) for name, at in rung] == [("soon", 1.0), ("again", 1.0), ("late", 30.0)]
    assert len(alarms) == 0


def test_a_cancelled_alarm_does_not_ring_even_when_it_is_due_with_the_one_that_cancels_it(loop: VirtualLoop) -> None:
    alarms, rung = Alarms(loop), list[str]()
    first = alarms.call_later(1.0, lambda: second.cancel())
    second = alarms.call_later(1.0, lambda: rung.append("second"))
    loop.run_until_complete(asyncio.sleep(2.0))
    assert (rung, first.is_off, second.is_off, len(alarms)) == ([], True, True, 0)


def test_what_one_raises_is_told_to_the_loop_and_the_others_ring(loop: VirtualLoop) -> None:
    alarms, rung, told = Alarms(loop), list[str](), list[object]()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    problem = RuntimeError("a callback of somebody's")

    def fails() -> None:
        raise problem

    alarms.call_later(1.0, fails)
    alarms.call_later(1.0, lambda: rung.append("other"))
    loop.run_until_complete(asyncio.sleep(2.0))
    assert (told, rung) == ([problem], ["other"])


def test_cancelled_alarms_do_not_fill_the_heap(loop: VirtualLoop) -> None:
    alarms = Alarms(loop)
    alarms.call_later(3600.0, lambda: None)
    for _ in range(10_000):
        alarms.call_later(1800.0, lambda: None).cancel()
    assert (len(alarms), len(alarms._heap) < 100) == (1, True)


def test_the_last_alarm_that_is_cancelled_takes_the_timer_of_the_loop_with_it(loop: VirtualLoop) -> None:
    alarms = Alarms(loop)
    alarm = alarms.call_later(1800.0, lambda: None)
    alarm.cancel()
    alarm.cancel()
    assert (len(alarms), alarms._timer, alarms._heap) == (0, None, [])
