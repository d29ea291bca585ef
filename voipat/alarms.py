"""What each call waits for and hardly ever comes: session timers, the end of ringing. One timer of the loop for all.

A timer of uvloop takes 700 bytes with its context; a call has had five of them, nearly all of which are cancelled. Here
one is a place in a heap, and cancelling it touches nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from math import inf
from typing import Final

# What is cancelled leaves the heap at the latest when it is half of it, and this many.
_MANY: Final = 64
# uvloop rounds to milliseconds and may ring half of one early.
_EARLY_S: Final = 0.001


class Alarm:
    """One moment. `cancel` it, before or after."""

    __slots__ = ("_alarms", "_callback")

    def __init__(self, alarms: Alarms, callback: Callable[[], object]) -> None:
        self._alarms = alarms
        self._callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        """It does not ring; its callback is let go of at once."""
        if self._callback is not None:
            self._callback = None
            self._alarms._dropped()

    @property
    def is_off(self) -> bool:
        """Whether it has rung or was cancelled."""
        return self._callback is None

    def _ring(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            self._alarms._dropped()
            callback()


class Alarms:
    """The alarms of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heap: list[tuple[float, int, Alarm]] = []
        self._count = 0
        self._live = 0
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = inf

    def __len__(self) -> int:
        return self._live

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Alarm:
        """Call back after so many seconds."""
        return self.call_at(self._loop.time() + seconds, callback)

    def call_at(self, when: float, callback: Callable[[], object]) -> Alarm:
        """Call back at this time of the loop."""
        alarm = Alarm(self, callback)
        self._count += 1
        self._live += 1
        heappush(self._heap, (when, self._count, alarm))
        if when < self._rings_at:
            self._set(when)
        return alarm

    def _dropped(self) -> None:
        self._live -= 1
        if not self._live:
            self._heap.clear()
            self._stop()
        elif len(self._heap) > 2 * self._live + _MANY:
            self._heap = [entry for entry in self._heap if not entry[2].is_off]
            heapify(self._heap)

    def _set(self, when: float) -> None:
        self._stop()
        self._rings_at = when
        self._timer = self._loop.call_at(when, self._due)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._rings_at = None, inf

    def _due(self) -> None:
        self._timer, self._rings_at = None, inf
        now, heap = self._loop.time() + _EARLY_S, self._heap
        while heap and (heap[0][0] <= now or heap[0][2].is_off):
            alarm = heappop(heap)[2]
            if not alarm.is_off:
                # Each by itself: what one of them raises is the loop's to report, and the others ring all the same.
                self._loop.call_soon(alarm._ring)
        if heap:
            self._set(heap[0][0])
