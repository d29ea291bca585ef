"""An asyncio loop in virtual time: where a real one sleeps, this one moves its clock.

The selector is the only thing replaced. When nothing is ready, `select` moves the clock to the next timer, so an hour
of timers takes as long as their callbacks. When nothing is ready and no timer is set either, no wake-up can come any
more: that is reported as `DeadlockError` instead of hanging.

Order is by (time, order of `call_at`), so a run repeats exactly as long as the code under test asks this loop for
time and its entropy comes from a seed. Work given to an executor is done at once, in the loop's own thread.
"""

from __future__ import annotations

import asyncio
import heapq
import selectors
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple, Unpack

from voipat.testing.errors import DeadlockError

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

# The loop's own wake-up pipe. It is read only when nothing else is left to wait for: this loop never blocks, so a
# callback handed over by another thread is seen at the next turn without it.
_OWN_DESCRIPTORS = 1


class _OrderedTimer(asyncio.TimerHandle):
    """A timer that fires after the timers of the same time that were set before it: asyncio's heap keeps no order."""

    __slots__ = ("_key",)

    def __init__(self, order: int, when: float, *arguments: Any) -> None:
        super().__init__(when, *arguments)
        self._key = (when, order)

    def __lt__(self, other: object) -> bool:
        # Called a million times for an hour of an office: one comparison of tuples, no type check.
        return self._key < other._key  # type: ignore[attr-defined,no-any-return]  # this loop makes no other timers


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose `time()` starts at 0.0 and moves only when there is nothing left to do."""

    def __init__(self) -> None:
        self._virtual_now = 0.0
        self._timers_set = 0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._virtual_now

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Arguments]], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """A timer at virtual time `when`; those of one time fire in the order they were set."""
        self._check_closed()  # type: ignore[attr-defined]  # as in the base class
        self._timers_set += 1
        timer = _OrderedTimer(self._timers_set, when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]  # the base class pops from it
        timer._scheduled = True  # type: ignore[attr-defined]  # so that cancel() is counted by the loop
        return timer

    def run_until(self, when: float) -> None:
        """Run everything that is due up to virtual time `when`, and stand there."""
        stop = self.call_at(max(when, self._virtual_now), self.stop)
        try:
            self.run_forever()
        finally:
            stop.cancel()

    def run_due(self) -> None:
        """Run everything that can run without the clock going on."""
        while self._ready or any(timer.when() <= self._virtual_now for timer in self.armed_timers()):  # type: ignore[attr-defined]  # no public view
            self.run_until(self._virtual_now)

    def run_while(self, busy: Callable[[], bool], *, limit: float, every: float) -> bool:
        """Run until `busy()` is false, asking at each `every` seconds; False when it still is after `limit` seconds."""
        end = self._virtual_now + limit
        while busy():
            if self._virtual_now >= end:
                return False
            self.run_until(min(self._virtual_now + every, end))
        return True

    def armed_timers(self) -> list[asyncio.TimerHandle]:
        """The timers that would still fire, soonest first."""
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]  # no public view
        return sorted(handle for handle in scheduled if not handle.cancelled())

    def run_in_executor(
        self,
        executor: Executor | None,
        func: Callable[[Unpack[Arguments]], Result],
        *args: *Arguments,
    ) -> asyncio.Future[Result]:
        """A finished future with what `func` returned or raised: no thread, so no race with virtual time."""
        future: asyncio.Future[Result] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # the caller awaits the future and gets it there
            future.set_exception(error)
        return future

    def _jump(self) -> None:
        # Exactly to the timer, not by the rounded difference: a machine asked at 0.4999999 for its timer of 0.5
        # would answer that nothing is due.
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]  # no public view
        self._virtual_now = max(self._virtual_now, scheduled[0].when())


class _JumpingSelector(selectors.BaseSelector):
    """A real selector that never waits: descriptors that are ready come first, else the clock jumps."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._real = selectors.DefaultSelector()
        self._watched = 0

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        self._watched += 1
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        self._watched -= 1
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self._watched > _OWN_DESCRIPTORS or timeout is None:
            ready = self._real.select(0)
            if ready:
                return ready
        if timeout is None:
            raise DeadlockError(_describe_waiters(self._loop))
        if timeout > 0:
            self._loop._jump()
        return []

    def close(self) -> None:
        self._real.close()

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()


def run_virtual(main: Coroutine[Any, Any, Result]) -> Result:
    """What `main` returns, run in a fresh virtual loop.

    Raises: DeadlockError when it waits for something that cannot come.
    """
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        cancel_all_tasks(loop)
        loop.close()


def cancel_all_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what still runs in `loop` and let it unwind."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


def _describe_waiters(loop: asyncio.AbstractEventLoop) -> str:
    lines = [f"nothing can happen any more at virtual time {loop.time():.3f}: no timer is set"]
    for task in sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name()):
        lines.append(f"  {task.get_name()} waits in {_innermost(task)}")
    return "\n".join(lines)


def _innermost(task: asyncio.Task[Any]) -> str:
    stack = task.get_stack()
    if not stack:
        return "its first step"
    frame = stack[-1]
    return f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}:{frame.f_lineno})"
