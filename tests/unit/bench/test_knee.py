"""The knee search: which load it ends at, and which gate a trial fails."""

from __future__ import annotations

import pytest

from bench.cells.knee import PRECISION, fault, search
from bench.cells.trial import Trial
from bench.rig.usage import Proof

QUIET = Proof(share=0.3, punctual=1.0, drops=0)


@pytest.mark.parametrize("first", [50.0, 200.0, 1000.0, 4000.0])
def test_the_knee_is_found_from_below_and_from_above_within_five_per_cent(first: float) -> None:
    knee = search(first, lambda load: "" if load <= 777 else "12 failed or lost")
    assert knee.good <= 777 < knee.bad <= knee.good * (1 + 2 * PRECISION) and knee.why == "12 failed or lost"


def test_one_bad_run_does_not_end_the_search() -> None:
    failed: list[float] = []

    def attempt(load: float) -> str:
        if load <= 777 and load not in failed:
            failed.append(load)
            return "a hiccup"
        return "" if load <= 777 else "too much"

    assert search(100, attempt).good > 700


def test_a_server_that_holds_nothing_has_no_knee() -> None:
    knee = search(100, lambda _: "it crashed")
    assert knee.good == 0 and knee.why == "it crashed"


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
