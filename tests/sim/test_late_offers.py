"""The other side offers: INVITE and re-INVITE without SDP, with the answer in PRACK or ACK, and who never answers."""

from __future__ import annotations

import pytest

from sipcore.offer_answer import offered_formats
from sipcore.parser import parse_message
from sipcore.sdp import Direction, parse_sdp
from tests.sim.office import Office
from tests.sim.test_early_codecs import codecs_of, speaks_only
from voipat.testing import Phone, PhoneCall

pytestmark = pytest.mark.usefixtures("nothing_left")

SUPPORTED = [("Supported", "100rel")]
REQUIRED = [("Require", "100rel")]


def response(call: PhoneCall, status: int) -> bytes:
    return next(each.body for each in call.responses if each.status == status)


def names(body: bytes) -> list[str]:
    return [each.name for each in offered_formats(parse_sdp(body))]


def offers_to(office: Office, phone: Phone) -> list[bytes]:
    """The descriptions of the re-INVITEs that the phone got, each once."""
    sent = {rung.data for rung in office.world.network.ladder if rung.destination == phone.address}
    found = [parse_message(data) for data in sent if data.startswith(b"INVITE")]
    return [each.body for each in found if each.to.tag]


@pytest.mark.rfc("3261", "13.2.1", "in the first reliable non-failure message")
@pytest.mark.parametrize("headers", [[], SUPPORTED, REQUIRED])
def test_a_late_offer_is_answered_and_both_hear_each_other(seed: int, headers: list[tuple[str, str]]) -> None:
    """MUST: the offer is "in the first reliable non-failure message from the UAS", the answer in its PRACK or ACK."""
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=1.0).on_call(lambda call: call.hears(alice.tone))
        call = alice.dial("1002", late_offer=True, headers=headers).hears(bob.tone).hangs_up(after=2.0)
        office.world.run()
        assert call.was_answered and not call.unmet and not bob.received[0].unmet
        ringing, answer = response(call, 180), response(call, 200)
        first = answer if headers != REQUIRED else ringing
        assert "PCMU" in names(first) and "telephone-event" in names(first)
        assert [bool(ringing), bool(answer)] == [headers == REQUIRED, headers != REQUIRED]
        assert office.outcome() == ("answered", 200, "VP-4001", "caller") and office.world.leaks() == []


def test_the_callee_is_offered_what_we_have_whoever_called_without_an_offer(seed: int) -> None:
    """Two phones and a phone that a 3xx led to: each INVITE of ours says what media there can be."""
    with Office(seed=seed) as office:
        alice, bob, carol = office.phones(3)
        mobile = office.phone(1002).register()
        office.world.run(until=office.world.now + 1.0)
        bob.redirects("1003")
        mobile.rings()
        carol.answers(after=1.0)
        call = alice.dial("1002", late_offer=True).hears(carol.tone).hangs_up(after=1.0)
        office.world.run()
        assert call.was_answered and not call.unmet
        for phone in (bob, mobile, carol):
            request = phone.received[0].request
            assert request is not None and "PCMU" in names(request.body), phone.name


@pytest.mark.rfc("3262", "5", "one MUST appear in that reliable provisional response")
@pytest.mark.parametrize("headers", [SUPPORTED, REQUIRED])
def test_early_media_reaches_a_caller_that_made_no_offer(seed: int, headers: list[tuple[str, str]]) -> None:
    """MUST: in the first reliable response to an INVITE without offer "one MUST appear"."""
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=3.0, early_media=True)
        call = alice.dial("1002", late_offer=True, headers=headers).hears(bob.tone, within=2.0).hangs_up(after=2.0)
        office.world.run()
        assert not call.unmet and call.was_answered
        assert names(response(call, 183)) and response(call, 200) == b"", "the offer is not made twice"
        assert bob.received[0].heard.hears(alice.tone)
        assert office.world.leaks() == []


@pytest.mark.rfc("3261", "13.2.1", "in the first reliable non-failure message")
def test_who_takes_no_reliable_responses_gets_no_offer_before_the_answer(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=2.0, early_media=True)
        call = alice.dial("1002", late_offer=True).hears(bob.tone).hangs_up(after=1.0)
        office.world.run()
        assert response(call, 183) == b"" and call.was_answered and not call.unmet


