"""What was measured, as values that are kept in a file and read again: docs/guides/capacity.md describes its form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from pbx.errors import PbxError

SCHEMA: Final = 1
STAGES: Final = ("signalling", "media", "disk")


class CostsError(PbxError):
    """A file of costs cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU of one unit in seconds (a call, a registration), or of one second of a call with media.

    `value` is the median of `runs`; `stages` are its parts. Signalling is that of a core that is half busy.
    """

    title: str
    value: float
    runs: tuple[float, ...]
    stages: Mapping[str, float]
    per_second: bool = False

    @property
    def spread(self) -> float:
        """Half of what lies between the lowest and the highest run, as a share of the value."""
        return (max(self.runs) - min(self.runs)) / 2 / self.value if self.value > 0 and self.runs else 0.0


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
    def is_good(self) -> bool:
        """The gates of this rate: nothing failed, hardly anything was repeated, set-up within 200 ms."""
        return not self.failed and self.retransmitted <= 0.001 * 13 * self.ok and self.p99_ms < 200


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

    predicted: float
    measured: float
    parts: str

    @property
    def error(self) -> float:
        """0.1: it took a tenth less than was foretold."""
        return self.predicted / self.measured - 1 if self.measured else 0.0


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
    recording_octets_s: float
    # How much more a message costs on an idle core than on a busy one: 1 is twice as much.
    cold: float
    cold_media: float
    costs: Mapping[str, Cost]
    curve: tuple[Point, ...] = ()
    quality: Mapping[str, Quality] = field(default_factory=dict)
    check: Check | None = None
    proof: str = ""
    waited: float = 0.0  # share of the time that the daemon had to wait for its core
    notes: tuple[str, ...] = ()

    @property
    def spread(self) -> float:
        """The median of all spreads: how far another run may be off."""
        spreads = sorted(cost.spread for cost in self.costs.values())
        return spreads[len(spreads) // 2] if spreads else 0.0

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
    check = found.pop("check")
    return Costs(
        costs=costs,
        curve=tuple(Point(**point) for point in found.pop("curve")),
        quality={name: Quality(**one) for name, one in found.pop("quality").items()},
        check=None if check is None else Check(**check),
        notes=tuple(found.pop("notes")),
        **found,
    )
