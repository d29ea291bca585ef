"""Milliards and millions, which German, Danish, Swedish, French and Italian put before the rest in the same way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_LARGE: Final = ((1_000_000_000, "billion", "billions"), (1_000_000, "million", "millions"))


def millions(value: int, counted: Callable[[int], list[str]]) -> tuple[list[str], int]:
    """What is said of them, each after its count as `counted` says it, and what of the number is left."""
    said: list[str] = []
    for unit, one, many in _LARGE:
        if value >= unit:
            count = value // unit
            said += [*counted(count), one if count == 1 else many]
            value %= unit
    return said, value
