"""The timer values of RFC 3261 §17 (table 4) and the deadlines of every owner in one place.

A timer that does not fire costs one entry, or nothing: an owner moves its own deadline freely, and `Deadlines`
hears only of a deadline that came closer. Entries are deleted lazily: an entry counts only while its
owner's `scheduled` says the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush
from math import inf
from typing import Final, Protocol


@dataclass(frozen=True)
class Timers:
    """Seconds. `t1` round trip, `t2` longest retransmission interval, `t4` life of a message in the network,

    `c` a proxy's limit for a pending INVITE, `d` wait for repeated INVITE failures, `trying` RFC 3261 §17.2.1,
    `refresh` how often a provisional response is repeated so that no proxy gives up (§13.3.1.1), `failover` how long
    a target of RFC 3263 may be silent when there is another one.
    """

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0
    c: float = 181.0
    d: float = 32.0
    trying: float = 0.2
    refresh: float = 60.0
    failover: float = 4.0

    @cached_property
    def timeout(self) -> float:
        """64*T1: timers B, F, H, J, L and M, and the wait for ACK."""
        return 64 * self.t1

    @cached_property
    def until_trying(self) -> float:
        """How long a client's timer E takes to reach T2: 3.5 s with the default values (RFC 4320 §4.1)."""
        elapsed, interval = 0.0, self.t1
        while interval < self.t2:
            elapsed += interval
            interval *= 2
        return elapsed


class DeadlineOwner(Protocol):
    """What waits for a moment. `scheduled` belongs to `Deadlines`; infinity when there is no entry."""

    scheduled: float

    def next_deadline(self) -> float:
        """The moment this owner wants to be woken at; infinity for never."""


Entry = tuple[float, int, DeadlineOwner]

# Entries due in the same quarter of a second wait in one unsorted list until its turn comes.
_BUCKETS_PER_SECOND: Final = 4


class Deadlines:
    """A heap of (moment, order of entry, owner) for the near future, and lists for what is further away.

    Most entries are 32 s away and dead by then: in one heap of all, pushing and popping them was a fifth of the CPU
    of a call (7 µs a pop with 50,000 entries); a list costs an append, and its dead entries nothing.
    """

    __slots__ = ("_buckets", "_count", "_far", "_heap", "_horizon", "soonest")

    def __init__(self) -> None:
        self._heap: list[Entry] = []
        self._far: dict[int, list[Entry]] = {}
        self._buckets: list[int] = []
        # The newest bucket that went into the heap: what is due until its end goes there at once.
        self._horizon = -1
        self._count = 0
        # No deadline is nearer: what `next_timeout` last found, or what was noted since.
        self.soonest = inf

    def schedule(self, owner: DeadlineOwner) -> None:
        """Note the owner's deadline when it is nearer than the one noted before."""
        deadline = owner.next_deadline()
        if deadline >= owner.scheduled:
            return
        owner.scheduled = deadline
        if deadline < self.soonest:
            self.soonest = deadline
        self._count += 1
        entry = (deadline, self._count, owner)
        bucket = int(deadline * _BUCKETS_PER_SECOND)
        if bucket <= self._horizon:
            heappush(self._heap, entry)
        elif bucket in self._far:
            self._far[bucket].append(entry)
        else:
            self._far[bucket] = [entry]
            heappush(self._buckets, bucket)

    def next_timeout(self) -> float | None:
        """The earliest deadline of all."""
        found = self._earliest()
        self.soonest = inf if found is None else found
        return found

    def _earliest(self) -> float | None:
        heap = self._heap
        while True:
            while heap:
                moment, _, owner = heap[0]
                if moment == owner.scheduled and owner.next_deadline() == moment:
                    return moment
                heappop(heap)
                if moment == owner.scheduled:
                    self._reschedule(owner)
            if not self._buckets:
                return None
            self._draw_near()

    def due(self, now: float) -> Iterator[DeadlineOwner]:
        """The owners whose deadline has come, each once per deadline, in the order of their deadlines."""
        heap = self._heap
        while (deadline := self._earliest()) is not None and deadline <= now:
            _, _, owner = heappop(heap)
            owner.scheduled = inf
            yield owner
            self.schedule(owner)

    def _draw_near(self) -> None:
        # Called with an empty heap: a sorted list is one.
        self._horizon = heappop(self._buckets)
        for entry in sorted(self._far.pop(self._horizon)):
            moment, _, owner = entry
            if moment != owner.scheduled:
                continue
            if owner.next_deadline() == moment:
                heappush(self._heap, entry)
            else:
                self._reschedule(owner)

    def _reschedule(self, owner: DeadlineOwner) -> None:
        owner.scheduled = inf
        self.schedule(owner)

    def __len__(self) -> int:
        return len(self._heap) + sum(len(entries) for entries in self._far.values())
