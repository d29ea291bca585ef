"""RFC 3515 §2.1, §2.4: what a Refer-To and the body of its NOTIFY say; RFC 4488 §4."""

from __future__ import annotations

import pytest

from sipcore.errors import ParseError
from sipcore.events import RequestReceived
from sipcore.message import Request
from sipcore.refer import ReferTo, Replaces, refer_to_of, sipfrag, sipfrag_status, wants_subscription
from tests.endpoints import Side, request_bytes


def refer(*headers: tuple[str, str]) -> Request:
    return Request("REFER", "sip:us@10.0.0.2", headers)


@pytest.mark.rfc("3515", "2.4.1", "A REFER request MUST contain exactly one Refer-To header field value.")
@pytest.mark.rfc(
    "3515",
    "2.4.2",
    "An agent responding to a REFER method MUST return a 400 (Bad Request) if the request contained zero or more "
    "than one Refer-To header field values",
)
@pytest.mark.parametrize("count", [0, 2])
def test_a_refer_without_exactly_one_refer_to_is_bad(count: int) -> None:
    with pytest.raises(ParseError) as error:
        refer_to_of(refer(*[("Refer-To", "<sip:carol@example.com>")] * count))
    assert error.value.status_hint == 400


@pytest.mark.rfc("3515", "2.1")
def test_headers_escaped_in_the_uri_are_taken_out_of_it() -> None:
    text = (
        "<sip:carol@example.com;user=phone;method=INVITE?Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2&Route=%3Csip:x%3E>"
    )
    found = ReferTo.parse(text)
    assert str(found.uri) == "sip:carol@example.com;user=phone"
    assert found.replaces == Replaces("a@b", "1", "2")
    assert ReferTo.parse(str(found)) == found


@pytest.mark.rfc(
    "3515",
    "2.4.2",
    "A UA accepting a well-formed REFER request SHOULD request approval from the user to proceed.",
)
@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("<http://example.com/>", 416),
        ("<urn:service:sos>", 416),
        ("<sip:carol@example.com;method=BYE>", 603),
        ("<sip:carol@example.com?Replaces=a%3Bto-tag%3D1>", 400),
        ("<sip:" + "a" * 3000 + "@example.com>", 414),
        ("<sip:carol@", 400),
        ("<sip:carol@example.com?Replaces=a%ZZ>", 400),
    ],
)
def test_what_cannot_be_called_is_refused_with_a_status(text: str, status: int) -> None:
    with pytest.raises(ParseError) as error:
        ReferTo.parse(text)
    assert error.value.status_hint == status


@pytest.mark.rfc("3515", "2.4.5", "The body of a NOTIFY MUST begin with a SIP Response Status-Line")
def test_the_notify_begins_with_a_status_line() -> None:
    assert sipfrag(100) == b"SIP/2.0 100 Trying\r\n"
    assert [sipfrag_status(sipfrag(status)) for status in (100, 180, 200, 486, 603)] == [100, 180, 200, 486, 603]
    for body in (b"", b"INVITE sip:x SIP/2.0\r\n", b"SIP/2.0 99\r\n", b"SIP/2.0 2000 OK\r\n"):
        with pytest.raises(ParseError):
            sipfrag_status(body)


@pytest.mark.rfc("4488", "4")
def test_refer_sub_false_wants_no_subscription() -> None:
    assert wants_subscription(refer())
    assert wants_subscription(refer(("Refer-Sub", "true")))
    assert not wants_subscription(refer(("Refer-Sub", "False")))


@pytest.mark.rfc(
    "3515",
    "2",
    "REFER creates a dialog, and MAY be Record-Routed, hence MUST contain a single Contact header field value.",
)
def test_a_refer_of_ours_has_one_contact() -> None:
    side = Side()
    side.receive(request_bytes("INVITE"))
    event = side.event(RequestReceived)
    side.respond(event.transaction, 200)
    side.receive(request_bytes("ACK", to_tag=side.last().to.tag or "", branch="z9hG4bKack"))
    assert event.dialog is not None
    refer_to = [("Refer-To", "<sip:carol@example.com>")]
    transaction = side.endpoint.new_transaction()
    side.take(side.endpoint.send_in_dialog(event.dialog, transaction, "REFER", side.now, headers=refer_to))
    assert len(side.last().contacts) == 1
