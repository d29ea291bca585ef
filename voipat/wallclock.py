"""The wallclock as the registrar reads it: when it is set, what is kept in its time is told by how much.

Every timer of ours runs on the loop's monotonic clock. Only bindings end at a time of the wallclock, so that they mean
the same after a restart; a clock that NTP or an operator sets by an hour must neither end them all nor keep dead ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

# A clock that is slewed moves by less between two questions; a binding that is a second off harms nobody.
STEP_S: Final = 1.0


class Wallclock:
    """Calls `on_step(seconds)` before it tells the first time after the clock was set."""

    def __init__(
        self, wallclock: Callable[[], float], monotonic: Callable[[], float], on_step: Callable[[float], None]
    ) -> None:
        self._wallclock = wallclock
        self._monotonic = monotonic
        self._on_step = on_step
        self._offset = wallclock() - monotonic()

    def __call__(self) -> float:
        wallclock = self._wallclock()
        offset = wallclock - self._monotonic()
        step, self._offset = offset - self._offset, offset
        if abs(step) >= STEP_S:
            self._on_step(step)
        return wallclock
