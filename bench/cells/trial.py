"""One run of one scenario against one server, and what came of it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.peers.base import Contender
from bench.rig import usage


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of the scenario's load, and for how long."""

    load: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Trial:
    """`cost` is what is compared, in the scenario's unit: mostly the server's CPU per unit of work."""

    cost: float
    failed: int
    repeated: float  # part of the messages that were sent again
    proof: usage.Proof
    beside: Mapping[str, float] = field(default_factory=dict)  # "what/unit" → value


@dataclass(frozen=True, slots=True)
class Work:
    """A scenario's `drive` gets a server that has just been started, and a directory of its own."""

    drive: Callable[[Contender, Path, Plan], Trial]
    plan: Plan

    def trial(self, make: Callable[[], Contender]) -> Trial:
        """Starts the server on its core, loads it, ends it."""
        contender = make()
        with tempfile.TemporaryDirectory(prefix="voipat-bench-") as directory:
            try:
                with usage.pinned(usage.cores()[0]):
                    contender.start(Path(directory) / contender.name)
                return self.drive(contender, Path(directory), self.plan)
            finally:
                contender.stop()
