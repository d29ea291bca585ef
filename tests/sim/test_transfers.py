"""Transfers by phone through the PBX (RFC 3515, 3891, 5589): every kind, from both sides, with what crosses."""

from __future__ import annotations

import pytest

from tests.sim.office import Office
from voipat.testing import PhoneCall

pytestmark = pytest.mark.usefixtures("nothing_left")

GAP_S = 0.5


def talking(office: Office, by: str) -> tuple[PhoneCall, PhoneCall]:
    """A call of 1001 and 1002 that is up: (the side that will transfer, the other one)."""
    alice, bob = office.world.phones[:2]
    bob.answers(after=1.0)
    call = alice.dial("1002")
    office.world.run(until=office.world.now + 3.0)
    sides = call, bob.received[-1]
    assert call.was_answered
    return sides if by == "caller" else (sides[1], sides[0])


def assert_talks(first: PhoneCall, second: PhoneCall, office: Office) -> None:
    """They hear each other, and nobody else."""
    since = office.world.now - GAP_S
    assert first.heard.hears(second.phone.tone, since=since), (
        f"{first.phone.name} hears {first.heard.tone(since=since)}"
    )
    assert second.heard.hears(first.phone.tone, since=since)


@pytest.mark.rfc(
    "3515",
    "2.4.2",
    "If approval is granted, the UA MUST contact the resource identified by the URI in the Refer-To header field "
    "value as discussed in Section 2.4.3.",
)
@pytest.mark.rfc(
    "3515",
    "2.4.7",
    "The final NOTIFY sent in response to a REFER MUST indicate the subscription has been 'terminated' with a "
    "reason of 'noresource'.",
)
@pytest.mark.rfc(
    "3515",
    "2.4.4",
    "The NOTIFY mechanism defined in [2] MUST be used to inform the agent sending the REFER of the status of the "
    "reference.",
)
@pytest.mark.parametrize("by", ["caller", "callee"])
@pytest.mark.parametrize("hold", [False, True])
def test_a_blind_transfer_joins_the_others(seed: int, by: str, hold: bool) -> None:
    with Office(seed=seed) as office:
        carol = office.phones(3)[2]
        carol.answers(after=2.0)
        transferor, transferee = talking(office, by)
        if hold:
            transferor.hold()
            office.world.run(until=office.world.now + 1.0)
        transferor.refer(transferor.phone.uri_of("1003"))
        office.world.run(until=office.world.now + 6.0)
        assert transferor.refer_statuses == [202]
        assert transferor.transfer_statuses == [100, 180, 200]
        assert transferor.is_over and transferor.warning_ids == ["VP-6007"]
        assert not transferee.is_over
        assert_talks(transferee, carol.received[0], office)
        carol.received[0].hang_up()
        office.world.run()
        assert transferee.is_over
        legs = office.store.legs(None)  # type: ignore[arg-type]  # the memory store does not filter
        assert len({leg.linked_id for leg in legs}) == 1
        assert sorted(leg.callee for leg in legs) == ["1002", "1002", "1003"]
        assert {leg.caller for leg in legs if leg.callee == "1003"} == {transferee.phone.uri.user}
        assert office.world.leaks() == []


@pytest.mark.rfc(
    "3515",
    "2.4.5",
    'Each NOTIFY MUST contain a body of type "message/sipfrag". The body of a NOTIFY MUST begin with a SIP '
    "Response Status-Line.",
)
@pytest.mark.parametrize("by", ["caller", "callee"])
@pytest.mark.parametrize(("manner", "status"), [("busy", 486), ("unknown", 404), ("silent", 480)])
def test_a_transfer_that_fails_leaves_the_call_as_it_was(seed: int, by: str, manner: str, status: int) -> None:
    with Office(seed=seed, ring_s=5.0) as office:
        carol = office.phones(3)[2]
        carol.refuses(486) if manner == "busy" else carol.rings()
        transferor, transferee = talking(office, by)
        transferor.refer(transferor.phone.uri_of("4711" if manner == "unknown" else "1003"))
        office.world.run(until=office.world.now + 8.0)
        assert transferor.transfer_statuses[-1] == status
        assert not transferor.is_over and not transferee.is_over
        assert_talks(transferor, transferee, office)
        transferor.hang_up()
        office.world.run()
        assert transferee.is_over and office.world.leaks() == []


