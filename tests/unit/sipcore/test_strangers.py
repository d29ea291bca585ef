"""One budget for all strangers, in virtual time: floods of every shape, and the new phone that comes in beside them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from sipcore.strangers import Rank, Strangers

NEW_PHONE = "192.0.2.1"
STEP = 0.001
# RFC 3261 §17.1.2.2: when a request is sent over UDP, with T1 of 500 ms and T2 of 4 s.
RETRANSMITS = (0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5)


def never() -> bool:
    return False


def always() -> bool:
    return True


def hundreds() -> Iterator[str]:
    while True:
        yield from (f"198.51.100.{number}" for number in range(200))


def forged() -> Iterator[str]:
    chance = random.Random(4)
    while True:
        yield f"10.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(256)}"


class Flood:
    """Ten requests a millisecond, from sources of a kind."""

    def __init__(self, sources: Iterator[str], *, each: int = 10) -> None:
        self.strangers = Strangers()
        self.now = 50.0
        self.answers = 0
        self._sources = sources
        self._each = each

    def run(self, until: float, *, proves: bool = False) -> None:
        while self.now < until:
            for _ in range(self._each):
                if self.strangers.rank(next(self._sources), self.now, always if proves else never) is not None:
                    self.answers += 1
            self.now += STEP

    def tries(self, source: str = NEW_PHONE, is_first: Callable[[], bool] = never) -> int:
        """How often a phone asks until it is answered."""
        begin = self.now
        for count, at in enumerate(RETRANSMITS, 1):
            self.run(begin + at)
            if self.strangers.rank(source, self.now, is_first) is not None:
                return count
        raise AssertionError("not answered within 32 s")


def test_without_a_flood_everybody_is_answered_at_once() -> None:
    # 500 phones behind one address and 500 elsewhere come back from a power cut: all within a second.
    strangers = Strangers()
    for number in range(500):
        now = 50.0 + number / 500
        for source in (NEW_PHONE, f"203.0.113.{number}"):
            assert strangers.rank(source, now, never) is not None
            assert strangers.rank(source, now, always) is not None
            strangers.was_right()


@pytest.mark.parametrize("sources", [hundreds, forged])
def test_a_flood_gets_the_rate_and_no_more(sources: Callable[[], Iterator[str]]) -> None:
    flood = Flood(sources())
    flood.run(54.0)
    flood.answers = 0
    flood.run(59.0)
    # One a second of each source is like a phone's.
    assert 4_900 <= flood.answers <= 6_100


def test_a_new_phone_is_answered_at_once_beside_a_flood_from_hundreds_of_sources() -> None:
    flood = Flood(hundreds())
    flood.run(55.0)
    assert [flood.tries(f"192.0.2.{number}") for number in range(8)] == [1] * 8


def test_sources_of_a_flood_that_bring_nonces_of_ours_are_busy_all_the_same() -> None:
    flood = Flood(hundreds())
    flood.run(60.0, proves=True)
    assert flood.tries() == 1


def test_a_new_phone_is_answered_the_second_time_beside_a_forged_flood() -> None:
    flood = Flood(forged())
    flood.run(55.0)
    counts = [flood.tries(f"192.0.2.{number}") for number in range(8)]
    assert max(counts) == 2


def test_who_brings_a_nonce_of_ours_is_answered_at_once_beside_a_forged_flood() -> None:
    flood = Flood(forged())
    flood.run(55.0)
    assert [flood.tries(f"192.0.2.{number}", always) for number in range(8)] == [1] * 8


def test_a_copy_that_comes_sooner_than_a_phone_repeats_is_none() -> None:
    flood = Flood(forged())
    flood.run(55.0)
    source = "192.0.2.9"
    while flood.strangers.rank(source, flood.now, never) is not None:
        source += "9"
    flood.run(flood.now + 0.3)
    assert flood.strangers.rank(source, flood.now, never) is not Rank.FIRST
    flood.run(flood.now + 0.2)
    assert flood.strangers.rank(source, flood.now, never) is Rank.FIRST


def test_who_waited_is_first_though_the_flood_is_over() -> None:
    # The loop may be late still: overload control spares who is FIRST.
    flood = Flood(forged())
    flood.run(55.0)
    source = "192.0.2.9"
    while flood.strangers.rank(source, flood.now, never) is not None:
        source += "9"
    assert flood.strangers.rank(source, flood.now + 20.0, never) is Rank.FIRST
    assert flood.strangers.rank(source, flood.now + 20.5, never) is Rank.QUIET


def test_who_was_wrong_is_busy_for_a_second() -> None:
    strangers = Strangers()
    strangers.was_wrong(NEW_PHONE, 50.0)
    assert not strangers.is_quiet(NEW_PHONE, 50.5)
    assert strangers.is_quiet(NEW_PHONE, 51.0)


def test_who_authenticates_gives_its_token_back() -> None:
    strangers = Strangers()
    for number in range(5000):
        assert strangers.rank(f"10.0.{number // 250}.{number % 250}", 50.0, never) is not None
        strangers.was_right()
    assert not strangers.is_tight(50.0)


def test_after_the_flood_all_is_as_before() -> None:
    flood = Flood(forged())
    flood.run(55.0)
    assert flood.strangers.is_tight(flood.now)
    assert not flood.strangers.is_tight(flood.now + 3.1)
