"""The virtual loop: time moves only by timers, and a wait without one is an error."""

from __future__ import annotations

import asyncio

import pytest

from voipat.testing.errors import DeadlockError
from voipat.testing.loop import VirtualLoop, run_virtual


def test_an_hour_of_sleep_takes_no_time_and_ends_exactly_on_the_hour() -> None:
    async def sleeper() -> float:
        for _ in range(3600):
            await asyncio.sleep(1.0)
        return asyncio.get_running_loop().time()

    assert run_virtual(sleeper()) == 3600.0


def test_the_clock_stands_exactly_at_the_timer_that_fires() -> None:
    loop = VirtualLoop()
    seen: list[float] = []
    for when in (0.1, 0.1 + 0.2, 0.7000000000000001):
        loop.call_at(when, lambda when=when: seen.append(loop.time() - when))
    loop.run_until(1.0)
    loop.close()
    assert seen == [0.0, 0.0, 0.0]


def test_a_wait_without_a_timer_is_a_deadlock_that_names_the_waiter() -> None:
    async def lost_wake_up() -> None:
        await asyncio.Event().wait()

    with pytest.raises(DeadlockError, match="lost_wake_up"):
        run_virtual(lost_wake_up())


def test_timers_at_one_time_fire_in_the_order_they_were_set() -> None:
    loop = VirtualLoop()
    seen: list[int] = []
    for number in range(5):
        loop.call_at(1.0, seen.append, number)
    loop.run_until(1.0)
    loop.close()
    assert seen == [0, 1, 2, 3, 4]


def test_run_until_stops_at_the_time_and_leaves_later_timers_armed() -> None:
    loop = VirtualLoop()
    seen: list[str] = []
    loop.call_at(2.0, seen.append, "at two")
    loop.call_at(3.0, seen.append, "at three")
    loop.run_until(2.5)
    assert (loop.time(), seen, len(loop.armed_timers())) == (2.5, ["at two"], 1)
    loop.close()


def test_timeouts_of_asyncio_run_on_virtual_time() -> None:
    async def impatient() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(32.0):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert run_virtual(impatient()) == 32.0


def test_executor_work_is_done_at_once_and_its_error_reaches_the_caller() -> None:
    async def worker() -> int:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 // 0)
        return await asyncio.to_thread(sum, (1, 2, 3))

    assert run_virtual(worker()) == 6


def test_a_descriptor_that_is_ready_is_served_before_the_clock_moves() -> None:
    import os

    read_end, write_end = os.pipe()
    loop = VirtualLoop()
    seen: list[float] = []

    def readable() -> None:
        os.read(read_end, 1)
        seen.append(loop.time())

    loop.add_reader(read_end, readable)
    loop.call_at(1.0, os.write, write_end, b"x")
    loop.call_at(5.0, lambda: None)
    loop.run_until(5.0)
    loop.remove_reader(read_end)
    loop.close()
    os.close(read_end)
    os.close(write_end)
    assert seen == [1.0]


def test_run_while_tells_whether_the_work_ended_within_the_limit() -> None:
    loop = VirtualLoop()
    assert loop.run_while(lambda: loop.time() < 3.0, limit=10.0, every=1.0)
    assert not loop.run_while(lambda: True, limit=10.0, every=1.0)
    assert loop.time() == 13.0
    loop.close()