@pytest.mark.rfc("5589", "6.1")
@pytest.mark.parametrize("by", ["caller", "callee"])
@pytest.mark.parametrize("after_ms", range(0, 3000, 150))
def test_the_transferors_bye_in_the_middle_of_a_transfer_kills_no_call(seed: int, by: str, after_ms: int) -> None:
    """Whether the target answers before or after: "the transferor [...] may hang up", and the other two talk."""
    with Office(seed=seed) as office:
        carol = office.phones(3)[2]
        carol.answers(after=2.0)
        transferor, transferee = talking(office, by)
        transferor.refer(transferor.phone.uri_of("1003"))
        office.world.at(office.world.now + after_ms / 1000, transferor.hang_up)
        office.world.run(until=office.world.now + 6.0)
        assert transferor.is_over and not transferee.is_over
        assert_talks(transferee, carol.received[0], office)
        transferee.hang_up()
        office.world.run()
        assert carol.received[0].is_over and office.world.leaks() == []


@pytest.mark.parametrize("by", ["caller", "callee"])
@pytest.mark.parametrize("after_ms", range(0, 3000, 150))
def test_the_transferees_bye_in_the_middle_of_a_transfer_ends_it(seed: int, by: str, after_ms: int) -> None:
    """Its leg to the target is cancelled or hung up, whatever crosses."""
    with Office(seed=seed) as office:
        carol = office.phones(3)[2]
        carol.answers(after=2.0)
        transferor, transferee = talking(office, by)
        transferor.refer(transferor.phone.uri_of("1003"))
        office.world.at(office.world.now + after_ms / 1000, transferee.hang_up)
        office.world.run()
        assert transferor.is_over and transferee.is_over and all(call.is_over for call in carol.received)
        assert office.world.leaks() == []


@pytest.mark.parametrize("by", ["caller", "callee"])
@pytest.mark.parametrize("after_ms", range(0, 60, 5))
def test_a_refer_that_crosses_a_change_of_the_session(seed: int, by: str, after_ms: int) -> None:
    with Office(seed=seed) as office:
        carol = office.phones(3)[2]
        carol.answers(after=2.0)
        transferor, transferee = talking(office, by)
        transferee.hold()
        office.world.at(office.world.now + after_ms / 1000, lambda: transferor.refer(transferor.phone.uri_of("1003")))
        office.world.run(until=office.world.now + 5.0)
        transferee.resume()
        office.world.run(until=office.world.now + 2.0)
        assert transferor.transfer_statuses[-1] == 200
        assert_talks(transferee, carol.received[0], office)
        transferee.hang_up()
        office.world.run()
        assert office.world.leaks() == []


@pytest.mark.rfc(
    "3891",
    "3",
    "Upon receiving an INVITE with a Replaces header, the User Agent (UA) attempts to match this information with a "
    "confirmed or early dialog.",
)
@pytest.mark.parametrize("by", ["caller", "callee"])
@pytest.mark.parametrize("consults", ["calls", "is called"])
def test_an_attended_transfer_joins_the_peers_of_two_calls(seed: int, by: str, consults: str) -> None:
    with Office(seed=seed) as office:
        carol = office.phones(3)[2]
        carol.answers(after=1.0)
        transferor, transferee = talking(office, by)
        transferor.hold()
        office.world.run(until=office.world.now + 1.0)
        consultation = _consult(transferor, carol, consults, office)
        third = carol.received[-1] if consults == "calls" else carol.calls[-1]
        transferor.refer(consultation.remote, consultation)
        office.world.run(until=office.world.now + 3.0)
        assert (transferor.refer_statuses, transferor.transfer_statuses[-1]) == ([202], 200)
        assert transferor.is_over and consultation.is_over
        assert_talks(transferee, third, office)
        legs = office.store.legs(None)  # type: ignore[arg-type]  # the memory store does not filter
        assert len({leg.linked_id for leg in legs}) == 1, "one chain"
        transferee.hang_up()
        office.world.run()
        assert third.is_over and office.world.leaks() == []


