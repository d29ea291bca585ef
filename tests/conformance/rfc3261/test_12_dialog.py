"""RFC 3261 §12: identity, route set, remote target and CSeq of a dialog; RFC 5057: what ends it."""

from __future__ import annotations

import pytest

from sipcore.dialog import DialogState
from sipcore.errors import LocalProtocolError
from sipcore.events import DialogId, RequestReceived, ResponseReceived
from sipcore.flow import Address, Flow
from sipcore.message import Request
from tests.endpoints import BOB, Side, request_bytes

ROUTES = ("Record-Route: <sip:10.1.1.1;lr>, <sip:10.1.1.2;lr>", "Record-Route: <sip:10.1.1.3;lr>")


def answered_call(side: Side, *lines: str) -> DialogId:
    """An incoming call, answered and acknowledged."""
    side.receive(request_bytes("INVITE", *lines))
    event = side.event(RequestReceived)
    side.respond(event.transaction, 200)
    side.receive(request_bytes("ACK", branch="z9hG4bKack", to_tag=side.last().to.tag or ""))
    assert event.dialog is not None
    return event.dialog


def placed_call(side: Side, *lines: str) -> DialogId:
    """An outgoing call, answered and acknowledged."""
    side.send()
    side.receive(side.peer_response(200, *lines))
    dialog = side.event(ResponseReceived).dialog
    assert dialog is not None
    side.ack(dialog)
    return dialog


def our_tag(side: Side, dialog: DialogId) -> str:
    view = side.endpoint.dialog(dialog)
    assert view is not None
    return view.local_tag


def last_request(side: Side) -> Request:
    message = side.last()
    assert isinstance(message, Request)
    return message


@pytest.mark.rfc(
    "3261",
    "12.1.1",
    "When a UAS responds to a request with a response that establishes a dialog (such as a 2xx to INVITE), the UAS "
    "MUST copy all Record-Route header field values from the request into the response … and MUST maintain the "
    "order of those values.",
)
def test_the_uas_takes_the_route_set_as_received_and_copies_it_into_the_response() -> None:
    side = Side()
    side.receive(request_bytes("INVITE", *ROUTES))
    event = side.event(RequestReceived)
    side.respond(event.transaction, 180)
    expected = ["<sip:10.1.1.1;lr>", "<sip:10.1.1.2;lr>", "<sip:10.1.1.3;lr>"]
    assert side.last().headers.get_all("Record-Route") == expected
    view = side.endpoint.dialog(event.dialog or DialogId(0))
    assert view is not None and list(view.route_set) == expected
    assert (view.state, view.is_uac, view.remote_tag) == (DialogState.EARLY, False, "a1")


@pytest.mark.rfc(
    "3261",
    "12.1.2",
    "The route set MUST be set to the list of URIs in the Record-Route header field from the response, taken in "
    "reverse order and preserving all URI parameters.",
)
def test_the_uac_takes_the_route_set_reversed() -> None:
    side = Side()
    dialog = placed_call(side, *ROUTES)
    view = side.endpoint.dialog(dialog)
    assert view is not None
    assert view.route_set == ("<sip:10.1.1.3;lr>", "<sip:10.1.1.2;lr>", "<sip:10.1.1.1;lr>")
    side.bye(dialog)
    bye = last_request(side)
    assert bye.uri_text == f"sip:peer@{side.flow.remote}"
    assert bye.headers.get_all("Route") == list(view.route_set)
    assert side.sent[-1].flow.remote == Address("10.1.1.3", 5060)


@pytest.mark.rfc(
    "3261",
    "12.2.1.1",
    "If the route set is not empty, and its first URI does not contain the lr parameter, the UAC MUST place the "
    "first URI from the route set into the Request-URI … The UAC MUST add a Route header field containing the "
    "remainder of the route set values in order, including all parameters. The UAC MUST then place the remote "
    "target URI into the Route header field as the last value.",
)
def test_a_strict_router_gets_itself_as_request_uri_and_the_target_last() -> None:
    side = Side()
    dialog = answered_call(side, "Record-Route: <sip:10.1.1.1>, <sip:10.1.1.2;lr>")
    side.bye(dialog)
    bye = last_request(side)
    assert bye.uri_text == "sip:10.1.1.1"
    assert bye.headers.get_all("Route") == ["<sip:10.1.1.2;lr>", "<sip:alice@10.0.0.1:5060>"]
    assert side.sent[-1].flow.remote == Address("10.1.1.1", 5060)


