"""Dialogs and their table: targets, routes, and how a dialog is found and left."""

from __future__ import annotations

import pytest

from sipcore.dialog import (
    TARGET_REFRESH,
    Dialog,
    DialogState,
    DialogTable,
    SavedDialog,
    contact_uri,
    is_loose,
    request_uri_of,
)
from sipcore.events import DialogId
from sipcore.flow import Flow
from sipcore.message import Request, Response
from sipcore.parser import parse_message
from tests.endpoints import ALICE, BOB, request_bytes

UDP = Flow("UDP", BOB, ALICE, 0)
TCP = Flow("TCP", BOB, ALICE, 7)


def request(*lines: str, method: str = "INVITE", to_tag: str = "") -> Request:
    message = parse_message(request_bytes(method, *lines, to_tag=to_tag))
    assert isinstance(message, Request)
    return message


def response(*lines: str) -> Response:
    head = ("SIP/2.0 200 OK", "Via: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK1", "From: <sip:bob@b>;tag=b1",
            "To: <sip:alice@a>;tag=a1", "Call-ID: call-1", "CSeq: 3 INVITE")  # fmt: skip
    message = parse_message("\r\n".join((*head, *lines, "Content-Length: 0", "", "")).encode())
    assert isinstance(message, Response)
    return message


def dialog(flow: Flow = UDP) -> Dialog:
    made = Dialog(DialogId(1), "call-1", flow, is_uac=True)
    made.set_remote_target("sip:alice@10.0.0.1")
    return made


def test_a_new_dialog_knows_nothing_yet() -> None:
    new = Dialog(DialogId(1), "call-1", UDP, is_uac=True)
    assert (new.local_tag, new.local, new.remote, new.remote_target, new.request_uri) == ("", "", "", "", "")
    assert (new.state, new.local_cseq, new.remote_tag, new.remote_cseq) == (DialogState.TRYING, 0, None, None)
    assert (new.route_set, new.routes, new.hop, new.has_invite, new.usages) == ((), (), None, True, 0)
    assert (new.next_deadline(), new.established, new.next_cseq(), new.next_cseq()) == (float("inf"), False, 1, 2)


@pytest.mark.rfc(
    "6141",
    "4.2",
    "When a UAS receives a target refresh request, it MUST replace the dialog's remote target URI",
)
def test_only_requests_that_are_target_refresh_requests_move_the_target() -> None:
    assert {"INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"} == TARGET_REFRESH


@pytest.mark.parametrize(
    ("route", "loose"),
    [
        ("<sip:p.example.com;lr>", True),
        ("<sip:p.example.com;LR=on>;x=y", True),
        ("sip:p.example.com;transport=tcp;lr", True),
        ("<sip:p.example.com; lr >", True),
        ("<sip:p.example.com>;lr", False),
        ("<sip:p.example.com>", False),
        ("<sip:p.example.com?x=;lr>", False),
        ("<sip:lr>", False),
        ("<sip:p.example.com;lrx>", False),
    ],
)
def test_a_loose_router_says_lr_in_its_uri(route: str, loose: bool) -> None:
    assert is_loose(route) is loose


@pytest.mark.rfc(
    "3261",
    "19.1.1",
    'Entries marked "m" are mandatory, those marked "o" are optional, and those marked "-" are not allowed.',
)
@pytest.mark.parametrize(
    ("route", "uri"),
    [
        ("<sip:p.example.com;transport=tcp;maddr=1.2.3.4>;x=y", "sip:p.example.com;transport=tcp;maddr=1.2.3.4"),
        ("<sip:p.example.com;Method=INVITE;user=phone?Subject=a;b>", "sip:p.example.com;user=phone"),
        ("sip:p.example.com;method=BYE", "sip:p.example.com"),
        ("sip:p.example.com;x=method", "sip:p.example.com;x=method"),
        ("sip:p.example.com;method", "sip:p.example.com"),
    ],
)
def test_a_request_uri_has_neither_method_nor_headers(route: str, uri: str) -> None:
    """RFC 3261 §19.1.1, table 1: `method` and headers are not allowed in a Request-URI."""
    assert request_uri_of(route) == uri


@pytest.mark.rfc(
    "3261",
    "12.2.1.1",
    "the UAC MUST place the first URI from the route set into the Request-URI, stripping any parameters that are "
    "not allowed in a Request-URI. … The UAC MUST then place the remote target URI into the Route header field as "
    "the last value.",
)
def test_a_strict_router_takes_the_request_uri_and_the_target_comes_last() -> None:
    """ "the UAC MUST place the first URI from the route set into the Request-URI, stripping any parameters that are
    not allowed in a Request-URI. … The UAC MUST then place the remote target URI into the Route header field as the
    last value." """
    made = dialog()
    made.set_route_set(("<sip:strict;method=INVITE>", "<sip:loose;lr>"))
    assert made.request_uri == "sip:strict"
    assert made.routes == ("<sip:loose;lr>", "<sip:alice@10.0.0.1>")
    made.set_route_set(("<sip:loose;lr>", "<sip:strict>"))
    assert made.request_uri == "sip:alice@10.0.0.1"
    assert made.routes == ("<sip:loose;lr>", "<sip:strict>")


