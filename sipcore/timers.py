"""The timer values of RFC 3261 §17 (table 4) and the one heap of deadlines that serves every owner.

A timer that does not fire costs one heap entry, or nothing: an owner moves its own deadline freely, and the
heap hears only of a deadline that came closer. Entries are deleted lazily: an entry counts only while its
owner's `scheduled` says the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Timers:
    """Seconds. `t1` round trip, `t2` longest retransmission interval, `t4` life of a message in the network,

    `c` a proxy's limit for a pending INVITE, `d` wait for repeated INVITE failures, `trying` RFC 3261 §17.2.1.
    """

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0
    c: float = 181.0
    d: float = 32.0
    trying: float = 0.2

    @property
    def timeout(self) -> float:
        """64*T1: timers B, F, H, J, L and M, and the wait for ACK."""
        return 64 * self.t1


class DeadlineOwner(Protocol):
    """What waits for a moment. `scheduled` belongs to `Deadlines`; infinity when nothing is in the heap."""

    scheduled: float

    def next_deadline(self) -> float:
        """The moment this owner wants to be woken at; infinity for never."""


class Deadlines:
    """A heap of (moment, order of entry, owner)."""

    __slots__ = ("_count", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, DeadlineOwner]] = []
        self._count = 0

    def schedule(self, owner: DeadlineOwner) -> None:
        """Note the owner's deadline when it is nearer than the one noted before."""
        deadline = owner.next_deadline()
        if deadline < owner.scheduled:
            owner.scheduled = deadline
            self._count += 1
            heappush(self._heap, (deadline, self._count, owner))

    def next_timeout(self) -> float | None:
        """The earliest deadline of all."""
        heap = self._heap
        while heap:
            moment, _, owner = heap[0]
            if moment == owner.scheduled and owner.next_deadline() == moment:
                return moment
            heappop(heap)
            if moment == owner.scheduled:
                self._reschedule(owner)
        return None

    def due(self, now: float) -> Iterator[DeadlineOwner]:
        """The owners whose deadline has come, each once per deadline, in the order of their deadlines."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            moment, _, owner = heappop(heap)
            if moment != owner.scheduled:
                continue
            if owner.next_deadline() > now:
                self._reschedule(owner)
                continue
            owner.scheduled = inf
            yield owner
            self.schedule(owner)

    def _reschedule(self, owner: DeadlineOwner) -> None:
        owner.scheduled = inf
        if owner.next_deadline() < inf:
            self.schedule(owner)

    def __len__(self) -> int:
        return len(self._heap)
