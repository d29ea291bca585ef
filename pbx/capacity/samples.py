"""What single steps took, and the costs that are made of them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pbx.capacity.costs import STAGES, Cost
from pbx.capacity.model import fit_wake, wakes, work_of
from pbx.capacity.rig import Usage

NOTHING: Final = Usage()


@dataclass(frozen=True, slots=True)
class Sample:
    """One step: how many units a second there were (or calls with media at a time), and shares of a core by stage.

    `quiet` is what was used without them; both are less what the idle daemon takes.
    """

    units: float
    busy: Usage
    quiet: Usage = NOTHING

    def work(self, wake: Mapping[str, float]) -> dict[str, float]:
        """Of one unit, where so much of each stage's share goes to being woken."""
        return {
            stage: max(
                work_of(getattr(self.busy, stage), wake[stage]) - work_of(getattr(self.quiet, stage), wake[stage]),
                0.0,
            )
            / max(self.units, 1e-9)
            for stage in STAGES
        }


def wake_of(samples: Sequence[Sample], stage: str) -> float:
    """Of samples of the same work at different rates."""

    def share(sample: Sample) -> float:
        return float(getattr(sample.busy, stage) - getattr(sample.quiet, stage))

    return fit_wake([(sample.units, share(sample)) for sample in samples])


def cost_of(name: str, title: str, samples: Sequence[Sample], wake: Mapping[str, float], *, per_second: bool) -> Cost:
    """The median of the samples, and its parts."""
    woken = {stage: wake[stage] * wakes(name, stage) for stage in STAGES}
    found = [sample.work(woken) for sample in samples]
    runs = tuple(sum(each.values()) for each in found)
    value = statistics.median(runs)
    parts = {stage: statistics.median(each[stage] for each in found) for stage in STAGES}
    whole = sum(parts.values())
    stages = {stage: part * value / whole if whole else 0.0 for stage, part in parts.items()}
    return Cost(title, value, runs, stages, per_second=per_second)