@pytest.mark.rfc(
    "3261",
    "13.2.2.4",
    "If the dialog identifier in the 2xx response matches the dialog identifier of an existing dialog, the dialog "
    'MUST be transitioned to the "confirmed" state, and the route set for the dialog MUST be recomputed based on '
    "the 2xx response using the procedures of Section 12.2.1.2.",
)
def test_the_2xx_recomputes_the_route_set_of_an_early_dialog() -> None:
    side = Side()
    side.send()
    invite = side.sent[-1].data
    side.receive(side.peer_response(180, "Record-Route: <sip:10.1.1.1;lr>", of=invite))
    early = side.event(ResponseReceived).dialog
    side.receive(side.peer_response(200, "Record-Route: <sip:10.1.1.2;lr>", of=invite))
    assert side.event(ResponseReceived).dialog == early
    view = side.endpoint.dialog(early or DialogId(0))
    assert view is not None
    assert (view.route_set, view.state) == (("<sip:10.1.1.2;lr>",), DialogState.CONFIRMED)


@pytest.mark.rfc(
    "3261",
    "12.2",
    "Specifically, requests that are not target refresh requests do not modify the dialog's remote target URI, and "
    "requests that are target refresh requests do.",
)
def test_only_target_refresh_requests_move_the_remote_target_and_only_when_accepted() -> None:
    side = Side()
    dialog = answered_call(side)
    tag = our_tag(side, dialog)

    def target() -> str:
        view = side.endpoint.dialog(dialog)
        assert view is not None
        return str(view.remote_target)

    moved = "Contact: <sip:alice@10.0.0.77>"
    for number, (method, status, expected) in enumerate(
        [
            ("INFO", 200, "sip:alice@10.0.0.1:5060"),
            ("INVITE", 488, "sip:alice@10.0.0.1:5060"),
            ("INVITE", 200, "sip:alice@10.0.0.77"),
        ]
    ):
        side.receive(request_bytes(method, moved, branch=f"z9hG4bK-{number}", to_tag=tag, cseq=number + 2))
        side.respond(side.event(RequestReceived).transaction, status)
        assert target() == expected, (method, status)


# RFC 6141 §4.7: "If a UA receives a reliable provisional response or a 2xx response to a target-refresh request, the UA
# MUST replace the dialog's remote target URI with the URI from the Contact header field in that response".
@pytest.mark.rfc(
    "6141",
    "4.7",
    "If a UA receives a reliable provisional response or a 2xx response to a target-refresh request, the UA MUST "
    "replace the dialog's remote target URI with the URI from the Contact header field in that response, if "
    "present.",
)
@pytest.mark.rfc(
    "3261",
    "12.2.1.2",
    "When a UAC receives a 2xx response to a target refresh request, it MUST replace the dialog's remote target URI "
    "with the URI from the Contact header field in that response, if present.",
)
def test_the_contact_of_a_2xx_to_our_reinvite_moves_the_remote_target() -> None:
    side = Side()
    dialog = placed_call(side)
    side.in_dialog(dialog, "INVITE")
    side.receive(side.peer_response(200, "Contact: <sip:peer@10.0.0.88>"))
    side.ack(dialog)
    assert last_request(side).uri_text == "sip:peer@10.0.0.88"


