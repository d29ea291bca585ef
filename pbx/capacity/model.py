"""How busy a thread gets: each unit of work takes its time, and to be woken for work takes some besides.

A thread that sleeps between messages pays for every wake; messages that come while it works need none. The more there
is to do, the more of them come so: a share is `work + wake × (1 − share)`, a straight line over the work that begins
above nothing. It holds from a twentieth to seven tenths of a core. Where it begins is measured, by calls at several
rates and by few and by many streams. Media that the server makes itself, by its tick of 20 ms, wakes nobody. Shares of
different threads add.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import exp, log
from typing import Final

from pbx.capacity.costs import STAGES, Costs

# A core is planned to this: above it a queue forms whenever calls come in a bunch.
TARGET: Final = 0.7
# So much work at `wake` is woken for by two thirds, three times as much by nearly all.
WARM: Final = 0.01
# Of two points that are nearer to each other (1.5 times) the slope is noise.
APART: Final = log(1.5)
MOST_BEGINS: Final = 0.4
HALVINGS: Final = 40
# Whose packets wake the media worker: those of sockets that are passed on. All others are read at its tick.
PASSED_ON: Final = frozenset({"relay", "few", "srtp", "record", "recording"})


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
    work, waking = dict.fromkeys(STAGES, 0.0), dict.fromkeys(STAGES, 0.0)
    for name, count in (*load.rates.items(), *load.held.items()):
        cost = costs.unit(name)
        if cost is not None:
            for stage in STAGES:
                work[stage] += count * cost.stages[stage]
                waking[stage] += count * cost.stages[stage] * wakes(name, stage)
    used = {stage: share_of(work[stage], woken(waking[stage], costs.wake[stage])) for stage in STAGES}
    return Shares(costs.idle + used["signalling"], used["media"], used["disk"])


def wakes(name: str, stage: str) -> bool:
    """Whether the thread of that stage is woken by what such a unit sends."""
    return stage != "media" or name in PASSED_ON


def woken(work: float, wake: float) -> float:
    """What a thread that is at rest otherwise would take for being woken for so much work."""
    return wake * (1 - exp(-work / WARM))


def share_of_one(work: float, wake: float) -> float:
    """Of one thread; it is woken in what time its work leaves."""
    return (work + wake) / (1 + wake)


def share_of(work: float, wake: float = 0.0) -> float:
    """Of one thread as long as it is not full; more than one is planned to do is done by several that are as busy."""
    share = share_of_one(work, wake)
    return TARGET * work / (TARGET * (1 + wake) - wake) if share > TARGET else share


def work_of(share: float, wake: float) -> float:
    """What a thread does that is so busy, when all of its work wakes it."""
    low, high = 0.0, max(share, 0.0)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if share_of_one(middle, woken(middle, wake)) < share else (low, middle)
    return high


def fit_wake(points: Sequence[tuple[float, float]]) -> float:
    """Out of (units, share of the core): what being woken takes of a thread at rest, by where the line begins.

    Its slope is the median of all pairs (Theil and Sen). It goes through the points with the fewest units: there
    an error of the slope reaches the beginning least.
    """
    known = sorted((units, share) for units, share in points if units > 0)
    slopes = [
        (later[1] - early[1]) / (later[0] - early[0])
        for early, later in combinations(known, 2)
        if log(later[0] / early[0]) > APART
    ]
    if not slopes:
        return 0.0
    slope = statistics.median(slopes)
    beginnings = [share - slope * units for units, share in known if log(units / known[0][0]) <= APART]
    begins = min(max(statistics.median(beginnings), 0.0), MOST_BEGINS)
    return begins / (1 - begins)
