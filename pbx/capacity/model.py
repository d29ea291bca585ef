"""How busy a thread gets: work adds up, and the thread's share of a core grows more slowly than the work.

A thread that sleeps between messages pays for a wake, and finds its code and its objects gone from the caches; the more
there is to do, the more is done at one wake. Measured from a twentieth to nine tenths of a core the share follows
`work ** growth`: 0.6 for media, 0.8 for signalling. Both are measured, by calls at two rates and by few and by many
streams. Threads hardly warm each other: shares of different threads add.

Work is counted so that a thread with half a core of it is half busy: costs are those of a thread that is half busy.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import log
from typing import Final

from pbx.capacity.costs import STAGES, Costs

# A core is planned to this: above it a queue forms whenever calls come in a bunch.
TARGET: Final = 0.7
HALF: Final = 0.5
# Of two points that are nearer to each other (1.5 times) the slope is noise.
APART: Final = log(1.5)
LEAST_GROWTH, MOST_GROWTH = 0.3, 1.0


@dataclass(frozen=True, slots=True)
class Load:
    """Units a second of signalling, and calls (or channels, parties) at one time of each kind with media."""

    rates: Mapping[str, float] = field(default_factory=dict)
    held: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Shares:
    """Of a core, by stage."""

    signalling: float = 0.0
    media: float = 0.0
    disk: float = 0.0

    @property
    def total(self) -> float:
        """Of all stages; above 1 it is more than one core."""
        return self.signalling + self.media + self.disk


def shares(load: Load, costs: Costs) -> Shares:
    """What the load takes."""
    work = dict.fromkeys(STAGES, 0.0)
    for name, count in (*load.rates.items(), *load.held.items()):
        cost = costs.unit(name)
        if cost is not None:
            for stage in STAGES:
                work[stage] += count * cost.stages[stage]
    used = {stage: share_of(work[stage], costs.growth[stage]) for stage in STAGES}
    return Shares(costs.idle + used["signalling"], used["media"], used["disk"])


def share_of(work: float, growth: float) -> float:
    """Of one thread as long as it is not full; more than one is planned to do is done by several that are as busy."""
    if work <= 0:
        return 0.0
    full = work_of(TARGET, growth)
    return float(TARGET * work / full if work > full else HALF * (work / HALF) ** growth)


def work_of(share: float, growth: float) -> float:
    """What a thread does that is so busy."""
    return float(HALF * (max(share, 0.0) / HALF) ** (1 / growth))


def fit_growth(points: Sequence[tuple[float, float]]) -> float:
    """Out of (units, share of the core): the median slope of all pairs on a double logarithm (Theil and Sen)."""
    known = sorted((log(units), log(share)) for units, share in points if units > 0 and share > 0)
    slopes = [
        (later[1] - early[1]) / (later[0] - early[0])
        for early, later in combinations(known, 2)
        if later[0] - early[0] > APART
    ]
    return min(max(statistics.median(slopes), LEAST_GROWTH), MOST_GROWTH) if slopes else MOST_GROWTH
