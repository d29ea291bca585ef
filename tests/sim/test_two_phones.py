"""The main job: two phones register, one calls the other, they hear each other, either hangs up, the CDR is right."""

from __future__ import annotations

import pytest

from tests.sim.office import Office

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
@pytest.mark.parametrize("by", ["caller", "callee"])
def test_two_phones_hear_each_other_until_one_hangs_up(seed: int, by: str, transport: str) -> None:
    with Office(seed=seed) as office:
        world = office.world
        alice = office.phone(1001, transport=transport).register()
        bob = office.phone(1002, transport=transport).register()
        bob.answers(after=2.0).on_call(lambda call: call.hears(alice.tone))
        world.run(until=1.0)
        call = alice.dial("1002").hears(bob.tone)
        if by == "caller":
            call.hangs_up(after=20.0)
        else:
            bob.answers(after=2.0, hangs_up_after=20.0)
        world.run()
        assert call.statuses in ([180, 200], [100, 180, 200])
        assert call.ended_by == ("1001" if by == "caller" else "peer")
        assert max(call.heard.longest_gap(), bob.received[0].heard.longest_gap()) <= 0.06
        cdr = office.cdrs[-1]
        assert office.outcome() == ("answered", 200, "VP-4001", by)
        assert cdr.billable_s == pytest.approx(20.0, abs=1.0)
        assert cdr.a_leg is not None and cdr.b_leg is not None
        for leg in (cdr.a_leg, cdr.b_leg):
            assert (leg.codec, leg.loss) == ("PCMU", 0.0) and (leg.packets or 0) == pytest.approx(1000, abs=50)
        assert world.leaks() == []


def test_digits_pass_through(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers()
        alice.dial("1002").presses("1234567890*#").hangs_up(after=1.0)
        office.world.run()
        assert bob.received[0].heard.digits == "1234567890*#"
        assert office.world.leaks() == []


def test_the_echo_test_echoes_at_once(seed: int) -> None:
    with Office(seed=seed) as office:
        alice = office.phone(1001)
        call = alice.dial("*43").hears(alice.tone, within=1.0).hangs_up(after=1.0)
        office.world.run()
        assert (call.status, office.outcome()[0]) == (200, "answered")
        assert office.world.leaks() == []


def test_early_media_is_heard_before_the_answer(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=5.0, early_media=True)
        call = alice.dial("1002").hears(bob.tone, within=3.0).hangs_up(after=2.0)
        office.world.run()
        assert 183 in call.statuses and call.statuses[-1] == 200
        assert call.answered_at is not None and office.outcome()[0] == "answered"
        assert office.world.leaks() == []


def test_who_is_put_on_hold_hears_the_music_of_the_tenant(seed: int) -> None:
    with Office(seed=seed, music="music") as office:
        alice, bob = office.phones(2)
        # Three soft notes: the tenant has no recording of its own.
        bob.answers().on_call(lambda call: call.hears(alice.tone).hears(659, within=8.0).hears(alice.tone, within=8.0))
        alice.dial("1002").holds(after=2.0).resumes(after=6.0).hangs_up(after=6.0)
        office.world.run()
        assert not bob.received[0].held_by_peer
        assert office.world.leaks() == []


def test_without_music_hold_and_resume_reach_the_other_phone(seed: int) -> None:
    with Office(seed=seed) as office:
        world = office.world
        alice, bob = office.phones(2)
        bob.answers()
        alice.dial("1002").holds(after=2.0).resumes(after=3.0).hangs_up(after=2.0)
        start = world.now
        world.run(until=start + 5.0)
        assert bob.received[0].held_by_peer
        world.run(until=start + 7.5)
        assert not bob.received[0].held_by_peer
        world.run()
        assert office.outcome()[0] == "answered" and world.leaks() == []


def test_topology_is_hidden(seed: int) -> None:
    """Neither phone sees an address, a tag or a Call-ID of the other."""
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers()
        call = alice.dial("1002").hangs_up(after=1.0)
        office.world.run()
        to_bob = [rung.data for rung in office.world.network.ladder if rung.destination == bob.address]
        to_alice = [rung.data for rung in office.world.network.ladder if rung.destination == alice.address]
        assert call.request is not None
        assert not any(alice.address.host.encode() + b":" in data for data in to_bob)
        assert not any(call.request.call_id.encode() in data for data in to_bob)
        assert not any(bob.address.host.encode() + b":" in data for data in to_alice)


@pytest.mark.rfc(
    "3261",
    "13.3.1",
    "It MUST provide the offer in its first non-failure reliable message back to the UAC.",
)
@pytest.mark.rfc(
    "3261",
    "13.2.1",
    "If the initial offer is in the first reliable non-failure message from the UAS back to UAC, the answer MUST be "
    "in the acknowledgement for that message.",
)
def test_an_invite_without_an_offer_gets_one_and_both_hear(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers().on_call(lambda call: call.hears(alice.tone))
        call = alice.dial("1002", late_offer=True).hears(bob.tone).hangs_up(after=1.0)
        office.world.run()
        assert call.was_answered and office.outcome()[0] == "answered"
        assert office.world.leaks() == []


def test_digits_while_both_talk_sparsely_and_a_server_that_ends_with_calls_up(seed: int) -> None:
    with Office(seed=seed) as office:
        office.world.talk = lambda call: 10.0
        alice, bob = office.phones(2)
        bob.answers()
        call = alice.dial("1002").waits(1.0).presses("7", after=1.0)
        office.world.run(until=office.world.now + 20.0)
        assert bob.received[0].heard.digits == "7" and not call.is_over
        assert "engine: 2 ports" in office.world.leaks()
