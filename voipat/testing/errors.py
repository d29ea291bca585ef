"""SimError                 what the kit says to the test that uses it
├─ DeadlockError         everything waits and no timer is set: a lost wake-up
├─ RanTooLongError       the world was still busy at its limit
├─ ScriptError           a phone did not see what its script expects
└─ LeakError             something outlived its call
"""

from __future__ import annotations


class SimError(AssertionError):
    """Root of what the simulation kit raises; an AssertionError, so that test runners print it as a failure."""


class DeadlockError(SimError):
    """Everything waits, no timer is set and no descriptor is ready; the message names who waits for what."""


class RanTooLongError(SimError):
    """The world was still busy at the limit given to `run`."""


class ScriptError(SimError):
    """A phone did not see what its script expects, or a callback raised."""


class LeakError(SimError):
    """Something outlived its call: a transaction, a dialog, a port, a task or a timer."""
