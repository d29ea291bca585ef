"""What a part of the benchmark prints: one JSON object a line."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bench.rig.usage import Proof


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured cell: `value` is the median of `runs`, or None when there is nothing to give."""

    name: str
    unit: str
    value: float | None
    runs: list[float]
    note: str
    who: str = ""  # the server, or the servers of a ratio or a difference
    what: str = ""  # of its trials: "" is the cost

    def print(self) -> None:
        print(json.dumps(asdict(self)), flush=True)


def median(name: str, unit: str, runs: Sequence[float], note: str, *, who: str = "", what: str = "") -> Figure:
    rounded = [round(run, 4) for run in runs]
    return Figure(name, unit, round(statistics.median(rounded), 4), rounded, note, who, what)


def missing(name: str, why: str, *, who: str = "") -> Figure:
    return Figure(name, "", None, [], why, who)


def evidence(proofs: Sequence[Proof]) -> str:
    """The worst of the runs' proofs, or why they do not count."""
    faults = sorted({fault for proof in proofs for fault in proof.faults()})
    worst = Proof(
        max(proof.share for proof in proofs),
        min(proof.punctual for proof in proofs),
        sum(proof.drops for proof in proofs),
        sum(proof.server_drops for proof in proofs),
        max(proof.late_ms for proof in proofs),
        proofs[0].busiest,
        min(proof.reached for proof in proofs),
    )
    return f"INVALID: {', '.join(faults)}" if faults else worst.text()