def test_the_next_hop_is_found_once_and_anew_when_target_or_route_change() -> None:
    made = dialog()
    first = made.next_hop()
    assert made.next_hop() is first
    assert first.host == "10.0.0.1"
    made.set_remote_target("sip:alice@10.0.0.9")
    assert made.next_hop().host == "10.0.0.9"
    made.set_route_set(("<sip:10.0.0.5;lr>",))
    assert made.next_hop().host == "10.0.0.5"


def test_a_contact_that_can_be_dialled_moves_the_target_and_no_other() -> None:
    made = dialog()
    hop = made.next_hop()
    made.refresh_target(response())
    made.refresh_target(response("Contact: <tel:+4930123456>"))
    made.refresh_target(response("Contact: <sip:alice@10.0.0.1>"))
    assert (made.remote_target, made.next_hop() is hop) == ("sip:alice@10.0.0.1", True)
    made.refresh_target(response("Contact: <sips:alice@10.0.0.9>"))
    assert (made.remote_target, made.request_uri) == ("sips:alice@10.0.0.9", "sips:alice@10.0.0.9")


@pytest.mark.parametrize(
    ("contact", "uri"),
    [
        ("<sip:a@h;x=%41?b=c>", "sip:a@h;x=%41"),
        ("<sip:a;b?c@h;method=BYE;lr>", "sip:a;b?c@h;lr"),
        ("sip:a@h", "sip:a@h"),
    ],
)
def test_a_contact_becomes_a_request_uri_without_method_and_headers(contact: str, uri: str) -> None:
    assert contact_uri(request(f"Contact: {contact}")) == uri


def test_the_first_contact_counts() -> None:
    assert contact_uri(response("Contact: <sip:one@x>, <sip:two@x>")) == "sip:one@x"
    assert contact_uri(response()) is None


