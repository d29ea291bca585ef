"""Half an hour of the office's day, every fault in it, one seed twice. The whole day: `make day`."""

from __future__ import annotations

from tests.sim.office_day import run


def test_a_day_with_faults_repeats_exactly_and_leaves_nothing(seed: int) -> None:
    first = run(seconds=900.0, extensions=60, agents=6, seed=seed)
    assert (first.leaks, first.answered_without_cdr, first.open_cdrs, first.places) == ([], 0, 0, 0)
    assert set(first.faults) == {"loss", "restarts", "dns", "store"}
    assert set(first.up) == set(first.calls) == {"inside", "out", "queue", "in"}, "some calls of each kind get through"
    assert first.up.total() > first.calls.total() / 2
    assert run(seconds=900.0, extensions=60, agents=6, seed=seed) == first
