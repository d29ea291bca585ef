"""Requests and responses: typed fields, their store, and what is written."""

from __future__ import annotations

import pytest

from sipcore.errors import LocalProtocolError, ParseError
from sipcore.fields import CSeq
from sipcore.message import REASONS, Message, Request, Response, response_to
from sipcore.parser import parse_message
from sipcore.uri import Uri

INVITE = (
    b"INVITE sip:bob@biloxi.com SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK776asdhds, SIP/2.0/TCP h2\r\n"
    b"v:SIP/2.0/UDP h3\r\n"
    b"Max-Forwards: 70\r\n"
    b"To: Bob <sip:bob@biloxi.com>\r\n"
    b"From: Alice <sip:alice@atlanta.com>;tag=1928301774\r\n"
    b"Call-ID: a84b4c76e66710@pc33.atlanta.com\r\n"
    b"CSeq: 314159 INVITE\r\n"
    b"Contact: <sip:alice@pc33.atlanta.com>, <sip:alice@home>;q=0.1\r\n"
    b"Route: <sip:p1;lr>,<sip:p2;lr>\r\n"
    b"Record-Route: <sip:p3;lr>\r\n"
    b"Expires: 60\r\n"
    b"Content-Type: Application/SDP ;charset=x\r\n"
    b"l: 4\r\n\r\nbody"
)


def invite() -> Request:
    message = parse_message(INVITE)
    assert isinstance(message, Request)
    return message


def test_every_typed_field_is_read() -> None:
    request = invite()
    assert (request.method, request.uri_text, request.uri.user) == ("INVITE", "sip:bob@biloxi.com", "bob")
    assert request.via is request.vias[0] and request.via.branch == "z9hG4bK776asdhds"
    assert [via.host for via in request.vias] == ["pc33.atlanta.com", "h2", "h3"]
    assert (request.from_.tag, request.to.tag, request.to.display_name) == ("1928301774", None, "Bob")
    assert (request.call_id, request.cseq) == ("a84b4c76e66710@pc33.atlanta.com", CSeq(314159, "INVITE"))
    assert request.contact is request.contacts[0] and [str(c.uri) for c in request.contacts][1] == "sip:alice@home"
    assert [str(route.uri) for route in request.routes] == ["sip:p1;lr", "sip:p2;lr"]
    assert [str(route.uri) for route in request.record_routes] == ["sip:p3;lr"]
    assert (request.max_forwards, request.expires, request.content_type) == (70, 60, "application/sdp")
    assert (request.contact_is_star, request.body) == (False, b"body")


def test_an_untouched_message_is_written_as_it_came() -> None:
    assert invite().to_bytes() == INVITE
    assert invite().copy().to_bytes() == INVITE


def test_only_what_changed_is_written_anew() -> None:
    request = invite()
    request.headers.set("Max-Forwards", "69")
    request.headers.prepend("Via", "SIP/2.0/UDP us;branch=z9hG4bK1")
    request.uri = Uri.parse("sip:bob@192.0.2.4")
    request.body = b"longer body"
    expected = INVITE.replace(b"sip:bob@biloxi.com SIP", b"sip:bob@192.0.2.4 SIP")
    expected = expected.replace(b"Via:", b"Via: SIP/2.0/UDP us;branch=z9hG4bK1\r\nVia:", 1)
    expected = expected.replace(b"Forwards: 70", b"Forwards: 69")
    assert request.to_bytes() == expected.replace(b"l: 4\r\n\r\nbody", b"Content-Length: 11\r\n\r\nlonger body")


def test_a_field_is_parsed_once_until_a_header_changes() -> None:
    request = invite()
    first = request.from_
    assert request.from_ is first
    request.headers.set("From", "<sip:carol@h>;tag=2")
    assert request.from_.tag == "2"
    request.headers.remove("Contact")
    assert (request.contact, request.contacts) == (None, [])


def test_a_list_given_out_is_the_callers_own() -> None:
    request = invite()
    request.routes.clear()
    request.vias.reverse()
    assert len(request.routes) == 2 and request.vias[0] is request.via


def test_a_message_is_made_from_parts() -> None:
    request = Request("OPTIONS", "sip:h", [("v", "SIP/2.0/UDP h"), ("X-Y", "caf\u00e9 \udce9")], b"x")
    written = b"OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nX-Y: caf\xc3\xa9 \xe9\r\nContent-Length: 1\r\n\r\nx"
    assert request.to_bytes() == written
    assert repr(request) == "<Request OPTIONS sip:h SIP/2.0>"
    response = Response(404, None, [("Content-Length", "99"), ("l", "98")])
    assert response.to_bytes() == b"SIP/2.0 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    assert Response(299).reason == "" and Response(200, "Fine").reason == "Fine"
    assert response.copy().to_bytes() == response.to_bytes()


