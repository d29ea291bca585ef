"""The gates of a knee: which of them a trial does not pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.cells.compare import KNEE_TRIES, fault_of_server
from bench.cells.knee import fault
from bench.cells.trial import Plan, Trial, Work
from bench.peers.base import Contender
from bench.rig.usage import Proof

QUIET = Proof(share=0.3, punctual=1.0, drops=0)


@pytest.mark.parametrize(
    ("trial", "said"),
    [
        (Trial(1.0, 0, 0.0, QUIET, {"INVITE to 200, p99/ms": 30.0, "quality/MOS": 4.4}), ""),
        (Trial(1.0, 3, 0.0, QUIET), "3 failed or lost"),
        (Trial(1.0, 0, 0.002, QUIET), "0.20% repeated"),
        (Trial(1.0, 0, 0.0, QUIET, {"INVITE to 200, p99/ms": 250.0}), "INVITE to 200, p99 250 ms"),
        (Trial(1.0, 0, 0.0, QUIET, {"longest gap at a phone/ms": 61.0}), "longest gap at a phone 61 ms"),
        (Trial(1.0, 0, 0.0, QUIET, {"quality/MOS": 3.9}), "MOS 3.90"),
        (Trial(1.0, 0, 0.0, Proof(0.9, 1.0, 0)), "INVALID: generator used 90% of its core"),
        (
            Trial(1.0, 0, 0.0, Proof(0.3, 1.0, 0, reached=0.59)),
            "INVALID: the server was under 59% of the load that was meant",
        ),
    ],
)
def test_each_gate_is_named_by_what_did_not_pass_it(trial: Trial, said: str) -> None:
    assert fault(trial) == said


GOOD, LATE = Trial(1.0, 0, 0.0, QUIET), Trial(1.0, 0, 0.0, Proof(0.3, 1.0, 0, late_ms=27.0))
LOSES = Trial(1.0, 7, 0.0, QUIET)


@dataclass(frozen=True, slots=True)
class Told(Work):
    """Gives these trials in turn; an error is raised."""

    coming: tuple[Trial | OSError, ...] = ()
    seen: list[int] | None = None

    def trial(self, make: Callable[[], Contender]) -> Trial:
        assert self.seen is not None
        self.seen.append(1)
        found = self.coming[len(self.seen) - 1]
        if isinstance(found, OSError):
            raise found
        return found


def _never(_: Contender, __: Path, ___: Plan) -> Trial:
    raise AssertionError("it is told what comes")


@pytest.mark.parametrize(
    ("coming", "said", "tries"),
    [
        ((LATE, OSError("Address already in use"), GOOD), "", 3),
        ((LATE, LOSES), "7 failed or lost", 2),
        ((LOSES,), "7 failed or lost", 1),
        ((LATE, LATE, LATE), "INVALID: generator sent up to 27 ms late", KNEE_TRIES),
    ],
)
def test_a_knee_is_not_found_by_what_the_generator_could_not_do(
    coming: tuple[Trial | OSError, ...], said: str, tries: int
) -> None:
    work = Told(_never, Plan(1.0, 1.0), coming, [])
    assert fault_of_server(work, Contender) == said
    assert len(work.seen or []) == tries
