"""The randomness of production."""

from __future__ import annotations

import os

# One system call serves 256 tags; a call for each would be a third of a transaction's cost.
_POOL = 2048


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
        # As `bytes`, and without calling it: each tag and branch comes from here.
        begun = self._next
        self._next = end = begun + nbytes
        return self._pool[begun:end].hex() if end <= len(self._pool) else self.bytes(nbytes).hex()

    def uint32(self) -> int:
        return int.from_bytes(self.bytes(4), "big")

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * (int.from_bytes(self.bytes(7), "big") >> 3) / 2**53