def test_a_large_message_is_written_whole() -> None:
    request = Request("MESSAGE", "sip:h", [(f"X-{number}", "v" * 90) for number in range(100)], b"b" * 30_000)
    data = request.to_bytes()
    assert data.endswith(b"\r\n\r\n" + b"b" * 30_000) and data.count(b"v" * 90 + b"\r\n") == 100


@pytest.mark.parametrize(
    "request_", [Request("A", "sip:h\r\nX: y"), Request("A\nB", "sip:h"), Request("A", "sip:\ud800")], ids=str
)
def test_a_start_line_that_would_be_two_is_refused(request_: Request) -> None:
    with pytest.raises(LocalProtocolError):
        request_.to_bytes()


def test_a_reason_with_a_line_break_is_refused() -> None:
    with pytest.raises(LocalProtocolError):
        Response(200, "OK\r\nX: y").to_bytes()


@pytest.mark.parametrize("field", ["call_id", "cseq", "from_", "to", "via"])
def test_a_missing_field_is_a_parse_error(field: str) -> None:
    with pytest.raises(ParseError):
        getattr(Request("A", "sip:h"), field)


@pytest.mark.parametrize("field", ["contact", "max_forwards", "expires", "content_type"])
def test_an_absent_optional_field_is_none(field: str) -> None:
    assert getattr(Request("A", "sip:h"), field) is None


def test_a_broken_request_uri_is_a_parse_error_when_asked_for() -> None:
    request = Request("A", "nonsense")
    with pytest.raises(ParseError):
        _ = request.uri
    request.uri = "sip:h"
    assert (request.uri.host, request.uri_text) == ("h", "sip:h")


def test_a_message_is_a_request_or_a_response() -> None:
    with pytest.raises(TypeError):
        Message().to_bytes()


@pytest.mark.rfc(
    "3261",
    "10.3",
    "The registrar checks whether the request contains the Contact header field. … If the request has additional "
    "Contact fields or an expiration time other than zero, the request is invalid, and the server MUST return a 400 "
    "(Invalid Request).",
)
def test_contact_star_is_told() -> None:
    request = Request("REGISTER", "sip:h", [("m", "*")])
    assert (request.contact_is_star, request.contact, request.contacts) == (True, None, [])
    with pytest.raises(ParseError):
        _ = Request("REGISTER", "sip:h", [("m", "*"), ("m", "<sip:a@h>")]).contacts


@pytest.mark.rfc(
    "3261",
    "20.19",
    "The value of this field is an integral number of seconds (in decimal) between 0 and (2**32)-1, measured from "
    "the receipt of the request.",
)
@pytest.mark.parametrize(
    ("value", "expires"), [("0", 0), ("4294967295", 4294967295), ("4294967296", None), ("x", None)]
)
def test_an_unreadable_expires_counts_as_none(value: str, expires: int | None) -> None:
    assert Request("A", "sip:h", [("Expires", value)]).expires == expires


@pytest.mark.rfc(
    "3261",
    "8.2.6.2",
    "The From field of the response MUST equal the From header field of the request. The Call-ID header field of "
    "the response MUST equal the Call-ID header field of the request. The CSeq header field of the response MUST "
    "equal the CSeq field of the request. The Via header field values in the response MUST equal the Via header "
    "field values in the request and MUST maintain the same ordering.",
)
def test_a_response_has_what_its_request_had() -> None:
    response = response_to(invite(), 180, to_tag="b1", headers=[("Contact", "<sip:us>")], body=b"x")
    assert response.to_bytes() == (
        b"SIP/2.0 180 Ringing\r\n"
        b"Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK776asdhds, SIP/2.0/TCP h2\r\n"
        b"v:SIP/2.0/UDP h3\r\n"
        b"To: Bob <sip:bob@biloxi.com>;tag=b1\r\n"
        b"From: Alice <sip:alice@atlanta.com>;tag=1928301774\r\n"
        b"Call-ID: a84b4c76e66710@pc33.atlanta.com\r\n"
        b"CSeq: 314159 INVITE\r\n"
        b"Contact: <sip:us>\r\n"
        b"Content-Length: 1\r\n\r\nx"
    )


def test_a_to_tag_is_not_given_twice_nor_to_a_broken_to() -> None:
    request = invite()
    request.headers.set("To", "<sip:b@h>;tag=theirs")
    assert response_to(request, 200, to_tag="ours").to.tag == "theirs"
    request.headers.set("To", '"broken <sip:b@h>')
    assert response_to(request, 400, "Why", to_tag="ours").headers.get("To") == '"broken <sip:b@h>'
    assert response_to(request, 400, "Why").reason == "Why"


def test_the_response_is_independent_of_its_request() -> None:
    request = invite()
    response = response_to(request, 200)
    request.headers.set("CSeq", "1 BYE")
    assert response.cseq == (314159, "INVITE")
    assert REASONS[487] == "Request Terminated"


