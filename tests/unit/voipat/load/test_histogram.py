"""Times in buckets: what is told of them is within a bucket of the truth."""

from __future__ import annotations

import random
import statistics

import pytest

from voipat.load import Histogram
from voipat.load._load import bucketed


def test_percentiles_are_within_a_bucket_of_the_sorted_values() -> None:
    dice = random.Random(7)
    values = [int(dice.lognormvariate(8, 2)) for _ in range(20_000)]
    found = Histogram.of(bucketed(values))
    ordered = sorted(values)
    for part in (0.5, 0.9, 0.99, 0.999):
        exact = ordered[int(part * len(ordered)) - 1] / 1e3
        assert found.percentile_ms(part) == pytest.approx(exact, rel=1 / 127, abs=0.001)
    assert found.percentile_ms(1) == max(values) / 1e3
    assert found.mean_ms == pytest.approx(statistics.fmean(values) / 1e3)
    assert found.count == 20_000


def test_small_values_are_kept_exactly() -> None:
    assert dict(Histogram.of(bucketed([0, 1, 1, 255])).buckets) == {0: 1, 1: 2, 255: 1}


def test_a_value_of_more_than_an_hour_is_in_the_last_bucket() -> None:
    found = Histogram.of(bucketed([10**12]))
    assert found.count == 1
    assert found.max_us == 10**12


def test_parts_add_up_and_an_earlier_state_can_be_taken_off() -> None:
    early, late = Histogram.of(bucketed([5, 300])), Histogram.of(bucketed([5, 7, 300, 4000]))
    assert dict((late - early).buckets) == {7: 1, 4015: 1}
    assert (late - early).sum_us == 4007
    assert Histogram.merged([early, late]).count == 6
    assert Histogram.merged([early, late]).max_us == 4000


def test_an_empty_histogram_says_nothing() -> None:
    assert Histogram().percentile_ms(0.99) == 0
    assert Histogram().mean_ms == 0
