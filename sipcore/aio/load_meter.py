"""How late we are: the event loop in running what is due, and the datagrams that we read since they arrived.

Neither alone is enough: the loop reads some 30 datagrams a turn and stays punctual while thousands wait in the
kernel, and the queue is empty while a slow callback holds the loop. Two system calls a socket, twenty times a second.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable, Iterable
from fcntl import ioctl
from typing import Final, Protocol

INTERVAL_S: Final = 0.05

# Linux, asm-generic/sockios.h: when the datagram that was read last had arrived, as wallclock seconds, nanoseconds.
# The first time it turns the timestamps on and says ENOENT.
_SIOCGSTAMPNS: Final = 0x8907
_TIMESPEC: Final = struct.Struct("@ll")


class MeasuredSocket(Protocol):
    """What is asked of a UDP transport."""

    @property
    def handle(self) -> int:
        """Its descriptor; -1 when it is closed."""

    def waiting(self) -> int | None:
        """Bytes in the kernel's receive queue; None where it cannot be asked."""


class QueueAge:
    """How long the datagrams of one socket wait to be read."""

    def __init__(self, measured: MeasuredSocket) -> None:
        self._socket = measured
        self._empty_at: float | None = None

    def age(self, now: float, wallclock: float) -> float:
        """Seconds; 0 when nothing waits, or the kernel does not tell."""
        if not self._socket.waiting():
            self._empty_at = now
            return 0.0
        if self._empty_at is None:
            self._empty_at = now
        # After a pause the newest datagram that was read is old; the queue is not older than its last emptiness.
        return max(0.0, min(wallclock - self._last_arrival(wallclock), now - self._empty_at))

    def _last_arrival(self, wallclock: float) -> float:
        try:
            seconds, nanoseconds = _TIMESPEC.unpack(ioctl(self._socket.handle, _SIOCGSTAMPNS, bytes(_TIMESPEC.size)))
        except OSError:
            return wallclock
        return float(seconds + nanoseconds / 1e9)


class LoadMeter:
    """Tells `on_sample(late_s, now)` the worse of both, every `INTERVAL_S`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sockets: Callable[[], Iterable[MeasuredSocket]],
        on_sample: Callable[[float, float], None],
        wallclock: Callable[[], float] = time.time,  # noqa: TID251  # the clock of the kernel's timestamps
    ) -> None:
        self._loop = loop
        self._sockets = sockets
        self._on_sample = on_sample
        self._wallclock = wallclock
        self._ages: dict[MeasuredSocket, QueueAge] = {}
        self._due = loop.time() + INTERVAL_S
        self._timer = loop.call_at(self._due, self._measure)

    def close(self) -> None:
        """Stop measuring."""
        self._timer.cancel()

    def _measure(self) -> None:
        now, wallclock = self._loop.time(), self._wallclock()
        known, self._ages = self._ages, {}
        for measured in self._sockets():
            self._ages[measured] = known.get(measured) or QueueAge(measured)
        late = max((age.age(now, wallclock) for age in self._ages.values()), default=0.0)
        self._on_sample(max(late, now - self._due), now)
        self._due = now + INTERVAL_S
        self._timer = self._loop.call_at(self._due, self._measure)
