"""Refusals that say what would have been right: 415 with what is accepted, and subscriptions that name no time."""

from __future__ import annotations

import pytest

from sipcore.message import Request, Response
from sipcore.parser import parse_message
from tests.sim.office import Office
from tests.sim.test_watching import Counts

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.mark.rfc(
    "3261",
    "21.4.13",
    "The server MUST return a list of acceptable formats using the Accept, Accept-Encoding, or Accept-Language header "
    "field, depending on the specific problem with the content.",
)
def test_a_body_that_is_zipped_is_415_with_the_encodings_there_are(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, _ = office.phones(2)
        call = alice.dial("1002", headers=(("Content-Encoding", "gzip"),))
        office.world.run(until=office.world.now + 1.0)
        answer = call.responses[-1]
        assert answer.status == 415
        assert (answer.headers.get("Accept-Encoding"), answer.headers.get("Accept")) == (
            "identity",
            "application/sdp, multipart/mixed",
        )


@pytest.mark.rfc(
    "6665",
    "3.1.1",
    'If no "Expires" header field is present in a SUBSCRIBE request, the implied default MUST be defined by the event '
    "package being used.",
)
@pytest.mark.rfc(
    "6665",
    "3.1.3",
    'Event packages MUST define the behavior for SUBSCRIBE requests without "Accept" header fields; usually, this '
    "will connote a single, default body type.",
)
@pytest.mark.parametrize(
    ("package", "kind"),
    [
        ("dialog", "application/dialog-info+xml"),
        ("message-summary", "application/simple-message-summary"),
        ("presence", "application/pidf+xml"),
    ],
)
def test_a_subscribe_without_expires_and_accept_has_those_of_its_package(seed: int, package: str, kind: str) -> None:
    answers: list[Response | None] = []
    with Office(seed=seed, mailboxes=Counts()) as office:
        (alice,) = office.phones(1)
        alice.notified.clear()
        alice.request("SUBSCRIBE", "1001", answers.append, headers=(("Event", package),))
        office.world.run(until=office.world.now + 1.0)
        (answer,) = answers
        assert answer is not None and answer.status == 200
        assert answer.expires is not None and 60 < answer.expires <= 3600
        assert alice.notified[-1].content_type == kind


@pytest.mark.rfc(
    "3515",
    "2.4.6",
    "Thus, for the second and subsequent REFER requests a UA receives in a given dialog, it MUST include an id "
    "parameter in the Event header field of each NOTIFY containing the sequence number (the number from the CSeq "
    "header field value) of the REFER this NOTIFY is associated with.",
)
def test_the_second_refer_of_a_dialog_is_told_apart_by_its_number(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob, carol = office.phones(3)
        bob.answers(after=0.5)
        carol.refuses(486)
        call = alice.dial("1002")
        office.world.run(until=office.world.now + 2.0)
        for _ in range(2):
            call.refer(alice.uri_of("1003"))
            office.world.run(until=office.world.now + 3.0)
        assert call.refer_statuses == [202, 202]
        refers, events = [], []
        for rung in office.world.network.ladder:
            message = parse_message(rung.data)
            if isinstance(message, Request) and message.method == "REFER":
                refers.append(message.cseq.number)
            if isinstance(message, Request) and message.method == "NOTIFY" and message.body.startswith(b"SIP/2.0"):
                events.append(message.headers.get("Event"))
        assert set(events[-2:]) == {f"refer;id={refers[-1]}"}
        assert events[0] in ("refer", f"refer;id={refers[0]}")
        call.hang_up()
        office.world.run()
        assert office.world.leaks() == []
