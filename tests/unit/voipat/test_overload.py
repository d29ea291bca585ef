"""Overload control in virtual time: what is shed, in which order, and when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest

from sipcore.entropy import SeededEntropy
from voipat.overload import Kind, Overload, OverloadPolicy

STEP = 0.05
LATE, IN_TIME = 0.3, 0.001


class Server:
    """A policy and its clock."""

    def __init__(self, policy: OverloadPolicy | None = None) -> None:
        self.overload = Overload(SeededEntropy(1), policy or OverloadPolicy())
        self.now = 100.0

    def run(self, seconds: float, late_s: float, kinds: Sequence[Kind] = tuple(Kind)) -> list[float]:
        """How much is shed, sample for sample, while 100 requests a second of each of the kinds come."""
        seen = []
        for _ in range(round(seconds / STEP)):
            self.now += STEP
            for kind in kinds:
                self.admitted(kind, 5)
            self.overload.sample(late_s, self.now)
            seen.append(self.overload.shed)
        return seen

    def admitted(self, kind: Kind, count: int = 100) -> int:
        return sum(self.overload.admits(kind) for _ in range(count))


def test_nothing_is_shed_in_time() -> None:
    server = Server()
    server.run(60.0, IN_TIME)
    assert [server.admitted(kind) for kind in Kind] == [100] * 4
    assert not server.overload.counters


@pytest.mark.parametrize("late_s", [0.1, 1.0, 10.0])
def test_one_long_turn_of_the_loop_is_no_overload(late_s: float) -> None:
    server = Server()
    server.run(1.0, IN_TIME)
    for _ in range(20):
        server.run(2 * STEP, late_s)
        server.run(2 * STEP, IN_TIME)
    assert server.overload.shed == 0.0


def test_between_the_marks_nothing_changes() -> None:
    server = Server()
    server.run(0.5, LATE)
    before = server.overload.shed
    assert before > 0.0
    assert server.run(10.0, 0.04)[-1] == before


def test_what_lasts_is_shed_in_order() -> None:
    server = Server()
    first_refusals: dict[Kind, float] = {}
    for _ in range(200):
        server.run(STEP, LATE)
        for kind in Kind:
            if not all(server.overload.admits(kind) for _ in range(50)):
                first_refusals.setdefault(kind, server.now)
    assert list(first_refusals) == list(Kind)
    assert all(earlier < later for earlier, later in pairwise(first_refusals.values()))
    assert [server.admitted(kind) for kind in Kind] == [0] * 4


def test_a_share_is_kept_exactly() -> None:
    server = Server()
    server.overload.shed = 2.25
    assert not server.overload.counters
    assert [server.admitted(kind, 1000) for kind in Kind] == [0, 0, 750, 1000]
    assert server.overload.counters == {
        "overload_probe": 1000,
        "overload_registration": 1000,
        "overload_call": 250,
    }


@pytest.mark.parametrize("flood", list(Kind))
def test_who_is_not_the_load_is_not_refused(flood: Kind) -> None:
    server = Server()
    server.run(30.0, 1.0, [flood])
    assert server.overload.shed == flood + 1.0
    assert [server.admitted(kind, 10) for kind in Kind] == [0] * (flood + 1) + [10] * (3 - flood)


def test_lateness_that_barely_counts_is_answered_slowly() -> None:
    barely, much = Server(), Server()
    barely.run(1.0, 0.07)
    much.run(1.0, 1.0)
    assert 0.0 < barely.overload.shed < 0.4 < 3.0 < much.overload.shed


def test_it_goes_slowly_then_fast_and_is_over_within_ten_seconds() -> None:
    server = Server()
    server.run(5.0, LATE)
    assert server.overload.shed == 4.0
    falling = server.run(10.0, IN_TIME)
    assert falling[20] > 3.5
    assert falling[-1] == 0.0
    assert all(later <= earlier for earlier, later in pairwise(falling))


def test_lateness_again_ends_the_calm() -> None:
    server = Server()
    server.run(5.0, LATE)
    server.run(1.9, IN_TIME)
    server.run(STEP * 3, LATE)
    before = server.overload.shed
    server.run(1.0, IN_TIME)
    assert before - server.overload.shed < 0.4


def test_a_sample_after_a_long_stall_does_not_count_for_the_whole_stall() -> None:
    server = Server()
    server.run(0.2, LATE)
    server.now += 60.0
    server.overload.sample(60.0, server.now)
    assert server.overload.shed <= 1.5


def test_retry_after_is_spread_over_five_to_thirty_seconds() -> None:
    overload = Overload(SeededEntropy(7))
    told = [overload.retry_after() for _ in range(5000)]
    assert set(told) == set(range(5, 31))
    assert max(told.count(second) for second in set(told)) < 300


def test_a_server_in_the_loop_settles_near_what_it_can_do() -> None:
    """A queue that serves 500 calls/s and refuses ten times as fast, offered 1500/s: the goodput stays."""
    server, waiting, served_late = Server(), 0.0, 0
    cost, refusal = 1 / 500, 1 / 5000
    served: list[int] = []
    for _ in range(round(60 / STEP)):
        waiting += 1500 * STEP
        budget, done = STEP, 0
        while waiting >= 1 and budget > 0:
            waiting -= 1
            is_admitted = server.overload.admits(Kind.CALL)
            budget -= cost if is_admitted else refusal
            done += is_admitted
        served.append(done)
        late_s = waiting * (cost + refusal) / 2
        served_late += late_s > 1.0
        server.run(STEP, late_s)
    settled = served[round(10 / STEP) :]
    # What is left for calls when the others are refused.
    possible = (1 - 1500 * refusal) / (cost - refusal)
    assert sum(settled) / 50 >= 0.9 * possible
    assert served_late * STEP < 5.0
    assert server.admitted(Kind.KNOWN_CALL) == 100
