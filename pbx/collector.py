"""When CPython's collector looks at what: new objects once and few at a time, all of them only after a quiet while.

What a call, a registration and a subscription leave is freed by its reference count; cycles come of rare paths
(exceptions, tasks that were cancelled), and most of those die young. What has survived its first look lives for the
32 s of a transaction or the length of a call: looking at it again costs pauses of 40 ms (CPython's second generation)
and 1.2-2.4 s (all of it, after 400 calls/s), which CPython would make in the middle of the load.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable
from typing import Final

from pbx.limits import resident_kb

logger: Final = logging.getLogger(__name__)

# New objects that are looked at together. What that costs goes with their number, so few at a time cost a call no more:
# 1.3 ms each time; it was 8 ms with 5,000, three times a second at 300 calls/s. The other two are never reached:
# `Collector` decides.
THRESHOLDS: Final = (1_000, 1_000_000, 1_000_000)

# Looks at new objects, after which all of them are due: fifty thousand survivors, the cycles of some hundred calls.
DUE_AFTER: Final = 50
LOOK_EVERY_S: Final = 5.0
# The part of that time that the loop may have worked, how often in a row, and how long a machine without such a while
# is spared. Transactions that ended calls left are gone by then (32 s): all of them took 164 ms after 3,600 calls, and
# 46 ms later on. And who was quiet for so long is not in a lull between two loads.
QUIET_SHARE: Final = 0.05
QUIET_LOOKS: Final = 8
LONGEST_WAIT_S: Final = 3600.0
# Whatever leaves cycles by a bug of ours or a program's must not fill the memory first: a pause is better.
MOST_GROWTH_KB: Final = 262_144


class Collector:
    """Sets the thresholds of the process, and collects everything when that is due and nobody has asked for a while."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        worked: Callable[[], float] = time.thread_time,
        passes: Callable[[], int] = lambda: gc.get_count()[1],
        collect: Callable[[], int] = gc.collect,
        resident: Callable[[], int] = resident_kb,
    ) -> None:
        self._loop = loop
        self._worked = worked
        self._passes = passes
        self._collect = collect
        self._resident = resident
        self._resident_before = resident()
        self._due_since: float | None = None
        self._quiet_looks = 0
        self._worked_before = worked()
        self._timer = loop.call_later(LOOK_EVERY_S, self._look)
        # What the start made stays: the collector need not look at it again.
        gc.freeze()
        gc.set_threshold(*THRESHOLDS)

    def close(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _look(self) -> None:
        worked = self._worked()
        is_quiet = worked - self._worked_before < QUIET_SHARE * LOOK_EVERY_S
        self._quiet_looks = self._quiet_looks + 1 if is_quiet else 0
        now = self._loop.time()
        if self._passes() >= DUE_AFTER:
            if self._due_since is None:
                self._due_since = now
            is_quiet_enough = self._quiet_looks >= QUIET_LOOKS
            if is_quiet_enough or now - self._due_since >= LONGEST_WAIT_S or self._has_grown():
                self._collect_all()
        self._worked_before = self._worked()
        self._timer = self._loop.call_later(LOOK_EVERY_S, self._look)

    def _has_grown(self) -> bool:
        return self._resident() - self._resident_before >= MOST_GROWTH_KB

    def _collect_all(self) -> None:
        begun = self._loop.time()
        self._due_since = None
        found = self._collect()
        self._resident_before = self._resident()
        logger.debug("collected", extra={"unreachable": found, "seconds": round(self._loop.time() - begun, 3)})
