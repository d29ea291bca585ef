"""An hour of an office, a hundredth of it: 500 extensions, 5 % loss, one seed twice. The whole: `office_hour`."""

from __future__ import annotations

import pytest

from tests.sim.office_hour import run


@pytest.mark.slow
def test_a_minute_of_an_office_repeats_exactly_and_leaves_nothing(seed: int) -> None:
    first = run(seconds=36.0, extensions=500, seed=seed, loss=0.05)
    again = run(seconds=36.0, extensions=500, seed=seed, loss=0.05)
    assert first == again
    assert (first.leaks, first.deaf) == ([], 0)
    assert first.calls > 20 and first.outcomes["answered"] > 10
