"""How busy a core gets: the sum of what things cost, where each costs less the busier the core is already.

A process that sleeps between messages pays for a wake, and finds its code and its objects gone from the caches: a call
costs half as much at 400 a second as at 100. So a unit costs `hot × (1 + cold × (1 − share))`. For signalling `cold` is
fitted to calls at several rates, for media to all kinds at once against each alone. Costs are kept as they are on a
core that is half busy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pbx.capacity.costs import STAGES, Costs

SIGNALLING: Final = ("registration", "keepalive", "call", "trunk_call")
STEPS: Final = 40
MOST_COLD: Final = 3.0


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
    """What the load takes. Of a share that would be above one core the cost is that of a busy core."""
    share = 0.5
    for _ in range(STEPS):  # the warmer, the cheaper: halving the step keeps it from swinging
        found = _sum(load.rates, costs, warmth(costs.cold, share))
        media = _sum(load.held, costs, warmth(costs.cold_media, share))
        total = costs.idle + sum(found) + sum(media)
        share = (share + min(total, 1.0)) / 2
    return Shares(costs.idle + found[0] + media[0], found[1] + media[1], found[2] + media[2])


def warmth(cold: float, share: float) -> float:
    """What something costs at this share of the core, of what it costs at half."""
    return (1 + cold * (1 - share)) / (1 + cold / 2)


def _sum(units: Mapping[str, float], costs: Costs, warm: float) -> tuple[float, float, float]:
    spent = [0.0, 0.0, 0.0]
    for name, count in units.items():
        cost = costs.unit(name)
        if cost is None or not count:
            continue
        for index, stage in enumerate(STAGES):
            spent[index] += count * cost.stages[stage] * warm
    return spent[0], spent[1], spent[2]


def fit_cold(points: Sequence[tuple[float, float]]) -> float:
    """`cold` out of (share of the core, cost of a call at that share): a straight line through them."""
    if len(points) < 2:
        return 0.0
    count = len(points)
    mean_x = sum(1 - share for share, _ in points) / count
    mean_y = sum(cost for _, cost in points) / count
    spread = sum((1 - share - mean_x) ** 2 for share, _ in points)
    if spread < 1e-6:
        return 0.0
    slope = sum((1 - share - mean_x) * (cost - mean_y) for share, cost in points) / spread
    hot = mean_y - slope * mean_x
    return min(max(slope / hot, 0.0), MOST_COLD) if hot > 0 else MOST_COLD


def fit_cold_media(alone: Sequence[tuple[float, float]], together: float, share: float) -> float:
    """`cold` of media: `alone` has (share of the core, what was used) of each kind, `together` is of all, at `share`.

    The whole is less than its parts by as much as they were colder.
    """

    def foretold(cold: float) -> float:
        return sum(used * warmth(cold, share) / warmth(cold, own) for own, used in alone)

    low, high = 0.0, MOST_COLD
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if foretold(middle) > together else (low, middle)
    return low
