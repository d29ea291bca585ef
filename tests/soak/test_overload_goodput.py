"""S19: at three times what is sustained, four fifths of the calls of the peak still get through.

Per second of the server's CPU, so that a machine that others use too says the same as one of its own.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import overload

pytestmark = pytest.mark.slow

TRIES = 3


def test_goodput_under_three_times_the_load_stays_near_the_peak(tmp_path: Path, soak: bool) -> None:
    if not soak:
        pytest.skip("two minutes of load: make soak")
    for number in range(TRIES):
        directory = tmp_path / str(number)
        directory.mkdir()
        result = overload.measure(directory, seconds=20)
        if not result.faults():
            break
    assert not result.faults(), "the machine is too busy to say"
    assert result.undisturbed == overload.STANDING
    assert result.ratio(result.runs[-1]) >= 0.8, result.figures()