@pytest.mark.rfc(
    "3261",
    "12.2.2",
    "If the UAS wishes to reject the request because it does not wish to recreate the dialog, it MUST respond to "
    "the request with a 481 (Call/Transaction Does Not Exist) status code and pass that to the server transaction.",
)
def test_unknown_tags_get_481_without_state() -> None:
    side = Side()
    dialog = answered_call(side)
    side.labels()
    before = side.endpoint.transaction_count
    for tags in ({"to_tag": "other"}, {"to_tag": our_tag(side, dialog), "from_tag": "other"}):
        side.receive(request_bytes("BYE", branch="z9hG4bKbye", cseq=2, **tags))  # type: ignore[arg-type]
    side.receive(request_bytes("BYE", branch="z9hG4bKbye", cseq=2, to_tag=our_tag(side, dialog), call_id="other"))
    assert side.labels() == ["481 BYE"] * 3
    assert side.endpoint.transaction_count == before


@pytest.mark.rfc(
    "3261",
    "12.2.2",
    "If the remote sequence number was not empty, but the sequence number of the request is lower than the remote "
    "sequence number, the request is out of order and MUST be rejected with a 500 (Server Internal Error) response. "
    "… It is possible for the CSeq sequence number to be higher than the remote sequence number by more than one. "
    "This is not an error condition, and a UAS SHOULD be prepared to receive and process requests with CSeq values "
    "more than one higher.",
)
def test_a_lower_cseq_gets_500_and_a_gap_is_allowed() -> None:
    side = Side()
    dialog = answered_call(side)
    tag = our_tag(side, dialog)
    side.labels()
    side.names()
    side.receive(request_bytes("INFO", branch="z9hG4bKa", to_tag=tag, cseq=70))
    side.receive(request_bytes("INFO", branch="z9hG4bKb", to_tag=tag, cseq=69))
    assert side.labels() == ["500 INFO"]
    assert side.names() == ["RequestReceived"]


@pytest.mark.rfc(
    "3261",
    "12.2.1.1",
    "Requests within a dialog MUST contain strictly monotonically increasing and contiguous CSeq sequence numbers "
    "(increasing-by-one) in each direction (excepting ACK and CANCEL of course, whose numbers equal the requests "
    "being acknowledged or cancelled).",
)
def test_our_cseq_rises_by_one_and_the_ack_has_that_of_its_invite() -> None:
    side = Side()
    dialog = placed_call(side)
    assert str(last_request(side).cseq) == "1 ACK"
    side.in_dialog(dialog, "INFO")
    assert str(last_request(side).cseq) == "2 INFO"
    side.in_dialog(dialog, "INVITE")
    reinvite = side.sent[-1].data
    side.in_dialog(dialog, "INFO")
    assert str(last_request(side).cseq) == "4 INFO"
    side.receive(side.peer_response(200, of=reinvite))
    side.ack(dialog)
    assert str(last_request(side).cseq) == "3 ACK"


@pytest.mark.rfc(
    "3261",
    "12.1.1",
    "A UAS MUST be prepared to receive a request without a tag in the From field, in which case the tag is "
    "considered to have a value of null.",
)
def test_a_peer_without_a_from_tag_has_a_dialog_all_the_same() -> None:
    side = Side()
    side.receive(request_bytes("INVITE", from_tag=""))
    event = side.event(RequestReceived)
    side.respond(event.transaction, 200)
    tag = side.last().to.tag or ""
    side.receive(request_bytes("ACK", branch="z9hG4bKack", from_tag="", to_tag=tag))
    side.receive(request_bytes("BYE", branch="z9hG4bKbye", from_tag="", to_tag=tag, cseq=2))
    assert side.names() == ["RequestReceived", "AckReceived", "RequestReceived"]


def test_a_private_contact_of_a_phone_behind_a_nat_is_reached_through_the_flow() -> None:
    nat = Flow("UDP", BOB, Address("198.51.100.7", 41000))
    side = Side()
    side.receive(request_bytes("INVITE", "Contact: <sip:alice@192.168.1.20:5060>"), nat)
    event = side.event(RequestReceived)
    side.respond(event.transaction, 200)
    side.receive(request_bytes("ACK", branch="z9hG4bKack", to_tag=side.last().to.tag or ""), nat)
    side.bye(event.dialog)
    assert side.sent[-1].flow == nat
    assert last_request(side).uri_text == "sip:alice@192.168.1.20:5060"


