"""One phone sends early media, another answers with another codec: the caller is told nothing that it may ignore."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sipcore.message import Request, Response
from sipcore.offer_answer import offered_formats
from sipcore.parser import parse_message
from sipcore.sdp import parse_sdp
from tests.sim.office import Office
from voipat.testing import Phone, PhoneCall
from voipat.testing.call import FORMATS

pytestmark = pytest.mark.usefixtures("nothing_left")


def speaks_only(phone: Phone, name: str) -> Phone:
    """Whatever is offered, it takes one codec."""
    formats = tuple(each for each in FORMATS if each.name in (name, "telephone-event"))

    def limit(call: PhoneCall) -> None:
        call._local = replace(call._local, formats=formats)

    return phone.on_call(limit)


def codecs_of(body: bytes) -> list[str]:
    return [each.name for each in offered_formats(parse_sdp(body)) if each.name != "telephone-event"]


def reinvites(office: Office, phone: Phone) -> list[Request]:
    found = [
        rung for rung in office.world.network.ladder if rung.kind == "INVITE" and rung.destination == phone.address
    ]
    requests = {rung.data: parse_message(rung.data) for rung in found}
    return [each for each in requests.values() if isinstance(each, Request) and each.to.tag]


def final(call: PhoneCall) -> Response:
    return next(response for response in call.responses if response.status == 200)


@pytest.mark.rfc(
    "3261",
    "13.2.1",
    "If the initial offer is in an INVITE, the answer MUST be in a reliable non-failure message from UAS back to "
    "UAC which is correlated to that INVITE. … That same exact answer MAY also be placed in any provisional "
    "responses sent prior to the answer. The UAC MUST treat the first session description it receives as the "
    "answer.",
)
def test_the_2xx_repeats_the_early_answer_and_a_reinvite_brings_the_winners_codec(seed: int) -> None:
    with Office(seed=seed) as office:
        (alice,) = office.phones(1)
        desk, mobile = (office.phone(1002).register() for _ in range(2))
        office.world.run(until=2.0)
        speaks_only(desk, "PCMU").rings(early_media=True)
        speaks_only(mobile, "PCMA").answers(after=3.0)
        call = alice.dial("1002").waits(5.0).hears(mobile.tone).hangs_up(after=4.0)
        office.world.run()
        early = next(response for response in call.responses if response.status == 183)
        assert codecs_of(early.body) == ["PCMU"] and final(call).body == early.body
        (again,) = reinvites(office, alice)
        assert codecs_of(again.body) == ["PCMA"]
        assert mobile.received[0].heard.hears(alice.tone, since=6.0)
        assert office.outcome()[0] == "answered" and office.world.leaks() == []


def test_nothing_is_offered_again_when_the_codec_is_the_same(seed: int) -> None:
    with Office(seed=seed) as office:
        (alice,) = office.phones(1)
        desk, mobile = (office.phone(1002).register() for _ in range(2))
        office.world.run(until=2.0)
        desk.rings(early_media=True)
        mobile.answers(after=3.0)
        call = alice.dial("1002").hears(mobile.tone).hangs_up(after=2.0)
        office.world.run()
        assert call.was_answered and reinvites(office, alice) == []


def test_the_phone_with_the_early_media_may_answer_itself(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        speaks_only(bob, "PCMA").answers(after=2.0, early_media=True)
        call = alice.dial("1002").hears(bob.tone).hangs_up(after=2.0)
        office.world.run()
        early = next(response for response in call.responses if response.status == 183)
        assert final(call).body == early.body and codecs_of(early.body) == ["PCMA"]
        assert reinvites(office, alice) == [] and office.world.leaks() == []


@pytest.mark.rfc(
    "3261",
    "14.1",
    "If a UAC receives a 491 response to a re-INVITE, it SHOULD start a timer with a value T … When the timer "
    "fires, the UAC SHOULD attempt the re-INVITE once more, if it still desires for that session modification to "
    "take place.",
)
def test_a_caller_that_is_busy_with_a_change_of_its_own_is_asked_again(seed: int) -> None:
    with Office(seed=seed) as office:
        (alice,) = office.phones(1)
        desk, mobile = (office.phone(1002).register() for _ in range(2))
        office.world.run(until=2.0)
        speaks_only(desk, "PCMU").rings(early_media=True)
        speaks_only(mobile, "PCMA").answers(after=3.0)
        call = alice.dial("1002").holds(after=0.0).resumes(after=3.0).hangs_up(after=5.0)
        office.world.run()
        assert call.was_answered and mobile.received[0].heard.hears(alice.tone, since=office.world.now - 60.0)
        assert office.outcome()[0] == "answered" and office.world.leaks() == []
