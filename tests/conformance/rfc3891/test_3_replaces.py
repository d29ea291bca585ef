"""RFC 3891 §3, §6.1: the Replaces header and whose tags it has."""

from __future__ import annotations

import pytest

from sipcore.errors import ParseError
from sipcore.events import RequestReceived, ResponseReceived
from sipcore.message import Request
from sipcore.refer import Replaces, replaces_of
from tests.endpoints import Pair


@pytest.mark.rfc("3891", "6.1", "A Replaces header field MUST contain exactly one to-tag and exactly one from-tag")
@pytest.mark.parametrize(
    "text", ["", "a@b", "a@b;to-tag=1", "a@b;from-tag=1", ";to-tag=1;from-tag=2", "a;to-tag;from-tag=1"]
)
def test_a_replaces_needs_a_call_id_and_both_tags(text: str) -> None:
    with pytest.raises(ParseError):
        Replaces.parse(text)


@pytest.mark.rfc(
    "3891",
    "6.1",
    '… early-flag = "early-only" … A Replaces header field MUST contain exactly one to-tag and exactly one from-tag, '
    "as they are required for unique dialog matching.",
)
def test_early_only_is_a_flag() -> None:
    text = "98732@sip.example.com;to-tag=r33th4x0r;from-tag=ff87ff;early-only"
    assert Replaces.parse(text) == Replaces("98732@sip.example.com", "r33th4x0r", "ff87ff", True)
    assert str(Replaces.parse(text)) == text


@pytest.mark.rfc(
    "3891",
    "3",
    "If more than one Replaces header field is present in an INVITE, or if a Replaces header field is present in a "
    "request other than INVITE, the UAS MUST reject the request with a 400 Bad Request response.",
)
def test_two_replaces_are_refused() -> None:
    one = ("Replaces", "a;to-tag=1;from-tag=2")
    assert replaces_of(Request("INVITE", "sip:x@y", [one])) == Replaces("a", "1", "2")
    assert replaces_of(Request("INVITE", "sip:x@y", [])) is None
    with pytest.raises(ParseError):
        replaces_of(Request("INVITE", "sip:x@y", [one, one]))


@pytest.mark.rfc(
    "3891",
    "3",
    "In other words, the to-tag parameter is compared to the local tag, and the from-tag parameter is compared to "
    "the remote tag.",
)
def test_what_we_write_names_the_dialog_as_its_receiver_sees_it() -> None:
    """ "the to-tag [...] is compared to the local tag, and the from-tag to the remote tag" of the receiver."""
    pair = Pair()
    pair.alice.send()
    pair.settle()
    incoming = pair.bob.event(RequestReceived)
    pair.bob.respond(incoming.transaction, 200)
    pair.settle()
    ours = pair.alice.event(ResponseReceived).dialog
    pair.alice.ack(ours)
    pair.settle()
    assert ours is not None
    view = pair.alice.endpoint.dialog(ours)
    assert view is not None
    written = Replaces.of(view)
    assert pair.bob.endpoint.dialog_named(written.call_id, written.to_tag, written.from_tag) == incoming.dialog
    assert pair.bob.endpoint.dialog_named(written.call_id, written.from_tag, written.to_tag) is None
