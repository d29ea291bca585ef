"""Where tags, branches and Call-IDs come from: `sipcore.aio.entropy` in production, or a seed that replays a run."""

from __future__ import annotations

import random
from typing import Protocol


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
