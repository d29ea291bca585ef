"""Loads of many kinds at once: by them the costs are checked, and `make bench` has them as scenarios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pbx.capacity.costs import Costs
from pbx.capacity.kinds import MediaKind
from pbx.capacity.model import Load, shares
from pbx.capacity.planner import Demand, load_of
from pbx.capacity.rig import Usage
from voipat.load import Counts, MediaCounts, Proof

# Of the one core that the scratch daemon has.
MIXED: Final = 0.6


@dataclass(frozen=True, slots=True)
class Mixed:
    """A load of many kinds, by the habits of those who make it. Calls are short, so that there are many of them."""

    title: str
    demand: Demand


OFFICE: Final = Mixed(
    "mixed office",
    Demand(hold=20, trunk_share=0.6, opus=0.2, g722=0.1, srtp=0.2, recorded=0.2, music=0.05, conference=0.05),
)
CALL_CENTRE: Final = Mixed(
    "mixed call centre",
    Demand(busy_hour=0.8, hold=15, trunk_share=1.0, opus=0.1, recorded=0.8, music=0.3, conference=0.0),
)
MIXES: Final = (OFFICE, CALL_CENTRE)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load came to: the one that there really was, shares of the core, and what the phones counted."""

    load: Load
    busy: Usage
    counts: Mapping[str, Counts]
    heard: MediaCounts
    proof: Proof


def mixed_load(demand: Demand, costs: Costs, kinds: Sequence[MediaKind]) -> Load:
    """That demand with as many calls as take `MIXED` of a core by these costs."""
    low, high = 1.0, 1000.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if shares(as_held(demand, middle, kinds), costs).total < MIXED else (low, middle)
    return as_held(demand, low, kinds)


def as_held(demand: Demand, calls: float, kinds: Sequence[MediaKind]) -> Load:
    """The same load in the kinds that are measured: calls that are passed on are recorded first."""
    load = load_of(demand, calls)
    held = dict(load.held)
    held["record"] = min(held.pop("recording"), held["relay"])
    held["relay"] -= held["record"]
    names = {kind.name for kind in kinds}
    return Load(load.rates, {name: count for name, count in held.items() if name in names})