@pytest.mark.parametrize("to_tag", [None, "a1"])
@pytest.mark.parametrize(
    "data", [INVITE, INVITE.replace(b"To: Bob <sip:bob@biloxi.com>", b"To: Bob\r\n <sip:bob@biloxi.com>;tag=x")]
)
def test_a_response_written_at_once_is_the_one_that_is_made_first(data: bytes, to_tag: str | None) -> None:
    request = parse_message(data)
    assert isinstance(request, Request)
    headers = [("Server", "voipat"), ("x-Own", "é"), ("m", "<sip:us@here>")]
    made = response_to(request, 200, "Fine", to_tag=to_tag, headers=headers, body=b"v=0\r\n")
    assert request.response_bytes(200, "Fine", to_tag, headers, b"v=0\r\n") == made.to_bytes()
    assert request.response_bytes(486, None, to_tag, (), b"") == response_to(request, 486, to_tag=to_tag).to_bytes()


@pytest.mark.parametrize("header", [("Server", "a\r\nVia: b"), ("Bad name", "x"), ("", "x")])
def test_a_response_written_at_once_keeps_its_lines(header: tuple[str, str]) -> None:
    with pytest.raises(LocalProtocolError):
        invite().response_bytes(200, None, None, [header], b"")
    with pytest.raises(LocalProtocolError):
        invite().response_bytes(200, "OK\r\nVia: b", None, (), b"")


def test_a_long_response_is_whole() -> None:
    body = b"x" * 9000
    assert invite().response_bytes(200, None, "t", (), body).endswith(b"Content-Length: 9000\r\n\r\n" + body)


def test_the_topmost_via_is_stamped_and_what_was_parsed_stays() -> None:
    request = invite()
    to, below = request.to, request.vias[1:]
    request.stamp_via("SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK776asdhds;received=192.0.2.1")
    assert request.to is to
    assert request.via.params["received"] == "192.0.2.1" and request.vias[1:] == below
    assert request.headers.lines("Via")[1:] == ["SIP/2.0/UDP h3"]
    request.headers.set("To", "<sip:carol@biloxi.com>")
    request.stamp_via("SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK776asdhds")
    assert request.to.uri.user == "carol" and len(request.vias) == 3


def test_without_a_via_nothing_is_stamped() -> None:
    with pytest.raises(LocalProtocolError):
        Request("OPTIONS", "sip:us").stamp_via("SIP/2.0/UDP h")


def test_the_order_of_headers_means_nothing() -> None:
    start, *lines = INVITE.partition(b"\r\n\r\n")[0].split(b"\r\n")
    vias, others = lines[:2], lines[2:]
    turned = parse_message(b"\r\n".join([start, *reversed(others), *vias]) + b"\r\n\r\nbody")
    straight = invite()
    for name in (
        "vias", "from_", "to", "call_id", "cseq", "contacts", "routes", "record_routes", "max_forwards", "expires",
        "content_type", "body",
    ):  # fmt: skip
        assert getattr(turned, name) == getattr(straight, name)


def test_bytes_of_an_old_phone_survive() -> None:
    """Latin-1 where UTF-8 should be: it goes on as it came, through a change too, and can be shown."""
    data = INVITE.replace(b"To: Bob", b'To: "Andr\xe9"').replace(b"Expires: 60", b"Subject: caf\xe9 \xff")
    message = parse_message(data)
    assert message.to_bytes() == data
    message.headers.set("Max-Forwards", "69")
    written = message.to_bytes()
    assert b'"Andr\xe9"' in written and b"caf\xe9 \xff" in written
    assert (message.to.display_name or "").encode("utf-8", "replace")
    assert b'"Andr\xe9"' in response_to(invite_of(data), 180).to_bytes()


def invite_of(data: bytes) -> Request:
    message = parse_message(data)
    assert isinstance(message, Request)
    return message


def test_a_tag_without_a_value_is_not_joined_by_another() -> None:
    request = invite_of(INVITE.replace(b"To: Bob <sip:bob@biloxi.com>", b"To: Bob <sip:bob@biloxi.com>;tag;x=1"))
    for written in (
        response_to(request, 480, to_tag="t1").to_bytes(),
        request.response_bytes(480, "x", "t1", (), b""),
    ):
        assert parse_message(written).headers.get("To") == "Bob <sip:bob@biloxi.com>;tag;x=1"


def test_what_was_parsed_is_let_go_of_and_read_again() -> None:
    request = invite()
    request.headers.add("X-Ours", "1")
    before = (request.via, request.to, request.contacts, request.headers.items(), request.to_bytes())
    request.let_go()
    assert request.via is not before[0]
    assert (request.via, request.to, request.contacts, request.headers.items(), request.to_bytes()) == before
    request.headers.add("X-Later", "2")
    assert request.headers.items()[-2:] == [("X-Ours", "1"), ("X-Later", "2")]
