"""What was measured, as values that are kept in a file and read again: docs/guides/capacity.md describes its form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from pbx.capacity.estimate import Estimate, estimate
from pbx.errors import PbxError

SCHEMA: Final = 3
REPEATED, MESSAGES_OF_CALL, LATEST_MS = 0.001, 13, 200.0
STAGES: Final = ("signalling", "media", "disk")


class CostsError(PbxError):
    """A file of costs cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU of one unit in seconds (a call, a registration), or of one second of a call with media.

    `value` is the median of `runs`; `stages` are its parts. To be woken is not in them.
    """

    title: str
    value: float
    runs: tuple[float, ...]
    stages: Mapping[str, float]
    per_second: bool = False

    @property
    def estimate(self) -> Estimate:
        """The value, and between what it lies."""
        return estimate(self.runs) if self.runs else Estimate(self.value, self.value, self.value)

    def scaled(self, factor: float) -> Cost:
        """The same, so many times dearer."""
        stages = {stage: value * factor for stage, value in self.stages.items()}
        return replace(self, value=self.value * factor, stages=stages)


@dataclass(frozen=True, slots=True)
class Point:
    """Calls at one rate: what they took and how long their set-up took, in milliseconds."""

    rate: float
    load: float
    p50_ms: float
    p99_ms: float
    ok: int
    failed: int
    retransmitted: int
    stages: Mapping[str, float]  # share of a core

    @property
    def fault(self) -> str:
        """The gate that this rate did not pass, or nothing. None fails, hardly a message is repeated, 200 ms."""
        if self.failed:
            return f"{self.failed} of {self.ok + self.failed} calls failed"
        if self.retransmitted > REPEATED * MESSAGES_OF_CALL * self.ok:
            return f"{self.retransmitted} messages were repeated"
        return f"set-up took {self.p99_ms:.0f} ms (p99)" if self.p99_ms >= LATEST_MS else ""

    @property
    def is_good(self) -> bool:
        """Whether it passed all of them."""
        return not self.fault


@dataclass(frozen=True, slots=True)
class Quality:
    """How the media of a kind arrived. Delay is None where payloads do not pass unchanged."""

    mos: float
    loss: float
    jitter_ms: float
    delay_p99_ms: float | None


@dataclass(frozen=True, slots=True)
class Check:
    """A mixed load: the share of a core that the costs foretell for it, and the one that it took."""

    title: str
    predicted: float
    measured: float
    parts: str

    @property
    def error(self) -> float:
        """0.1: it took a tenth less than was foretold."""
        return self.predicted / self.measured - 1 if self.measured else 0.0


@dataclass(frozen=True, slots=True)
class Knee:
    """Calls set up in a second: `good` held every gate, each time it was tried; `bad` did not, twice, and `why`."""

    good: float
    bad: float
    why: str


@dataclass(frozen=True, slots=True)
class Costs:
    """Everything that a plan is made of. Memory in kB, idle as a share of a core."""

    version: str
    machine: str
    cores: int
    memory_kb: int
    measured_at: str
    seconds: float
    idle: float
    base_kb: float
    binding_kb: float
    call_kb: float
    tls_kb: float  # of a connection
    recording_octets_s: float
    cdr_octets: float  # on the disk, of one call with its legs
    # By stage: what a thread takes for being woken, above its work, as a share of the time that its work leaves.
    wake: Mapping[str, float]
    costs: Mapping[str, Cost]
    rounds: int = 1
    curve: tuple[Point, ...] = ()
    quality: Mapping[str, Quality] = field(default_factory=dict)
    knee: Knee | None = None
    checks: tuple[Check, ...] = ()
    proof: str = ""
    waited: float = 0.0  # share of the time that the daemon had to wait for its core
    notes: tuple[str, ...] = ()

    @property
    def error(self) -> float:
        """Of the costs, the widest interval."""
        return max((cost.estimate.error for cost in self.costs.values()), default=0.0)

    def bound(self, *, high: bool) -> Costs:
        """The same with every cost at that end of its interval."""

        def moved(cost: Cost) -> Cost:
            found = cost.estimate
            return cost.scaled((found.high if high else found.low) / found.value) if found.value else cost

        return replace(self, costs={name: moved(cost) for name, cost in self.costs.items()})

    def unit(self, name: str) -> Cost | None:
        """A cost by name; `recording` is what recording adds to a call that is passed on."""
        if name != "recording":
            return self.costs.get(name)
        taped, plain = self.costs.get("record"), self.costs.get("relay")
        if taped is None or plain is None:
            return None
        stages = {stage: max(taped.stages[stage] - plain.stages[stage], 0.0) for stage in STAGES}
        return Cost("recording, added to a call", sum(stages.values()), (), stages, per_second=True)

    def to_json(self) -> dict[str, Any]:
        """With the number of the schema."""
        return {"schema": SCHEMA, **asdict(self)}


def save(costs: Costs, path: Path) -> None:
    """Raises: CostsError."""
    try:
        path.write_text(json.dumps(costs.to_json(), indent=1) + "\n")
    except OSError as error:
        raise CostsError(f"{path}: cannot be written: {error.strerror}") from error


def load(path: Path) -> Costs:
    """What `save` wrote. Raises: CostsError."""
    try:
        found = json.loads(path.read_text())
    except OSError as error:
        raise CostsError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError:
        raise CostsError(f"{path}: is no JSON; give a file that `voipat capacity --save` wrote") from None
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise CostsError(f"{path}: has no schema {SCHEMA}; measure again with this version's `voipat capacity --save`")
    try:
        return _read({key: value for key, value in found.items() if key != "schema"})
    except (KeyError, TypeError, ValueError) as error:
        raise CostsError(f"{path}: is incomplete: {error}") from None


def _read(found: dict[str, Any]) -> Costs:
    costs = {name: Cost(**{**cost, "runs": tuple(cost["runs"])}) for name, cost in found.pop("costs").items()}
    knee = found.pop("knee")
    return Costs(
        costs=costs,
        curve=tuple(Point(**point) for point in found.pop("curve")),
        quality={name: Quality(**one) for name, one in found.pop("quality").items()},
        knee=None if knee is None else Knee(**knee),
        checks=tuple(Check(**check) for check in found.pop("checks")),
        notes=tuple(found.pop("notes")),
        **found,
    )
