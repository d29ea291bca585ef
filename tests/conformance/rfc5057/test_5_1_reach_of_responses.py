"""RFC 5057 §5.1: what each final response to a request within a dialog ends, with a call and a subscription in it."""

from __future__ import annotations

import pytest

from sipcore.events import DialogId, RequestReceived
from sipcore.usages import REACH, Reach, reach_of
from tests.endpoints import Side, request_bytes

NOTIFY = (("Event", "refer"), ("Subscription-State", "active"))


def shared_dialog(side: Side) -> DialogId:
    """A call that we took, with the subscription of a REFER in its dialog."""
    side.receive(request_bytes("INVITE"))
    invite = side.event(RequestReceived)
    side.respond(invite.transaction, 200)
    side.receive(request_bytes("ACK", branch="z9hG4bKa", to_tag=side.last().to.tag or ""))
    assert invite.dialog is not None
    side.endpoint.open_usage(invite.dialog)
    side.names()
    return invite.dialog


def rows(*reaches: Reach) -> list[int]:
    return [status for status, reach in REACH.items() if reach in reaches]


@pytest.mark.rfc("5057", "5.1")
@pytest.mark.parametrize("status", rows(Reach.TRANSACTION, Reach.SUBSCRIPTION))
def test_a_response_that_ends_its_transaction_only(status: int) -> None:
    side = Side()
    dialog = shared_dialog(side)
    side.in_dialog(dialog, "INFO")
    side.receive(side.peer_response(status))
    side.in_dialog(dialog, "NOTIFY", headers=NOTIFY)
    side.receive(side.peer_response(status))
    assert "DialogEnded" not in side.names()
    side.in_dialog(dialog, "INFO")
    assert side.labels()[-1] == "INFO"


@pytest.mark.rfc("5057", "5.1")
@pytest.mark.parametrize("status", rows(Reach.USAGE))
def test_a_response_that_ends_the_call_leaves_the_subscription(status: int) -> None:
    """The peer has lost the usage of the request, and gets BYE for it; the other goes on."""
    side = Side()
    dialog = shared_dialog(side)
    side.in_dialog(dialog, "INFO")
    side.receive(side.peer_response(status))
    assert side.labels()[-1] == "BYE" and side.endpoint.dialog_count == 1
    side.in_dialog(dialog, "NOTIFY", headers=NOTIFY)
    assert side.labels()[-1] == "NOTIFY"


@pytest.mark.rfc("5057", "5.1")
@pytest.mark.parametrize("status", rows(Reach.USAGE))
def test_a_response_that_ends_the_subscription_leaves_the_call(status: int) -> None:
    side = Side()
    dialog = shared_dialog(side)
    side.in_dialog(dialog, "NOTIFY", headers=NOTIFY)
    side.receive(side.peer_response(status))
    assert "DialogEnded" not in side.names()
    side.in_dialog(dialog, "INFO")
    assert side.labels()[-1] == "INFO"


@pytest.mark.rfc("5057", "5.1")
@pytest.mark.parametrize("method", ["INFO", "NOTIFY"])
@pytest.mark.parametrize("status", rows(Reach.DIALOG))
def test_a_response_that_ends_the_dialog_with_all_its_usages(status: int, method: str) -> None:
    side = Side()
    dialog = shared_dialog(side)
    side.in_dialog(dialog, method, headers=NOTIFY if method == "NOTIFY" else ())
    side.names()
    side.receive(side.peer_response(status))
    assert side.labels()[-1] == "BYE"
    assert side.names() == ["ResponseReceived", "DialogEnded"] and side.endpoint.dialog_count == 0
    assert side.take(side.endpoint.close_usage(dialog, side.now)) is None or side.names() == []


@pytest.mark.rfc("5057", "5.1")
@pytest.mark.parametrize("status", [399, 499, 599, 699])
def test_a_response_that_nobody_knows_is_the_x00_of_its_class(status: int) -> None:
    assert reach_of(status) is Reach.TRANSACTION
