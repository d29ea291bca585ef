"""Messages that cross or get lost: ACK and BYE lost, a bad network (RFC 5407; figure by figure in its own file)."""

from __future__ import annotations

import pytest

from tests.sim.office import Office

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.mark.rfc(
    "3261",
    "13.3.1.4",
    "Since 2xx is retransmitted end-to-end, there may be hops between UAS and UAC that are UDP. To ensure reliable "
    "delivery across these hops, the response is retransmitted periodically even if the transport at the UAS is "
    "reliable.",
)
def test_a_lost_ack_costs_a_repetition_only(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers()
        lost = office.world.network.lose("ACK", source="1001", count=2)
        call = alice.dial("1002").hangs_up(after=5.0)
        office.world.run()
        assert lost.hits == 2 and call.was_answered
        assert office.outcome() == ("answered", 200, "VP-4001", "caller")
        assert office.world.leaks() == []


@pytest.mark.rfc(
    "3261",
    "13.3.1.4",
    "If the server retransmits the 2xx response for 64*T1 seconds without receiving an ACK, the dialog is "
    "confirmed, but the session SHOULD be terminated. This is accomplished with a BYE.",
)
def test_a_caller_who_never_acknowledges_is_hung_up(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers()
        office.world.network.lose("ACK", source="1001", count=1000)
        alice.dial("1002")
        office.world.run()
        disposition, _, _, by = office.outcome()
        assert (disposition, by) == ("answered", "server")
        assert bob.received[0].ended_by == "peer"
        assert office.world.leaks() == []


def test_a_lost_bye_is_repeated(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers()
        office.world.network.lose("BYE", source="1001", count=3)
        office.world.network.lose("BYE", source="voipat", count=3)
        alice.dial("1002").hangs_up(after=2.0)
        office.world.run()
        assert bob.received[0].ended_by == "peer"
        assert office.outcome() == ("answered", 200, "VP-4001", "caller")
        assert office.world.leaks() == []


def test_a_phone_whose_power_fails_in_a_call_is_noticed_by_its_silence(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers()
        call = alice.dial("1002")
        office.world.at(office.world.now + 10.0, bob.vanish)
        office.world.run(until=office.world.now + 60.0)
        assert call.is_over and call.ended_by == "peer"
        office.world.run()
        assert office.outcome() == ("answered", 408, "VP-4004", "server")
        assert office.world.leaks() == []


@pytest.mark.parametrize("extra", range(3))
def test_calls_survive_one_packet_lost_in_five(seed: int, extra: int) -> None:
    with Office(seed=seed + extra, loss=0.2, jitter=0.03, reorder=0.02, duplicate=0.02) as office:
        world = office.world
        phones = [office.phone(1001 + index).register(refresh=False) for index in range(4)]
        world.run(until=60.0)
        assert all(phone.is_registered for phone in phones)
        world.talk = lambda call: 1.0
        for phone in phones[2:]:
            phone.answers(after=2.0)
        calls = [
            caller.dial(number, after=20.0 * turn).hangs_up(after=5.0)
            for turn in range(5)
            for caller, number in ((phones[0], "1003"), (phones[1], "1004"))
        ]
        world.run(limit=600.0)
        assert all(call.was_answered for call in calls)
        assert [cdr.disposition for cdr in office.cdrs] == ["answered"] * 10
        assert world.leaks() == []


@pytest.mark.rfc("5407", "3.2.1")
def test_both_hang_up_at_once(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=2.0, hangs_up_after=3.0)
        call = alice.dial("1002").hangs_up(after=3.0 - 0.01)
        office.world.run()
        assert call.was_answered and bob.received[0].is_over
        assert office.outcome()[0] == "answered"
        assert office.world.leaks() == []


@pytest.mark.rfc(
    "3261",
    "14.1",
    "If the UAC is the owner of the Call-ID of the dialog ID … T has a randomly chosen value between 2.1 and 4 "
    "seconds in units of 10 ms. … If the UAC is not the owner of the Call-ID of the dialog ID, T has a randomly "
    "chosen value of between 0 and 2 seconds in units of 10 ms.",
)
def test_both_hold_at_once_and_the_call_goes_on(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=2.0).on_call(lambda call: call.holds(after=2.0).waits(4.0))
        call = alice.dial("1002").holds(after=2.0 - 0.01).waits(4.0).resumes().hangs_up(after=2.0)
        office.world.run()
        assert call.ended_by == "1001" and office.outcome()[0] == "answered"
        assert office.world.leaks() == []


@pytest.mark.rfc(
    "3261",
    "17.1.1.2",
    "When timer A fires, the client transaction MUST retransmit the request by passing it to the transport layer, "
    "and MUST reset the timer with a value of 2*T1.",
)
def test_an_invite_to_a_dead_phone_is_repeated_to_the_millisecond(seed: int) -> None:
    with Office(seed=seed, ring_s=60.0) as office:
        alice, bob = office.phones(2)
        bob.ignores()
        start = office.world.now
        alice.dial("1002")
        office.world.run()
        sent = [rung.time - start - 0.01 for rung in office.world.network.ladder if rung.destination == bob.address]
        assert [round(time, 3) for time in sent[-7:]] == [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
        assert office.cdrs[-1].duration_s == pytest.approx(32.0, abs=0.001)


def test_messages_that_come_twice_or_late_change_nothing(seed: int) -> None:
    with Office(seed=seed, duplicate=0.5, reorder=0.1, latency=0.02) as office:
        alice, bob = office.phones(2)
        bob.answers(after=1.0)
        calls = [alice.dial("1002", after=10.0 * turn).hangs_up(after=2.0) for turn in range(5)]
        office.world.run()
        assert all(call.was_answered for call in calls) and len(bob.received) == 5
        assert [cdr.disposition for cdr in office.cdrs] == ["answered"] * 5
        assert office.world.leaks() == []