def test_the_caller_is_offered_the_callees_codec_first_and_ours_behind_it(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        speaks_only(bob, "PCMA").answers(after=1.0)
        call = alice.dial("1002", late_offer=True).hears(bob.tone).hangs_up(after=1.0)
        office.world.run()
        assert codecs_of(response(call, 200))[0] == "PCMA" and "PCMU" in codecs_of(response(call, 200))
        assert not call.unmet


@pytest.mark.rfc("3261", "13.2.2.4", "the ACK MUST carry an answer in its body")
@pytest.mark.parametrize(("headers", "status"), [([], 200), (SUPPORTED, 183), (REQUIRED, 183)])
def test_no_answer_ends_the_call(seed: int, headers: list[tuple[str, str]], status: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=2.0, early_media=True)
        call = alice.dial("1002", late_offer=True, headers=headers)
        call._late_answer = lambda response: b""  # type: ignore[method-assign]  # a phone that forgets to answer
        office.world.run()
        assert response(call, status) and call.is_over
        assert "VP-4008" in call.warning_ids, "BYE after the answer, 488 before it"
        assert office.outcome()[2] == "VP-4008" and bob.received[0].is_over
        assert office.world.leaks() == []


def test_a_bye_before_the_answer_ends_the_ringing(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.rings()
        call = alice.dial("1002")
        office.world.run(until=office.world.now + 1.0)
        dialog = call.early_dialog
        assert dialog is not None
        alice._execute(lambda now: alice.endpoint.bye(dialog, now))
        office.world.run()
        assert call.status == 487 and bob.received[0].is_over
        assert office.outcome() == ("cancelled", 487, "VP-4003", "caller") and office.world.leaks() == []


# Within a call


@pytest.mark.rfc("3261", "14.2", "as if the UAS were making a brand new call")
def test_a_reinvite_without_offer_gets_every_codec_of_ours(seed: int) -> None:
    """SHOULD: "construct the offer as if the UAS were making a brand new call"."""
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=1.0)
        call = alice.dial("1002").hears(bob.tone).asks_for_offer(after=0.5).waits(1.0)
        call.hears(bob.tone).hangs_up(after=1.0)
        office.world.run()
        sent = [rung.data for rung in office.world.network.ladder if rung.destination == alice.address]
        offer = [parse_message(data).body for data in sent if b"CSeq: " in data and b"m=audio" in data][-1]
        assert {"PCMU", "PCMA", "G722"} <= set(names(offer)) and names(offer)[0] == "PCMU"
        assert not call.unmet and offers_to(office, bob) == []
        assert office.outcome()[0] == "answered" and office.world.leaks() == []


@pytest.mark.parametrize("direction", [Direction.SENDONLY, Direction.INACTIVE])
@pytest.mark.parametrize("by", ["caller", "callee"])
def test_a_hold_by_the_answer_in_the_ack_reaches_the_other_side_and_ends_so_too(
    seed: int, by: str, direction: Direction
) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=1.0)
        call = alice.dial("1002").hears(bob.tone)
        office.world.run(until=office.world.now + 3.0)
        holder, held = (call, bob.received[0]) if by == "caller" else (bob.received[0], call)
        holder.ask_for_offer(direction)
        office.world.run(until=office.world.now + 2.0)
        assert held.held_by_peer and held.audio is not None and not held.audio.direction.sends
        holder.ask_for_offer()
        office.world.run(until=office.world.now + 2.0)
        assert not held.held_by_peer and held.audio.direction is Direction.SENDRECV
        assert held.heard.hears(holder.phone.tone, since=office.world.now - 0.5)
        assert holder.heard.hears(held.phone.tone, since=office.world.now - 0.5)
        call.hang_up()
        office.world.run()
        assert office.world.leaks() == []


def test_who_is_held_and_asks_for_an_offer_stays_held(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=1.0)
        call = alice.dial("1002").hears(bob.tone).holds(after=0.5)
        office.world.run(until=office.world.now + 3.0)
        assert bob.received[0].held_by_peer
        bob.received[0].ask_for_offer()
        office.world.run(until=office.world.now + 1.0)
        assert bob.received[0].held_by_peer and call.audio is not None and call.audio.direction is Direction.SENDONLY
        call.resume()
        office.world.run(until=office.world.now + 1.0)
        assert not bob.received[0].held_by_peer
        call.hang_up()
        office.world.run()


@pytest.mark.rfc("3261", "13.2.2.4", "the ACK MUST carry an answer in its body")
def test_no_answer_to_the_offer_of_a_reinvite_ends_the_call(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=1.0)
        call = alice.dial("1002").hears(bob.tone)
        call._late_answer = lambda response: b""  # type: ignore[method-assign]  # a phone that forgets to answer
        call.asks_for_offer(after=0.5)
        office.world.run()
        assert call.is_over and "VP-4008" in call.warning_ids and bob.received[0].is_over
        assert office.world.leaks() == []


def test_updates_before_the_answer(seed: int) -> None:
    """One without offer is taken; one with an offer, when the first is answered reliably."""
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=3.0, early_media=True)
        call = alice.dial("1002", headers=REQUIRED).hears(bob.tone)
        office.world.run(until=office.world.now + 1.0)
        dialog = call.early_dialog
        assert dialog is not None
        statuses: list[int] = []
        alice.request_in(dialog, "UPDATE", statuses.append)
        office.world.run(until=office.world.now + 0.5)
        offer = call._offers.make_offer(call._local)
        sdp = (("Content-Type", "application/sdp"),)
        alice.request_in(dialog, "UPDATE", statuses.append, headers=sdp, body=offer)
        office.world.run(until=office.world.now + 0.5)
        assert statuses == [200, 200]
        call.hears(bob.tone)
        office.world.run(until=office.world.now + 3.0)
        assert call.was_answered and "PCMU" in names(response(call, 200)), "the 2xx repeats what was agreed on last"
        call.hang_up()
        office.world.run()
        assert not call.unmet and office.world.leaks() == []
