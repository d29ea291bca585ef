"""Ours and a bare-C floor in turns, in one run, so that the machine's noise meets both."""

from __future__ import annotations

import json
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

Run = dict[str, Any]


def in_turns(bare: Callable[[], Run], ours: Callable[[], Run], rounds: int) -> tuple[list[Run], list[Run]]:
    """The results of `rounds` of each, with as many descriptors as the machine allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    floor: list[Run] = []
    measured: list[Run] = []
    for _ in range(rounds):
        floor.append(bare())
        time.sleep(0.2)
        measured.append(ours())
    return floor, measured


def figure(name: str, unit: str, runs: list[float], note: str) -> str:
    """One line of the report: the median and its runs."""
    value = round(statistics.median(runs), 3)
    return json.dumps(
        {"name": name, "unit": unit, "value": value, "runs": [round(run, 3) for run in runs], "note": note}
    )
