"""Several phones of one user ring together: the first answer wins, the others stop ringing and are told why."""

from __future__ import annotations

import pytest

from tests.sim.office import Office
from voipat.testing import Phone

pytestmark = pytest.mark.usefixtures("nothing_left")


def three_devices(office: Office) -> tuple[Phone, list[Phone]]:
    alice = office.phone(1001).register()
    devices = [office.phone(1002).register() for _ in range(3)]
    office.world.run(until=1.0)
    return alice, devices


@pytest.mark.rfc(
    "3326",
    "2",
    "A SIP message MAY contain more than one Reason value (i.e., multiple Reason lines), but all of them MUST have "
    "different protocol values.",
)
def test_the_first_answer_wins_and_the_losers_hear_completed_elsewhere(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, (desk, mobile, laptop) = three_devices(office)
        desk.rings()
        mobile.answers(after=3.0)
        laptop.rings()
        call = alice.dial("1002").hears(mobile.tone).hangs_up(after=2.0)
        office.world.run()
        assert call.was_answered and mobile.received[0].was_answered
        for loser in (desk, laptop):
            (reason,) = loser.received[0].reasons[:1]
            assert reason.startswith("SIP") and "cause=200" in reason and "Call completed elsewhere" in reason
        cdr = office.cdrs[-1]
        assert (cdr.disposition, cdr.attempts) == ("answered", 3)
        assert office.world.leaks() == []


def test_two_answers_at_once_leave_one_call(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, devices = three_devices(office)
        for device in devices:
            device.answers(after=2.0)
        call = alice.dial("1002").hangs_up(after=3.0)
        office.world.run(until=office.world.now + 4.0)
        assert sum(not device.received[0].is_over for device in devices) == 1
        office.world.run()
        assert call.was_answered and office.outcome()[0] == "answered"
        assert office.world.leaks() == []


def test_one_busy_device_does_not_end_the_search(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, (desk, mobile, laptop) = three_devices(office)
        desk.refuses(486)
        mobile.answers(after=3.0)
        laptop.refuses(480)
        call = alice.dial("1002").hangs_up(after=1.0)
        office.world.run()
        assert call.was_answered and office.world.leaks() == []


@pytest.mark.rfc(
    "3261",
    "16.7",
    "It MUST choose from the 6xx class responses if any exist in the context. If no 6xx class responses are "
    "present, the proxy SHOULD choose from the lowest response class stored in the response context.",
)
def test_the_best_refusal_is_told_when_all_refuse(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, (desk, mobile, laptop) = three_devices(office)
        desk.refuses(480, after=1.0)
        mobile.refuses(486, after=2.0)
        laptop.refuses(500, after=3.0)
        call = alice.dial("1002")
        office.world.run()
        assert (call.status, office.outcome()[:3]) == (486, ("busy", 486, "VP-3004"))
        assert office.world.leaks() == []


def test_a_caller_who_gives_up_stops_every_device(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, devices = three_devices(office)
        for device in devices:
            device.rings()
        call = alice.dial("1002").cancels(after=3.0)
        office.world.run()
        assert call.status == 487
        assert [device.received[0].ended_by for device in devices] == ["peer"] * 3
        assert office.outcome()[0] == "cancelled" and office.world.leaks() == []


def test_a_device_that_registers_again_rings_once(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.register(expires=60)
        office.world.run(until=200.0)
        bob.answers()
        call = alice.dial("1002").hangs_up(after=1.0)
        office.world.run()
        assert call.was_answered and len(bob.received) == 1
