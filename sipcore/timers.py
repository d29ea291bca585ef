"""The timer values of RFC 3261 §17 (table 4) and the deadlines of every owner in one place.

A timer that does not fire costs one entry, or nothing: an owner moves its own deadline freely, and `Deadlines`
hears only of a deadline that came closer. Entries are deleted lazily: an entry counts only while its
owner's `scheduled` says the same. Owners are `Clock`s; both are native (`ext/siptext/_timers.pyx`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from sipcore._timers import Clock, Deadlines, Wallclock

__all__ = ["Clock", "Deadlines", "Timers", "Wallclock"]


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
