"""The search of a knee: which load it ends at."""

from __future__ import annotations

import pytest

from voipat.load.knee import PRECISION, Search


@pytest.mark.parametrize("first", [50.0, 200.0, 1000.0, 4000.0])
def test_the_knee_is_found_from_below_and_from_above_within_five_per_cent(first: float) -> None:
    knee = Search(lambda load: "" if load <= 777 else "12 failed or lost").run(first)
    assert knee.good <= 777 < knee.bad <= knee.good * (1 + 2 * PRECISION) and knee.why == "12 failed or lost"


def test_one_bad_run_does_not_end_the_search() -> None:
    failed: list[float] = []

    def attempt(load: float) -> str:
        if load <= 777 and load not in failed:
            failed.append(load)
            return "a hiccup"
        return "" if load <= 777 else "too much"

    assert Search(attempt).run(100).good > 700


def test_a_server_that_holds_nothing_has_no_knee() -> None:
    knee = Search(lambda _: "it crashed").run(100)
    assert knee.good == 0 and knee.why == "it crashed"


def test_a_load_that_held_by_luck_is_given_up_for_one_that_holds_each_time() -> None:
    tried: list[float] = []

    def attempt(load: float) -> str:
        lucky = load <= 1000 and load not in tried
        tried.append(load)
        return "" if lucky or load <= 700 else "too much"

    found = Search(attempt, confirmations=2).run(1000)
    assert 600 < found.good <= 700 and found.bad > found.good and found.why == "too much"
    assert tried.count(found.good) == 2  # what is taken back to is confirmed twice as well


def test_a_search_whose_time_is_over_says_what_is_known() -> None:
    tried: list[float] = []
    found = Search(lambda load: tried.append(load) or "", is_over=lambda: len(tried) == 3).run(100)
    assert (found.good, found.bad, found.why) == (tried[-1], 0.0, "")