class TestTable:
    """All dialogs of an endpoint."""

    @pytest.mark.rfc("3261", "12.1", "UAs MUST assign values to the dialog ID components as described below.")
    @pytest.mark.rfc(
        "3261",
        "12.1.1",
        "The route set MUST be set to the list of URIs in the Record-Route header field from the request, taken in "
        "order … The remote target MUST be set to the URI from the Contact header field of the request. The remote "
        "sequence number MUST be set to the value of the sequence number in the CSeq … The local sequence number "
        "MUST be empty.",
    )
    def test_the_uas_takes_all_parts_of_the_state_from_the_request(self) -> None:
        """ "The route set MUST be set to the list of URIs in the Record-Route header field from the request, taken in
        order … The remote target MUST be set to the URI from the Contact header field of the request. The remote
        sequence number MUST be set to the value of the sequence number in the CSeq … The local sequence number MUST
        be empty." """
        table = DialogTable()
        made = table.open_uas(request("Record-Route: <sip:p1;lr>", "Record-Route: <sip:p2;lr>"), "b1", UDP)
        assert (made.id, made.is_uac, made.call_id, made.flow) == (1, False, "call-1", UDP)
        assert (made.local_tag, made.local) == ("b1", "<sip:bob@example.com>;tag=b1")
        assert (made.remote_tag, made.remote) == ("a1", "Alice <sip:alice@example.com>;tag=a1")
        assert (made.remote_cseq, made.local_cseq) == (1, 0)
        assert (made.remote_target, made.route_set) == ("sip:alice@10.0.0.1:5060", ("<sip:p1;lr>", "<sip:p2;lr>"))
        assert table.get(made.id) is made
        assert table.find(request(method="BYE", to_tag="b1")) is made
        assert table.find(request(method="BYE", to_tag="b2")) is None

    @pytest.mark.rfc(
        "3261",
        "12.1.2",
        "The route set MUST be set to the list of URIs in the Record-Route header field from the response, taken in "
        "reverse order … The local sequence number MUST be set to the value of the sequence number in the CSeq "
        "header field of the request. The remote sequence number MUST be empty.",
    )
    def test_the_uac_takes_the_route_set_reversed_and_its_number_from_the_request(self) -> None:
        """ "The route set MUST be set to the list of URIs in the Record-Route header field from the response, taken in
        reverse order … The local sequence number MUST be set to the value of the sequence number in the CSeq header
        field of the request. The remote sequence number MUST be empty." """
        table = DialogTable()
        answer = response("Record-Route: <sip:p1;lr>, <sip:p2;lr>", "Contact: <sip:alice@10.0.0.9>")
        made = table.open_uac(request(), answer, UDP)
        assert made.is_uac and made.route_set == ("<sip:p2;lr>", "<sip:p1;lr>")
        assert (made.local_tag, made.local) == ("a1", "Alice <sip:alice@example.com>;tag=a1")
        assert (made.remote_tag, made.remote) == ("a1", "<sip:alice@a>;tag=a1")
        assert (made.local_cseq, made.remote_cseq, made.remote_target) == (1, None, "sip:alice@10.0.0.9")
        assert table.named("call-1", "a1", "a1") is made

    def test_without_a_contact_the_peer_is_reached_by_what_was_asked_for(self) -> None:
        assert DialogTable().open_uac(request(), response(), UDP).remote_target == "sip:bob@10.0.0.2"
        bare = request("Contact: <tel:1>")
        assert DialogTable().open_uas(bare, "b1", UDP).remote_target == "sip:alice@example.com"

    @pytest.mark.rfc("6665", "4.4.1")
    def test_a_notify_makes_a_confirmed_dialog_without_a_call(self) -> None:
        """ "Dialogs usages are created upon completion of a NOTIFY transaction for a new subscription … the route set
        at the subscriber is taken from the NOTIFY request itself"."""
        table = DialogTable()
        subscribe = request(method="SUBSCRIBE")
        notify = request("Record-Route: <sip:p1;lr>", "Record-Route: <sip:p2;lr>", "Contact: <sip:n@10.0.0.4>",
                         method="NOTIFY", to_tag="a1")  # fmt: skip
        made = table.open_notified(subscribe, notify, UDP)
        assert (made.has_invite, made.state, made.established) == (False, DialogState.CONFIRMED, True)
        assert (made.is_uac, made.local_cseq, made.remote_target) == (True, 1, "sip:n@10.0.0.4")
        assert (made.local_tag, made.local) == ("a1", "Alice <sip:alice@example.com>;tag=a1")
        assert (made.remote_tag, made.remote) == ("a1", "Alice <sip:alice@example.com>;tag=a1")
        assert made.route_set == ("<sip:p1;lr>", "<sip:p2;lr>")
        assert table.get(made.id) is made

    def test_ids_are_never_given_twice(self) -> None:
        table = DialogTable()
        first, second = table.open_uas(request(), "b1", UDP), table.open_uas(request(), "b2", UDP)
        assert table.remove(first)
        third = table.open_uas(request(), "b3", UDP)
        assert [first.id, second.id, third.id] == [1, 2, 3]

    def test_what_is_removed_is_found_nowhere_and_only_once(self) -> None:
        table = DialogTable()
        made, other = table.open_uas(request(), "b1", TCP), table.open_uas(request(), "b2", TCP)
        assert len(table) == 2
        assert (table.remove(made), table.remove(made), len(table)) == (True, False, 1)
        assert (table.get(made.id), table.named("call-1", "b1", "a1")) == (None, None)
        table.lose_flow(TCP)
        assert (made.flow, other.flow) == (TCP, Flow("TCP", BOB, ALICE, 0))

    def test_a_dialog_that_moved_does_not_mourn_its_old_connection(self) -> None:
        table = DialogTable()
        made = table.open_uas(request(), "b1", TCP)
        newer = Flow("TCP", BOB, ALICE, 8)
        table.set_flow(made, newer)
        table.lose_flow(TCP)
        assert made.flow == newer
        table.lose_flow(newer)
        assert made.flow == Flow("TCP", BOB, ALICE, 0)

    def test_a_connection_without_dialogs_leaves_nothing(self) -> None:
        table = DialogTable()
        made = table.open_uas(request(), "b1", TCP)
        table.set_flow(made, TCP)
        table.set_flow(made, UDP)
        assert not table._by_connection
        table.remove(made)
        again = table.open_uas(request(), "b2", TCP)
        table.lose_flow(TCP)
        table.lose_flow(TCP)
        assert (made.flow, again.flow.connection) == (UDP, 0)
        assert not table._by_connection, "a connection per dialog would be kept for ever"

    def test_a_dialog_moves_from_one_datagram_flow_to_another(self) -> None:
        table = DialogTable()
        made = table.open_uas(request(), "b1", UDP)
        moved = Flow("UDP", BOB, BOB, 0)
        table.set_flow(made, moved)
        assert made.flow == moved and table.get(made.id) is made


SAVED = SavedDialog(
    call_id="call-9",
    local_tag="ours",
    remote_tag="theirs",
    local_uri="<sip:1002@b>;tag=ours",
    remote_uri="<sip:alice@a>;tag=theirs",
    remote_target="sip:alice@10.0.0.1:5070",
    route_set=("<sip:p.example.com;lr>",),
    local_cseq=41,
    remote_cseq=7,
    flow=TCP,
)


def test_a_saved_dialog_opens_as_it_was_and_is_found_again() -> None:
    table = DialogTable()
    opened = table.open_saved(SAVED)
    assert opened is not None and opened.saved() == SAVED
    assert (opened.state, opened.has_invite, opened.next_cseq()) == (DialogState.CONFIRMED, False, 42)
    assert opened.is_uac is False
    assert (opened.request_uri, opened.routes) == ("sip:alice@10.0.0.1:5070", ("<sip:p.example.com;lr>",))
    assert table.named("call-9", "ours", "theirs") is opened
    table.lose_flow(TCP)
    assert opened.flow.connection == 0, "its connection knows it"


def test_a_saved_dialog_is_opened_once() -> None:
    table = DialogTable()
    first = table.open_saved(SAVED)
    assert first is not None and table.open_saved(SAVED) is None
    assert table.remove(first) and table.open_saved(SAVED) is not None
