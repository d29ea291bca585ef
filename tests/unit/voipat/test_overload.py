"""Overload control in virtual time: what is shed, in which order, and when it is over.

How much gets through is `tests/sim/test_overload_goodput.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest

from sipcore.entropy import SeededEntropy
from voipat.overload import Kind, Overload, OverloadPolicy

STEP = 0.05
LATE, IN_TIME = 0.3, 0.001
FIRST_SEEN = tuple(kind for kind in Kind if kind is not Kind.CHALLENGED_CALL)


class Server:
    """A policy and its clock."""

    def __init__(self, policy: OverloadPolicy | None = None) -> None:
        self.overload = Overload(SeededEntropy(1), policy or OverloadPolicy())
        self.now = 100.0

    def run(self, seconds: float, late_s: float, kinds: Sequence[Kind] = FIRST_SEEN, count: int = 5) -> list[float]:
        """How much is shed, sample for sample, while `count` requests of each of the kinds come between two."""
        seen = []
        for _ in range(round(seconds / STEP)):
            self.now += STEP
            for kind in kinds:
                self.admitted(kind, count)
            self.overload.sample(late_s, self.now)
            seen.append(self.overload.shed)
        return seen

    def admitted(self, kind: Kind, count: int = 100) -> int:
        return sum(not self.overload.is_watching or self.overload.admits(kind) for _ in range(count))


def test_nothing_is_shed_in_time() -> None:
    server = Server()
    server.run(60.0, IN_TIME)
    assert [server.admitted(kind) for kind in Kind] == [100] * len(Kind)
    assert not server.overload.counters


@pytest.mark.parametrize("late_s", [0.15, 1.5, 10.0])
def test_one_long_turn_of_the_loop_is_no_overload(late_s: float) -> None:
    server = Server()
    server.run(1.0, IN_TIME)
    for _ in range(20):
        server.run(2 * STEP, late_s)
        server.run(2 * STEP, IN_TIME)
    assert server.overload.shed == 0.0 and not server.overload.counters


def test_what_is_late_but_no_longer_than_a_pause_is_served() -> None:
    server = Server()
    server.run(10.0, 0.1)
    assert server.overload.is_watching
    assert [server.admitted(kind) for kind in Kind] == [100] * len(Kind)


def test_what_lasts_is_shed_in_order_and_each_kind_gets_what_those_after_it_leave() -> None:
    """At the target the rate stays; it was 100 a second of each kind before, and grows to four times that."""
    server = Server()
    server.run(4 * STEP, 0.13)
    shed = [server.run(2.0, 0.06, count=count)[-1] for count in (5, 6, 8, 10, 20)]
    assert all(earlier < later for earlier, later in pairwise(shed))
    assert shed[0] < 1.0 + Kind.CALL and shed[-1] > Kind.KNOWN_CALL
    admitted = [server.admitted(kind) for kind in Kind]
    assert admitted == sorted(admitted) and admitted[0] == 0 < admitted[Kind.KNOWN_CALL]


def test_a_share_is_kept_exactly() -> None:
    server = Server()
    server.overload.shed = 2.25
    assert not server.overload.counters
    assert [server.admitted(kind, 1000) for kind in Kind] == [0, 0, 750, 1000, 1000]
    assert server.overload.counters == {
        "overload_probe": 1000,
        "overload_registration": 1000,
        "overload_call": 250,
    }


@pytest.mark.parametrize("flood", FIRST_SEEN)
def test_who_is_not_the_load_is_not_refused(flood: Kind) -> None:
    server = Server()
    server.run(30.0, LATE, [flood], count=50)
    assert flood < server.overload.shed <= flood + 1.0
    assert [server.admitted(kind, 10) for kind in Kind if kind > flood] == [10] * (len(Kind) - 1 - flood)


def test_a_few_calls_are_served_however_late_it_is() -> None:
    """Twenty a second are no load, whoever else is."""
    server = Server(OverloadPolicy(hopeless_s=5.0))
    server.run(5.0, 1.0, [Kind.KNOWN_CALL], count=100)
    before = server.overload.counters["overload_known_call"]
    server.run(10.0, 1.0, [Kind.KNOWN_CALL], count=100)
    refused = server.overload.counters["overload_known_call"] - before
    assert 200 * 100 - refused == pytest.approx(200, abs=20)


def test_a_call_that_answered_our_challenge_is_refused_only_when_all_is_repeated_already() -> None:
    server = Server()
    server.run(5.0, LATE, count=50)
    assert server.admitted(Kind.CHALLENGED_CALL) == 100
    server.run(STEP, 1.1)
    assert server.admitted(Kind.CHALLENGED_CALL) == 0
    server.run(STEP, LATE)
    assert server.admitted(Kind.CHALLENGED_CALL) == 100


def test_lateness_is_met_at_once_and_the_rate_goes_slowly() -> None:
    server = Server()
    server.run(1.0, 0.15)
    beyond, twice, empty = (server.run(STEP, late)[0] for late in (0.2, 0.12, 0.0))
    assert beyond > twice > empty


def test_it_is_over_within_ten_seconds() -> None:
    server = Server()
    server.run(5.0, LATE, count=50)
    assert server.overload.shed > Kind.KNOWN_CALL
    falling = server.run(10.0, IN_TIME)
    assert falling[-1] == 0.0 and not server.overload.is_watching
    assert all(later <= earlier for earlier, later in pairwise(falling[6:]))


def test_a_lull_in_the_load_does_not_forget_the_rate() -> None:
    server = Server()
    server.run(3.0, 0.06, [Kind.CALL], count=50)
    server.run(3 * STEP, 0.13, [Kind.CALL], count=50)
    server.run(2.0, 0.06, [Kind.CALL], count=100)
    before = server.overload.shed
    server.run(1.0, 0.06, [])
    server.run(1.0, 0.06, [Kind.CALL], count=100)
    assert server.overload.shed == pytest.approx(before, abs=0.01)


@pytest.mark.parametrize("kind", [Kind.CALL, Kind.KNOWN_CALL])
def test_twenty_calls_at_once_are_served_by_a_machine_that_is_late(kind: Kind) -> None:
    server = Server()
    for _ in range(5):
        server.run(3.0, LATE, [])
        assert server.admitted(kind, 20) == 20


def test_a_sample_after_a_long_stall_does_not_count_for_the_whole_stall() -> None:
    stalled, usual = Server(), Server()
    for server, stall in ((stalled, 60.0), (usual, 0.0)):
        server.run(1.0, 0.13)
        server.now += stall
        server.run(STEP, 0.13)
        server.run(1.0, 0.06)
    assert stalled.overload.shed == pytest.approx(usual.overload.shed, abs=0.1)


def test_retry_after_is_spread_over_five_to_thirty_seconds() -> None:
    overload = Overload(SeededEntropy(7))
    told = [overload.retry_after() for _ in range(5000)]
    assert set(told) == set(range(5, 31))
    assert max(told.count(second) for second in set(told)) < 300
