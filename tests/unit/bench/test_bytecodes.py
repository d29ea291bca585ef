"""The guard of bytecodes: a unit of signalling that takes 5 % more of them than its baseline is red."""

from __future__ import annotations

import pytest

from bench.micro.bytecodes import baseline, counted, measure
from bench.micro.counts import CannotCountError, grown


def test_what_is_counted_is_what_the_interpreter_does() -> None:
    def unit(times: int) -> int:
        return sum(number for number in range(times))

    few, many = counted(lambda: unit(10)), counted(lambda: unit(110))
    assert counted(lambda: unit(10)) == few
    assert 100 <= (many - few) / 5 <= 200  # five or some more of each round of the loop


def test_growth_of_more_than_five_per_cent_is_named() -> None:
    before = {"call": 10_000, "digest": 1000}
    assert grown({"call": 10_500, "digest": 1051}, before, "bytecodes") == ["digest: 1051 bytecodes, 1000 before"]


def test_signalling_takes_no_more_bytecodes_than_its_baseline() -> None:
    try:
        before = baseline()
    except CannotCountError as error:
        pytest.skip(str(error))
    assert not grown(measure(), before, "bytecodes")
