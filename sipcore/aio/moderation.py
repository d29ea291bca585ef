"""When a busy socket is read: after a pause, so that what came meanwhile wakes the process once.

It is what network cards do with their interrupts. A process that sleeps between two datagrams pays for going to sleep,
for being woken, and for caches that others have used: at 6,000 datagrams a second that was a third of a REGISTER.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Final, Protocol

from sipcore.aio._datagrams import Alarm

# The longest that a datagram waits to be read; above `_WINDOW / _BUSY_S` datagrams a second (1,450) only.
PAUSE_NS: Final = 1_000_000
_WINDOW: Final = 32
_BUSY_S: Final = 0.022
# So many reads in a row that found one datagram at the most: pauses gain nothing.
_QUIET_READS: Final = 8


class _Socket(Protocol):
    def fileno(self) -> int: ...


class Moderation:
    """Reads of one socket. `descriptor` is readable when it is time for one; `has_read` is told each."""

    def __init__(self, handle: _Socket, full: int, now: Callable[[], float]) -> None:
        self._socket = handle
        self._full = full
        self._now = now
        self._alarm = Alarm()
        # libuv takes a reader with an error for a broken one; the epoll between is merely readable then.
        self._epoll = select.epoll()
        self._epoll.register(handle, select.EPOLLIN)
        self._epoll.register(self._alarm, select.EPOLLIN)
        self.pauses = False
        self._seen = self._quiet = 0
        self._since = now()

    @property
    def descriptor(self) -> int:
        return self._epoll.fileno()

    def has_read(self, count: int) -> None:
        """So many datagrams were there, at most the `full` that one read can take."""
        if not self.pauses:
            self._seen += count
            if self._seen >= _WINDOW:
                self._judge()
            return
        self._quiet = 0 if count > 1 else self._quiet + 1
        if self._quiet >= _QUIET_READS:
            self._resume()
        else:
            # More than one read takes: the next one is due when the others of the loop had their turn.
            self._alarm.set(PAUSE_NS if count < self._full else 1)

    def close(self) -> None:
        """Close its descriptors; the socket is its owner's."""
        self._epoll.close()
        self._alarm.close()

    def _judge(self) -> None:
        now = self._now()
        if now - self._since < _BUSY_S:
            self.pauses, self._quiet = True, 0
            self._epoll.modify(self._socket, 0)
            self._alarm.set(PAUSE_NS)
        self._seen, self._since = 0, now

    def _resume(self) -> None:
        self.pauses = False
        self._seen, self._since = 0, self._now()
        self._alarm.set(0)
        self._epoll.modify(self._socket, select.EPOLLIN)
