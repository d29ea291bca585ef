"""The wallclock as the registrar reads it: when it is set, what is kept in its time is told by how much.

Every timer of ours runs on the loop's monotonic clock. Only bindings end at a time of the wallclock, so that they mean
the same after a restart; a clock that NTP or an operator sets by an hour must neither end them all nor keep dead ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sipcore.timers import Wallclock

# A clock that is slewed moves by less between two questions; a binding that is a second off harms nobody.
STEP_S: Final = 1.0


def watched(
    wallclock: Callable[[], float], monotonic: Callable[[], float], on_step: Callable[[float], None]
) -> Wallclock:
    """A clock that calls `on_step(seconds)` before it tells the first time after the clock was set."""
    return Wallclock(wallclock, monotonic, on_step, STEP_S)
