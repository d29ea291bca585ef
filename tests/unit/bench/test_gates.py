"""The gates of a knee: which of them a trial does not pass."""

from __future__ import annotations

import pytest

from bench.cells.knee import fault
from bench.cells.trial import Trial
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
    ],
)
def test_each_gate_is_named_by_what_did_not_pass_it(trial: Trial, said: str) -> None:
    assert fault(trial) == said
