"""The heap of deadlines: one entry per owner that matters, however often the owner changes its mind."""

from __future__ import annotations

from math import inf

from sipcore.timers import Clock, Deadlines, Timers


class Owner(Clock):
    def __init__(self, name: str, deadline: float = inf) -> None:
        self.name = name
        self.expire_at = deadline


class Computing(Owner):
    def __init__(self, name: str, deadline: float) -> None:
        super().__init__(name)
        self.computes = True
        self.alarms = [deadline]

    def next_deadline(self) -> float:
        return min(self.alarms, default=inf)


def fire(deadlines: Deadlines, now: float) -> list[str]:
    names = []
    for owner in deadlines.due(now):
        assert isinstance(owner, Owner)
        names.append(owner.name)
        owner.expire_at = inf
    return names


def test_owners_fire_in_the_order_of_their_deadlines() -> None:
    deadlines = Deadlines()
    for name, moment in (("c", 3.0), ("a", 1.0), ("b", 2.0), ("d", 4.0)):
        deadlines.schedule(Owner(name, moment))
    assert deadlines.next_timeout() == 1.0
    assert fire(deadlines, 3.0) == ["a", "b", "c"]
    assert deadlines.next_timeout() == 4.0


def test_equal_deadlines_fire_in_the_order_of_entry() -> None:
    deadlines = Deadlines()
    for name in "xyz":
        deadlines.schedule(Owner(name, 1.0))
    assert fire(deadlines, 1.0) == ["x", "y", "z"]


def test_a_deadline_moved_later_fires_once_at_its_new_moment() -> None:
    deadlines, owner = Deadlines(), Owner("a", 1.0)
    deadlines.schedule(owner)
    owner.expire_at = 5.0
    deadlines.schedule(owner)
    assert deadlines.next_timeout() == 5.0
    assert fire(deadlines, 1.0) == []
    assert fire(deadlines, 5.0) == ["a"]
    assert deadlines.next_timeout() is None


def test_a_deadline_moved_nearer_fires_once() -> None:
    deadlines, owner = Deadlines(), Owner("a", 5.0)
    deadlines.schedule(owner)
    owner.expire_at = 1.0
    deadlines.schedule(owner)
    assert deadlines.next_timeout() == 1.0
    assert fire(deadlines, 9.0) == ["a"]
    assert (deadlines.next_timeout(), len(deadlines)) == (None, 0)


def test_an_owner_without_deadline_costs_nothing_and_never_fires() -> None:
    deadlines, owner = Deadlines(), Owner("a", 1.0)
    deadlines.schedule(owner)
    owner.expire_at = inf
    assert deadlines.next_timeout() is None
    assert fire(deadlines, 100.0) == []


def test_an_owner_that_sets_a_new_deadline_while_firing_is_scheduled_again() -> None:
    deadlines, owner = Deadlines(), Owner("a", 1.0)
    deadlines.schedule(owner)
    for each in deadlines.due(1.0):
        assert each is owner
        owner.expire_at = 2.0
    assert deadlines.next_timeout() == 2.0


def test_an_owner_rescheduled_while_another_fires_is_seen() -> None:
    deadlines, first, second = Deadlines(), Owner("a", 1.0), Owner("b", 9.0)
    deadlines.schedule(first)
    deadlines.schedule(second)
    names = []
    for each in deadlines.due(1.0):
        assert isinstance(each, Owner)
        names.append(each.name)
        each.expire_at = inf
        if each is first:
            second.expire_at = 1.0
            deadlines.schedule(second)
    assert names == ["a", "b"]


def test_an_owner_that_waits_for_more_than_two_moments_says_which_is_first() -> None:
    deadlines, owner = Deadlines(), Computing("a", 5.0)
    deadlines.schedule(owner)
    owner.alarms.append(2.0)
    deadlines.schedule(owner)
    assert deadlines.next_timeout() == 2.0
    owner.alarms.remove(2.0)
    assert deadlines.next_timeout() == 5.0


def test_the_long_timeout_is_64_t1() -> None:
    assert Timers(t1=0.25).timeout == 16.0
