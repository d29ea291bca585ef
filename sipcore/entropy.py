"""Where tags, branches and Call-IDs come from: the system's generator, or a seed that replays a run."""

from __future__ import annotations

import os
import random
from typing import Protocol

# One system call serves 256 tags; a call for each would be a third of a transaction's cost.
_POOL = 2048


class Entropy(Protocol):
    """Randomness, passed in."""

    def token(self, nbytes: int = 8) -> str:
        """Unguessable lower-case hexadecimal text of 2*nbytes characters."""

    def uint32(self) -> int:
        """An integer in 0 … 2**32 - 1."""

    def uniform(self, low: float, high: float) -> float:
        """A number between `low` and `high`."""

    def bytes(self, n: int) -> bytes:
        """Unguessable bytes."""


class SystemEntropy:
    """The operating system's generator, read in blocks."""

    __slots__ = ("_next", "_pool")

    def __init__(self) -> None:
        self._pool = b""
        self._next = 0

    def bytes(self, n: int) -> bytes:
        end = self._next + n
        if end > len(self._pool):
            self._pool = os.urandom(max(_POOL, n))
            self._next, end = 0, n
        piece = self._pool[self._next : end]
        self._next = end
        return piece

    def token(self, nbytes: int = 8) -> str:
        return self.bytes(nbytes).hex()

    def uint32(self) -> int:
        return int.from_bytes(self.bytes(4), "big")

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * (int.from_bytes(self.bytes(7), "big") >> 3) / 2**53


class SeededEntropy:
    """The same answers for the same seed: simulation and tests, never production."""

    __slots__ = ("_random",)

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def bytes(self, n: int) -> bytes:
        return self._random.randbytes(n)

    def token(self, nbytes: int = 8) -> str:
        return self._random.randbytes(nbytes).hex()

    def uint32(self) -> int:
        return self._random.getrandbits(32)

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)