def _consult(transferor: PhoneCall, carol: object, consults: str, office: Office) -> PhoneCall:
    phone = transferor.phone
    if consults == "calls":
        call = phone.dial("1003")
        office.world.run(until=office.world.now + 3.0)
        return call
    phone.answers(after=0.5)
    office.world.phones[2].dial(phone.uri.user or "")
    office.world.run(until=office.world.now + 3.0)
    return phone.received[-1]


@pytest.mark.rfc("5589", "7.5")
@pytest.mark.parametrize("by", ["caller", "callee"])
def test_a_semi_attended_transfer_rings_the_target_for_the_transferee(seed: int, by: str) -> None:
    with Office(seed=seed) as office:
        carol = office.phones(3)[2]
        carol.answers(after=4.0)
        transferor, transferee = talking(office, by)
        consultation = transferor.phone.dial("1003")
        office.world.run(until=office.world.now + 1.0)
        transferor.refer(consultation.remote, consultation)
        office.world.run(until=office.world.now + 8.0)
        assert consultation.statuses[-1] == 487 and transferor.transfer_statuses[-1] == 200
        assert_talks(transferee, carol.received[-1], office)
        transferee.hang_up()
        office.world.run()
        assert office.world.leaks() == []


@pytest.mark.rfc(
    "3891",
    "4",
    "A UAC MUST NOT send an INVITE with a Replaces header field that attempts to replace an early dialog which was "
    "not originated by the target of the INVITE with a Replaces header field.",
)
def test_an_invite_with_replaces_takes_the_place_of_a_phone(seed: int) -> None:
    with Office(seed=seed) as office:
        carol = office.phones(3)[2]
        first, second = talking(office, "caller")
        replaces = second.replaces()
        taking = carol.dial("1001", headers=(("Replaces", str(replaces)), ("Require", "replaces")))
        office.world.run(until=office.world.now + 2.0)
        assert taking.was_answered and second.is_over and not first.is_over
        assert_talks(first, taking, office)
        first.hang_up()
        office.world.run()
        assert taking.is_over and office.world.leaks() == []


@pytest.mark.rfc(
    "3891",
    "3",
    "If the Replaces header field matches an early dialog that was not initiated by this UA, it returns a 481 "
    "(Call/Transaction Does Not Exist) response to the new INVITE, and leaves the matched dialog unchanged.",
)
def test_a_ringing_call_is_picked_up_once(seed: int) -> None:
    """Two at once: one wins, the other is refused; the phone that rang shows no missed call."""
    with Office(seed=seed) as office:
        alice, bob, carol, dave = office.phones(4)
        bob.rings()
        call = alice.dial("1002")
        office.world.run(until=office.world.now + 1.0)
        ringing = bob.received[-1]
        assert ringing.dialog is not None
        view = bob.endpoint.dialog(ringing.dialog)
        assert view is not None
        named = f"{view.call_id};to-tag={view.remote_tag};from-tag={view.local_tag};early-only"
        picks = [phone.dial("1002", headers=(("Replaces", named),)) for phone in (carol, dave)]
        office.world.run(until=office.world.now + 2.0)
        statuses = sorted(pick.statuses[-1] for pick in picks)
        assert statuses in ([200, 481], [200, 486])
        assert ringing.is_over and any("200" in reason for reason in ringing.reasons)
        winner = next(pick for pick in picks if pick.was_answered)
        assert_talks(call, winner, office)
        winner.hang_up()
        office.world.run()
        assert call.is_over and office.world.leaks() == []


