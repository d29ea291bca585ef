"""A run counts only when the generator was not what limited it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from voipat.load import Histogram, Mark, Proof
from voipat.load.proof import between

GOOD = Proof(seconds=5, share=0.4, late_ms=0.6, unsent=0, kernel_drops=0, waited=0.01)


def test_a_generator_with_head_room_has_no_fault() -> None:
    assert GOOD.faults() == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"share": 0.9}, "the generator used 90% of its core"),
        ({"late_ms": 35.0}, "the generator sent 35 ms late (one in a hundred)"),
        ({"unsent": 3}, "the generator could not send 3 times"),
        ({"kernel_drops": 2}, "the kernel dropped 2 packets to the generator"),
    ],
)
def test_what_limits_it_is_told(changed: dict[str, float], told: str) -> None:
    assert replace(GOOD, **changed).faults() == [told]


def test_a_proof_is_of_what_happened_between_two_marks() -> None:
    begin = Mark(at=10, unsent=1, kernel_drops=4, late=Histogram({90_000: 1}, 90_000, 90_000), waited_s=1)
    end = Mark(at=14, unsent=1, kernel_drops=4, late=Histogram({90_000: 1, 200: 99}, 109_800, 90_000), waited_s=3)
    proof = between(begin, end, 0.5, processes=2)
    assert (proof.unsent, proof.kernel_drops, proof.late_ms, proof.waited) == (0, 0, 0.2, 0.25)
    assert proof.faults() == []
