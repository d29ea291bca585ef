"""RFC 4916 §4.4: a mid-dialog request may come from somebody else than the dialog began with, and go out so."""

from __future__ import annotations

import pytest

from sipcore.events import RequestReceived
from sipcore.fields import NameAddr
from sipcore.message import Request
from tests.conformance.rfc3311.test_5_update import answered
from tests.endpoints import Side, request_bytes
from tests.proxy_side import CAROL, ProxySide, in_dialog_bytes, request_of

FROM_CAROL = b"From: Carol <sip:carol@example.com>;tag=a1"


def sent(side: Side) -> Request:
    message = side.last()
    assert isinstance(message, Request)
    return message


@pytest.mark.rfc("4916", "4.4.2", "if the UA sends a 2xx response, the UA MUST update the remote URI for this dialog")
@pytest.mark.parametrize(("status", "to"), [(200, "carol"), (403, "alice")])
def test_a_from_that_has_changed_is_the_remote_uri_once_it_was_accepted(status: int, to: str) -> None:
    side = Side()
    dialog, tag = answered(side)
    update = request_bytes("UPDATE", branch="z9hG4bKu2", to_tag=tag, cseq=2)
    side.receive(update.replace(b"From: Alice <sip:alice@example.com>;tag=a1", FROM_CAROL))
    side.respond(side.event(RequestReceived).transaction, status)
    side.bye(dialog)
    assert (sent(side).to.uri.user, sent(side).to.tag) == (to, "a1")


@pytest.mark.rfc("4916", "4.3", "the UA MUST issue a request on the same dialog containing the new identity")
def test_our_from_changes_and_keeps_its_tag() -> None:
    side = Side()
    dialog, tag = answered(side)
    side.endpoint.set_local_identity(dialog, NameAddr.parse('"Dora" <sip:dora@example.com>;tag=not-this'))
    side.in_dialog(dialog, "UPDATE")
    assert sent(side).headers.get("From") == f'"Dora" <sip:dora@example.com>;tag={tag}'


@pytest.mark.rfc(
    "4916",
    "4.7",
    "A proxy that receives a mid-dialog request MUST be prepared for the To header field URI and/or the From header "
    "field URI to differ from those that appeared in the dialog-forming request and response.",
)
def test_a_proxy_passes_requests_of_a_dialog_whose_uris_have_changed() -> None:
    side = ProxySide()
    [sent_on] = side.relay(side.invite(), [CAROL])
    record_route = request_of(sent_on).headers.get_all("Record-Route")
    side.answer(sent_on, 200)
    before = len(side.sent)
    update = in_dialog_bytes("UPDATE", record_route[::-1], uri="sip:bob@10.0.0.3:5060")
    update = update.replace(b"sip:alice@example.com", b"sip:dora@example.net")
    side.receive(update.replace(b"To: <sip:bob@example.com>", b"To: <sip:erin@example.net>"))
    [passed] = side.sent[before:]
    assert passed.flow.remote == CAROL
    assert (request_of(passed).from_.uri.user, request_of(passed).to.uri.user) == ("dora", "erin")
