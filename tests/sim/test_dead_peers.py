"""A peer dies without a word, at each stage of a call (F14): the other end is free again, and the CDR says why."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.sim.office import Office
from tests.sim.test_trunk_calls import invites
from tests.sim.trunk_office import TrunkOffice, trunk

pytestmark = pytest.mark.usefixtures("nothing_left")

# The ringing or the media timeout, 30 s both; then what is said to nobody is repeated for 64*T1.
NOTICED_S = 31.0
FORGOTTEN_S = 30.0 + 32.0 + 3.0
NO_ANSWER = ("no_answer", 480, "VP-3003", "server")
SILENT = ("answered", 408, "VP-4004", "server")


@dataclass(frozen=True)
class Stage:
    """Which of the two dies how long after the INVITE was sent; whether the callee answers; what never arrives."""

    who: int
    after: float
    answers: bool
    outcome: tuple[str, int, str, str]
    lost: str = ""


STAGES = {
    "the callee before the INVITE": Stage(1, -0.5, False, NO_ANSWER),
    "the callee while it rings": Stage(1, 1.0, False, NO_ANSWER),
    "the callee after its 200, which is not acknowledged": Stage(1, 2.4, True, SILENT, lost="voipat"),
    "the callee in the call": Stage(1, 5.0, True, SILENT),
    "the caller while it rings": Stage(0, 1.0, False, NO_ANSWER),
    "the caller before its ACK": Stage(0, 2.4, True, SILENT, lost="1001"),
    "the caller in the call": Stage(0, 5.0, True, SILENT),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_peer_that_dies_leaves_nothing_and_the_cdr_says_why(seed: int, stage: str) -> None:
    death = STAGES[stage]
    with Office(seed=seed) as office:
        phones = office.phones(2)
        if death.answers:
            phones[1].answers(after=2.0)
        else:
            phones[1].rings()
        if death.lost:
            office.world.network.lose("ACK", source=death.lost, count=1000)
        begin = office.world.now + 1.0
        died = begin + death.after
        office.world.at(died, phones[death.who].vanish)
        phones[0].dial("1002", after=1.0)
        office.world.run(until=max(died, begin) + NOTICED_S)
        # One that never reached the callee is no call of his.
        assert all(call.is_over for phone in phones for call in phone.calls) and office.app.calls == ()
        office.world.run(until=max(died, begin) + FORGOTTEN_S)
        assert office.outcome() == death.outcome and office.world.leaks() == []


def test_a_peer_that_dies_while_it_is_hung_up_keeps_nobody(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=1.0)
        call = alice.dial("1002").hangs_up(after=3.0)
        office.world.network.lose("BYE", source="voipat", count=1000)
        office.world.run(until=office.world.now + 5.0)
        bob.vanish()
        assert call.is_over and office.app.calls == ()
        office.world.run(until=office.world.now + 33.0)
        assert office.outcome() == ("answered", 200, "VP-4001", "caller") and office.world.leaks() == []


@pytest.mark.parametrize("after", [0.0, 0.02, 1.0])
def test_calls_after_a_trunks_death_take_the_backup_within_two_seconds(seed: int, after: float) -> None:
    """Whatever the dead trunk was about to do with a call before: the next call is another."""
    with TrunkOffice([trunk("one", priority=1), trunk("two", priority=2)], seed=seed) as office:
        for carrier in office.carriers.values():
            carrier.answers(after=0.5)
        first = office.phone().register().dial("9123456", after=1.0)
        office.world.run(until=office.world.now + 1.0 + after)
        office.carriers["one"].vanish()
        begin = office.world.now
        second = office.phone(1002).register().dial("9123457", after=0.5)
        office.world.run(until=begin + 0.5 + 0.5 + 2.0)
        assert second.was_answered and len(invites(office, "two")) >= 1
        second.hang_up()
        office.world.run(until=begin + 40.0)
        if not first.is_over:
            first.hang_up()
        office.world.run()
        assert office.world.leaks() == []
