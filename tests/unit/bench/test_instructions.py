"""The guard of instruction counts: a kernel that takes 5 % more than its baseline is red."""

from __future__ import annotations

import pytest

from bench.micro.counts import CannotCountError, grown
from bench.micro.instructions import baseline, measure


def test_growth_of_more_than_five_per_cent_is_named() -> None:
    before = {"relay": 1000, "room": 1000}
    assert grown({"relay": 1050, "room": 1051}, before, "instructions") == ["room: 1051 instructions, 1000 before"]


@pytest.mark.slow
def test_the_kernels_take_no_more_instructions_than_their_baseline() -> None:
    try:
        before = baseline()
        counts = measure()
    except CannotCountError as error:
        pytest.skip(str(error))
    assert not grown(counts, before, "instructions")
