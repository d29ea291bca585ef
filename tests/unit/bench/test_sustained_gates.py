"""The gates of the sustained rate: no call failed, hardly a message repeated, at most 20 ms added at the p99."""

from __future__ import annotations

import pytest

from bench.cells.sip import _fault
from bench.rig.load import Load
from bench.rig.usage import Proof

PUNCTUAL, LATE = Proof(share=0.3, punctual=1.0, drops=0), Proof(share=0.3, punctual=0.9, drops=0)


@pytest.mark.parametrize(
    ("failed", "repeated", "proof", "slowest_ms", "fault"),
    [
        (0, 1, PUNCTUAL, 21.9, ""),
        (3, 0, PUNCTUAL, 10.0, "3 failed"),
        (0, 0, LATE, 10.0, "0 failed; generator started 90% of what was asked for"),
        (0, 13, PUNCTUAL, 10.0, "0.10% repeated"),
        (0, 0, PUNCTUAL, 22.1, "p99 20 ms"),
    ],
)
def test_a_load_holds_when_all_gates_are_passed(
    failed: int, repeated: int, proof: Proof, slowest_ms: float, fault: str
) -> None:
    setup_ms = (5.0,) * 980 + (slowest_ms,) * 20
    done = Load(1000 - failed, failed, repeated, 2.0, proof, setup_ms)
    assert _fault(done, straight_ms=2.0) == fault
