"""Least-cost routing: the longest prefix that is open decides, then priority, cost and weight.

A table is immutable and made once for a configuration; a look-up costs one dictionary access for each length of prefix
that the table has, whatever its size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sipcore.entropy import Entropy

MINUTES_OF_DAY: Final = 24 * 60
MAX_ROUTES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Hours:
    """Part of a week: days 0 (Monday) to 6, from a minute of the day up to another; past midnight when that is less."""

    days: frozenset[int]
    start: int = 0
    end: int = MINUTES_OF_DAY

    def has(self, weekday: int, minute: int) -> bool:
        """Whether the moment lies within."""
        if self.start <= self.end:
            return weekday in self.days and self.start <= minute < self.end
        if minute >= self.start:
            return weekday in self.days
        # After midnight it is still the evening of the day before.
        return minute < self.end and (weekday - 1) % 7 in self.days


@dataclass(frozen=True, slots=True)
class PrefixRoute:
    """Numbers that begin with `prefix` go by these trunks. Without hours it is always open."""

    prefix: str
    trunks: tuple[str, ...]
    priority: int = 10
    cost: float = 0.0
    weight: int = 10
    hours: tuple[Hours, ...] = ()

    def is_open(self, weekday: int, minute: int) -> bool:
        """Whether it may be used at this moment."""
        return not self.hours or any(hours.has(weekday, minute) for hours in self.hours)


class PrefixTable:
    """Routes by prefix. Raises: ValueError for more than `MAX_ROUTES`."""

    __slots__ = ("_by_prefix", "_lengths", "_size", "_timed")

    def __init__(self, routes: Iterable[PrefixRoute] = ()) -> None:
        by_prefix: dict[str, list[PrefixRoute]] = {}
        self._size = 0
        for route in routes:
            self._size += 1
            if self._size > MAX_ROUTES:
                raise ValueError(f"more than {MAX_ROUTES} routes")
            by_prefix.setdefault(route.prefix, []).append(route)
        # Best first; the order of the configuration decides what nothing else does.
        self._by_prefix = {prefix: tuple(sorted(found, key=_rank)) for prefix, found in by_prefix.items()}
        # Prefixes with a route that has hours: the others need no look at the clock.
        self._timed = frozenset(prefix for prefix, found in by_prefix.items() if any(route.hours for route in found))
        self._lengths = tuple(sorted({len(prefix) for prefix in by_prefix}, reverse=True))

    def __len__(self) -> int:
        return self._size

    def find(self, number: str, weekday: int, minute: int) -> tuple[PrefixRoute, ...]:
        """The open routes of the longest prefix that has one, best first; none when no route leads there."""
        table = self._by_prefix
        for length in self._lengths:
            prefix = number[:length]
            if prefix not in table:
                continue
            found = table[prefix]
            # A number shorter than `length` is itself the prefix that was found.
            if prefix not in self._timed:
                return found
            if opened := tuple(route for route in found if route.is_open(weekday, minute)):
                return opened
        return ()


def spread(routes: Sequence[PrefixRoute], entropy: Entropy) -> list[PrefixRoute]:
    """The routes in the order to try: equal ones of one priority and cost by chance, as their weights say."""
    ordered: list[PrefixRoute] = []
    waiting = list(routes)
    while waiting:
        group = [route for route in waiting if _rank(route) == _rank(waiting[0])]
        chosen = group[0] if len(group) == 1 else _draw(group, entropy)
        waiting.remove(chosen)
        ordered.append(chosen)
    return ordered


def _rank(route: PrefixRoute) -> tuple[int, float]:
    return route.priority, route.cost


def _draw(group: Sequence[PrefixRoute], entropy: Entropy) -> PrefixRoute:
    point = entropy.uniform(0.0, sum(route.weight for route in group))
    for route in group:
        point -= route.weight
        if point < 0.0:
            return route
    return group[-1]
