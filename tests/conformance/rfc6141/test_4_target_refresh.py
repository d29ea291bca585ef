"""RFC 6141 §4: when a target refresh within a re-INVITE or UPDATE counts; §3.4: what a refusal takes back."""

from __future__ import annotations

import pytest

from sipcore.dialog import DialogView
from sipcore.events import DialogId, RequestReceived
from tests.conformance.rfc3311.test_5_update import answered
from tests.endpoints import ANSWER, OFFER, Side, request_bytes


def target(side: Side, dialog: DialogId) -> str:
    view = side.endpoint.dialog(dialog)
    assert isinstance(view, DialogView)
    return str(view.remote_target)


def change(side: Side, tag: str, method: str, status: int) -> None:
    contact = "Contact: <sip:alice@10.0.0.1:6060>"
    side.receive(request_bytes(method, contact, branch=f"z9hG4bKc{method}", to_tag=tag, cseq=7, body=OFFER))
    body = ANSWER if status == 200 else b""
    side.respond(side.event(RequestReceived).transaction, status, body=body)


@pytest.mark.rfc("6141", "4.2", "it MUST replace the dialog's remote target URI")
@pytest.mark.rfc("6141", "4.6", "the UA MUST replace the dialog's remote target URI")
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_2xx_to_a_target_refresh_replaces_the_remote_target(method: str) -> None:
    """MUST: "it MUST replace the dialog's remote target URI with the URI from the Contact header field"."""
    side = Side()
    dialog, tag = answered(side)
    change(side, tag, method, 200)
    assert target(side, dialog) == "sip:alice@10.0.0.1:6060"


@pytest.mark.rfc("6141", "4.6", "the UA MUST replace the dialog's remote target URI")
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_refused_one_replaces_nothing(method: str) -> None:
    side = Side()
    dialog, tag = answered(side)
    before = target(side, dialog)
    change(side, tag, method, 488)
    assert target(side, dialog) == before


@pytest.mark.rfc("6141", "4.7", "the UA MUST replace the dialog's remote target URI")
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_the_contact_of_a_2xx_replaces_the_remote_target(method: str) -> None:
    """MUST: "the UA MUST replace the dialog's remote target URI" by a 2xx "to a target-refresh request"."""
    side = Side()
    dialog, _ = answered(side)
    side.in_dialog(dialog, method, body=OFFER)
    side.receive(side.peer_response(200, "Contact: <sip:alice@10.0.0.1:7070>", body=ANSWER))
    assert target(side, dialog) == "sip:alice@10.0.0.1:7070"


@pytest.mark.rfc(
    "6141",
    "4.8",
    "If the protocol allows a UA to use a target-refresh request at the point in time that the UA wishes to refresh "
    "its local target, the UA MUST use a target-refresh request instead of a response to refresh its local target.",
)
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_our_responses_never_move_our_own_target(method: str) -> None:
    side = Side()
    side.receive(request_bytes("INVITE", body=OFFER))
    side.respond(side.event(RequestReceived).transaction, 200, body=ANSWER)
    [first], tag = side.last().headers.get_all("Contact"), side.last().to.tag or ""
    side.receive(request_bytes("ACK", branch="z9hG4bKack", to_tag=tag))
    change(side, tag, method, 200)
    assert side.last().headers.get_all("Contact") == [first]
