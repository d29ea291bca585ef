"""Least-cost routing: the longest prefix that is open decides, then priority, cost and weight.

A table is immutable and made once for a configuration; a look-up costs one dictionary access for each length of prefix
that the table has, whatever its size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from zlib import crc32

MAX_ROUTES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class PrefixRoute:
    """Numbers that begin with `prefix` go by these trunks; `times` names the hours of it, "" is always."""

    prefix: str
    trunks: tuple[str, ...]
    priority: int = 10
    cost: float = 0.0
    weight: int = 10
    times: str = ""


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
        self._timed = frozenset(prefix for prefix, found in by_prefix.items() if any(route.times for route in found))
        self._lengths = tuple(sorted({len(prefix) for prefix in by_prefix}, reverse=True))

    def __len__(self) -> int:
        return self._size

    def find(self, number: str, is_open: Callable[[str], bool]) -> tuple[PrefixRoute, ...]:
        """The open routes of the longest prefix that has one, best first; none when no route leads there."""
        table = self._by_prefix
        for length in self._lengths:
            # A number shorter than `length` is itself the prefix that is looked for.
            prefix = number[:length]
            if prefix not in table:
                continue
            found = table[prefix]
            if prefix not in self._timed:
                return found
            if opened := tuple(route for route in found if not route.times or is_open(route.times)):
                return opened
        return ()


def spread(routes: Sequence[PrefixRoute], call: str) -> list[PrefixRoute]:
    """The routes in the order to try: equal ones of one priority and cost share calls as their weights say.

    Which one a call gets follows from `call`, so that who asks beforehand is told what happens.
    """
    ordered: list[PrefixRoute] = []
    waiting = list(routes)
    while waiting:
        group = [route for route in waiting if _rank(route) == _rank(waiting[0])]
        chosen = group[0] if len(group) == 1 else _draw(group, f"{call} {len(ordered)}")
        waiting.remove(chosen)
        ordered.append(chosen)
    return ordered


def _rank(route: PrefixRoute) -> tuple[int, float]:
    return route.priority, route.cost


def _draw(group: Sequence[PrefixRoute], call: str) -> PrefixRoute:
    point = crc32(call.encode()) / 2**32 * sum(route.weight for route in group)
    for route in group:
        point -= route.weight
        if point < 0.0:
            return route
    return group[-1]
