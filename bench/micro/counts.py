"""Counts of units of work beside those of a baseline that was written before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

MORE: Final = 1.05


class CannotCountError(Exception):
    """What counts is not installed, or the baseline was counted with something else."""


def kept(baseline: Path, key: str, counted_with: str) -> dict[str, int]:
    """The counts of a baseline whose `key` names what they were counted with. Raises: CannotCountError."""
    found = json.loads(baseline.read_text())
    if found[key] != counted_with:
        raise CannotCountError(f"the baseline was counted with {found[key]}, this is {counted_with}")
    counts: dict[str, int] = found["counts"]
    return counts


def keep(baseline: Path, key: str, counted_with: str, counts: dict[str, int]) -> None:
    """These are the ones to compare with from now on."""
    baseline.write_text(json.dumps({key: counted_with, "counts": counts}, indent=2) + "\n")


def grown(counts: dict[str, int], before: dict[str, int], what: str) -> list[str]:
    """Which have more than 5 % more."""
    return [
        f"{unit}: {number} {what}, {before[unit]} before"
        for unit, number in counts.items()
        if number > MORE * before.get(unit, number)
    ]
