"""A number out of several runs, and how sure it is."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import Final

# With this probability the median of all runs that there could be lies in the interval, where there are enough runs.
SURE: Final = 0.9


@dataclass(frozen=True, slots=True)
class Estimate:
    """The median of the runs; between `low` and `high` lies the true one."""

    value: float
    low: float
    high: float

    @property
    def error(self) -> float:
        """Half of the interval, as a share of the value."""
        return (self.high - self.low) / 2 / self.value if self.value > 0 else 0.0


def estimate(runs: Sequence[float]) -> Estimate:
    """By rank, so that nothing is assumed of how runs scatter (sign test); of fewer than five it is all of them."""
    ordered = sorted(runs)
    cut = _cut(len(ordered))
    return Estimate(statistics.median(ordered), ordered[cut], ordered[-1 - cut])


def _cut(count: int) -> int:
    """How many runs at either end lie outside of the interval."""
    outside, cut = 0.0, 0
    while 2 * cut + 2 < count:
        outside += 2 * comb(count, cut) / 2**count
        if 1 - outside - 2 * comb(count, cut + 1) / 2**count < SURE:
            break
        cut += 1
    return cut