def test_a_public_contact_of_a_trunk_is_used_as_it_is() -> None:
    trunk = Flow("UDP", BOB, Address("198.51.100.7", 5060))
    side = Side()
    side.receive(request_bytes("INVITE", "Contact: <sip:203.0.113.5:5080>"), trunk)
    event = side.event(RequestReceived)
    side.respond(event.transaction, 200)
    side.receive(request_bytes("ACK", branch="z9hG4bKack", to_tag=side.last().to.tag or ""), trunk)
    side.bye(event.dialog)
    assert side.sent[-1].flow.remote == Address("203.0.113.5", 5080)


def test_requests_of_a_tcp_dialog_use_its_connection_and_after_its_loss_the_contact() -> None:
    side = Side(transport="TCP")
    side.receive(
        request_bytes("INVITE", "Contact: <sip:alice@10.0.0.1:5062;transport=tcp>", via="SIP/2.0/TCP 10.0.0.1:5062")
    )
    event = side.event(RequestReceived)
    side.respond(event.transaction, 200)
    side.receive(
        request_bytes("ACK", branch="z9hG4bKack", to_tag=side.last().to.tag or "", via="SIP/2.0/TCP 10.0.0.1:5062")
    )
    side.in_dialog(event.dialog, "INFO")
    assert side.sent[-1].flow == side.flow
    side.receive(side.peer_response(200))
    side.take(side.endpoint.flow_lost(side.flow, side.now))
    side.in_dialog(event.dialog, "INFO")
    assert side.sent[-1].flow == Flow("TCP", BOB, Address("10.0.0.1", 5062), 0)


@pytest.mark.rfc("5057", "5.1")
@pytest.mark.parametrize("status", [404, 408, 410, 416, 481, 482, 483, 484, 485, 502, 604])
def test_responses_that_end_the_usage_end_the_dialog_with_a_bye(status: int) -> None:
    side = Side()
    dialog = placed_call(side)
    side.in_dialog(dialog, "INFO")
    side.events.clear()
    side.sent = side.sent[-1:]
    side.receive(side.peer_response(status))
    assert side.labels()[1:] == ["BYE"]
    assert side.names() == ["ResponseReceived", "DialogEnded"]
    assert side.leaks() == (0, 0)


@pytest.mark.rfc("5057", "5.1")
@pytest.mark.parametrize("status", [400, 401, 403, 405, 407, 415, 420, 480, 486, 487, 488, 491, 500, 501, 503, 603])
def test_other_failures_concern_their_transaction_only(status: int) -> None:
    side = Side()
    dialog = placed_call(side)
    side.in_dialog(dialog, "INVITE")
    side.receive(side.peer_response(status))
    side.names()
    assert side.endpoint.dialog(dialog) is not None
    side.bye(dialog)
    side.receive(side.peer_response(200))
    assert side.names() == ["ResponseReceived", "DialogEnded"]


@pytest.mark.rfc(
    "3261",
    "12.2.1.2",
    "A UAC SHOULD also terminate a dialog if no response at all is received for the request (the client transaction "
    "would inform the TU about the timeout.)",
)
def test_no_response_at_all_ends_the_dialog_too() -> None:
    side = Side()
    dialog = placed_call(side)
    side.in_dialog(dialog, "INFO")
    side.names()
    side.advance(32.0)
    assert side.names() == ["RequestFailed", "DialogEnded"]
    assert side.labels()[-1] == "BYE"
    assert side.leaks() == (0, 0)


def test_a_request_in_a_dialog_that_is_gone_is_the_callers_error() -> None:
    side = Side()
    with pytest.raises(LocalProtocolError):
        side.in_dialog(DialogId(99), "INFO")
    assert side.bye(DialogId(99)) == []
    assert side.ack(DialogId(99)) == []


def test_find_dialog_knows_a_request_of_a_call() -> None:
    from sipcore.parser import parse_message

    side = Side()
    dialog = answered_call(side)
    request = parse_message(request_bytes("BYE", to_tag=our_tag(side, dialog)))
    assert isinstance(request, Request)
    assert side.endpoint.find_dialog(request) == dialog
