"""Targets that failed lately go to the end of the line (RFC 3263 §4.3): the next call does not wait for them again.

None is left out: when all are dead the first is tried all the same, and one that answers is alive at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from sipcore.locate import Target

# RFC 3263 leaves it open. Long enough to spare most calls the wait, short enough to find a repaired server soon.
DEAD_S: Final = 30.0
MAX_DEAD: Final = 1000


class DeadTargets:
    """When each was found dead, the oldest first."""

    __slots__ = ("since",)

    def __init__(self) -> None:
        self.since: Final[OrderedDict[Target, float]] = OrderedDict()

    def add(self, target: Target, now: float) -> None:
        """It did not react, could not be reached, or said 503."""
        self.since[target] = now
        self.since.move_to_end(target)
        if len(self.since) > MAX_DEAD:
            self.since.popitem(last=False)

    def remove(self, target: Target) -> None:
        """It answered."""
        self.since.pop(target, None)

    def last(self, targets: Sequence[Target], now: float) -> Sequence[Target]:
        """The targets in their order, those found dead lately at the end."""
        if not self.since:
            return targets
        return sorted(targets, key=lambda target: self._is_dead(target, now))

    def _is_dead(self, target: Target, now: float) -> bool:
        since = self.since.get(target)
        if since is None:
            return False
        if now - since < DEAD_S:
            return True
        del self.since[target]
        return False