@pytest.mark.rfc(
    "3891",
    "3",
    'If the Replaces header field matches a confirmed dialog, it checks for the presence of the "early-only" flag in '
    "the Replaces header field. … If the flag is present, the UA rejects the request with a 486 Busy response.",
)
def test_early_only_does_not_take_an_answered_call(seed: int) -> None:
    with Office(seed=seed) as office:
        carol = office.phones(3)[2]
        first, second = talking(office, "caller")
        taking = carol.dial("1001", headers=(("Replaces", f"{second.replaces()};early-only"),))
        unknown = carol.dial("1001", headers=(("Replaces", "nobody;to-tag=1;from-tag=2"),))
        broken = carol.dial("1001", headers=(("Replaces", "nobody;to-tag=1"),))
        office.world.run(until=office.world.now + 2.0)
        assert [call.statuses[-1] for call in (taking, unknown, broken)] == [486, 481, 400]
        assert not first.is_over
        first.hang_up()
        office.world.run()
        assert office.world.leaks() == []


@pytest.mark.rfc(
    "3515",
    "2.4.2",
    "A UA accepting a well-formed REFER request SHOULD request approval from the user to proceed.",
)
def test_what_may_not_be_transferred_is_refused_and_goes_nowhere(seed: int) -> None:
    with Office(seed=seed) as office:
        transferor, transferee = talking(office, "caller") if office.phones(2) else (None, None)
        assert transferor is not None and transferee is not None and transferor.dialog is not None
        for refer_to in ("<http://x/>", "<sip:1003@office.test;method=BYE>", "<sip:1003@office.test?Replaces=a>"):
            transferor.phone.request_in(
                transferor.dialog, "REFER", transferor.refer_statuses.append, headers=(("Refer-To", refer_to),)
            )
        transferor.phone.request_in(transferor.dialog, "REFER", transferor.refer_statuses.append)
        office.world.run(until=office.world.now + 1.0)
        assert transferor.refer_statuses == [416, 603, 400, 400]
        transferor.hang_up()
        alone = transferor.phone.dial("*43")
        office.world.run(until=office.world.now + 1.0)
        alone.refer(alone.phone.uri_of("1002"))
        office.world.run(until=office.world.now + 1.0)
        assert alone.refer_statuses == [603]
        alone.hang_up()
        office.world.run()
        assert office.world.leaks() == []


@pytest.mark.rfc("4488", "4")
def test_refer_sub_false_makes_no_subscription(seed: int) -> None:
    with Office(seed=seed) as office:
        office.phones(3)[2].answers(after=1.0)
        transferor, transferee = talking(office, "caller")
        transferor.refer(transferor.phone.uri_of("1003"), headers=(("Refer-Sub", "false"),))
        office.world.run(until=office.world.now + 4.0)
        assert (transferor.refer_statuses, transferor.transfer_statuses) == ([200], [])
        assert transferor.is_over and not transferee.is_over
        transferee.hang_up()
        office.world.run()
        assert office.world.leaks() == []


@pytest.mark.rfc("5057", "5.1")
def test_a_consultation_that_has_ended_costs_the_transferor_no_call(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob, carol = (office.phone(number).register().answers(after=0.5) for number in (1001, 1002, 1003))
        first = alice.dial("1002")
        office.world.run(until=2.0)
        first.hold()
        office.world.run(until=3.0)
        asked = alice.dial("1003")
        office.world.run(until=5.0)
        assert asked.was_answered
        remote = asked.remote
        carol.calls[0].hang_up()
        office.world.run(until=6.0)
        first.refer(remote, asked)
        office.world.run(until=8.0)
        assert first.refer_statuses == [603] and not first.is_over and not bob.calls[0].is_over
        first.hang_up()
        office.world.run()
