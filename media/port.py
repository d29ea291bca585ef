"""Ports: the handle that a call keeps, and the numbers that ports are made of."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

# A host and its UDP port.
Pair = tuple[str, int]

# A number rests for so long after its call: late packets of that call must not reach the next one.
REST_SECONDS = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Port:
    """One leg's place in the engine; equal only to itself. `id` carries a generation: a closed port is an error."""

    id: int
    address: str
    rtp_port: int
    rtcp_port: int


class PortNumbers:
    """The even numbers of a range on one address, given out longest-rested first."""

    def __init__(self, low: int, high: int) -> None:
        first = low + low % 2
        self._free = deque(range(first, high, 2))
        self._resting: deque[tuple[float, int]] = deque()

    def __len__(self) -> int:
        return len(self._free)

    def maybe_take(self, now: float) -> int | None:
        """An even number whose rest is over, or None."""
        self.wake(now)
        return self._free.popleft() if self._free else None

    def rest(self, number: int, now: float) -> None:
        """The number comes back after its rest."""
        self._resting.append((now + REST_SECONDS, number))

    def wake(self, now: float) -> None:
        """Take back the numbers whose rest is over."""
        while self._resting and self._resting[0][0] <= now:
            self._free.append(self._resting.popleft()[1])
