"""RFC 6665 §4.1: the subscriber's machine, and §4.4: the dialog that a NOTIFY makes."""

from __future__ import annotations

from itertools import product

import pytest

from sipcore.events import RequestReceived, ResponseReceived
from sipcore.message import Request
from sipcore.subscription import (
    SUBSCRIBER_TRANSITIONS,
    Do,
    Heard,
    SubscriberSubscription,
    SubscriptionStateField,
    Wait,
)
from tests.endpoints import Pair, Side, request_bytes

ACTIVE = SubscriptionStateField("active", expires=100)
OVER = SubscriptionStateField("terminated", reason="timeout")


@pytest.mark.rfc(
    "6665",
    "4.1.2.4",
    "If this Timer N expires prior to the receipt of a NOTIFY request, the subscriber considers the subscription "
    "failed, and cleans up any state associated with the subscription attempt.",
)
def test_without_a_notify_there_is_no_subscription_after_timer_n() -> None:
    """ "if no NOTIFY is received before Timer N expires, the subscription has failed", whatever the 2xx said."""
    subscription = SubscriberSubscription(600)
    subscription.start(0.0)
    assert subscription.answered(200, 0.1, expires=600) == ()
    assert subscription.next_deadline() == 32.0
    assert subscription.due(32.0) == (Do.CLOSE,) and subscription.state is Wait.OVER


@pytest.mark.rfc(
    "6665",
    "4.1.2.2",
    "At any time before a subscription expires, the subscriber may refresh the timer on such a subscription by "
    "sending another SUBSCRIBE request on the same dialog as the existing subscription.",
)
def test_a_subscription_is_refreshed_before_it_runs_out() -> None:
    subscription = SubscriberSubscription(600)
    subscription.start(0.0)
    subscription.notified(ACTIVE, 0.1)
    assert subscription.next_deadline() == pytest.approx(95.1)
    assert subscription.due(95.1) == (Do.REFRESH,)
    assert subscription.answered(200, 95.2, expires=200) == ()
    assert subscription.next_deadline() == pytest.approx(290.2)


@pytest.mark.rfc("6665", "4.1.2.3")
def test_a_refused_refresh_ends_it() -> None:
    subscription = SubscriberSubscription(600)
    subscription.start(0.0)
    subscription.notified(ACTIVE, 0.1)
    subscription.due(95.1)
    assert subscription.answered(481, 95.2) == (Do.CLOSE,)


@pytest.mark.rfc("6665", "4.1.2.3")
def test_leaving_waits_for_the_last_notify_or_timer_n() -> None:
    subscription = SubscriberSubscription(600)
    subscription.start(0.0)
    subscription.notified(ACTIVE, 0.1)
    assert subscription.leave(1.0) == (Do.UNSUBSCRIBE,)
    assert subscription.answered(200, 1.1, expires=0) == ()
    assert subscription.notified(OVER, 1.2) == (Do.CLOSE,) and subscription.reason == "timeout"
    assert subscription.due(33.0) == ()


@pytest.mark.parametrize(("state", "heard"), list(product(Wait, Heard)))
def test_every_state_takes_every_input(state: Wait, heard: Heard) -> None:
    subscription = SubscriberSubscription(600, state=state)
    expected = SUBSCRIBER_TRANSITIONS.get((state, heard), (state, ()))
    assert (subscription._step(heard), subscription.state) == (expected[1], expected[0])


def subscribe(pair: Pair) -> Request:
    request = Request("SUBSCRIBE", f"sip:peer@{pair.alice.flow.remote}", [("Event", "presence")])
    alice = pair.alice
    transaction = alice.endpoint.new_transaction()
    alice.take(alice.endpoint.send(transaction, request, 0.0, flow=alice.flow))
    alice.endpoint.expect_notify(request)
    return request


@pytest.mark.rfc(
    "6665",
    "4.1.4",
    "The subscriber MUST therefore be prepared to receive NOTIFY requests with 'From:' tags that differ from the "
    "'To:' tag received in the SUBSCRIBE 200-class response.",
)
@pytest.mark.rfc("6665", "4.4.1")
def test_a_notify_makes_the_dialog_even_before_the_2xx() -> None:
    """ "Dialogs are created upon completion of a NOTIFY transaction [...] not the SUBSCRIBE transaction"."""
    pair = Pair()
    request = subscribe(pair)
    pair.settle()
    event = pair.bob.event(RequestReceived)
    assert event.dialog is not None
    pair.wire = lambda line, _data: "200 SUBSCRIBE" not in line
    pair.bob.endpoint.open_usage(event.dialog)
    pair.bob.respond(event.transaction, 200, headers=(("Expires", "60"),))
    pair.settle()
    notify = (("Event", "presence"), ("Subscription-State", "active"))
    pair.bob.in_dialog(event.dialog, "NOTIFY", headers=notify)
    pair.settle()
    heard = pair.alice.event(RequestReceived)
    assert heard.in_dialog and heard.dialog is not None and heard.request.method == "NOTIFY"
    pair.alice.respond(heard.transaction, 200)
    pair.settle()
    assert pair.bob.event(ResponseReceived).response.status == 200
    pair.alice.endpoint.open_usage(heard.dialog)
    pair.alice.endpoint.forget_notify(request)
    pair.alice.in_dialog(heard.dialog, "SUBSCRIBE", headers=(("Event", "presence"), ("Expires", "0")))
    pair.settle()
    assert pair.bob.event(RequestReceived).dialog == event.dialog
    pair.bob.respond(pair.bob.event(RequestReceived).transaction, 200)
    pair.settle()
    pair.bob.take(pair.bob.endpoint.close_usage(event.dialog, 1.0))
    pair.alice.take(pair.alice.endpoint.close_usage(heard.dialog, 1.0))
    assert pair.alice.leaks() == pair.bob.leaks() == (0, 0)


@pytest.mark.rfc(
    "6665",
    "4.1.3",
    "Upon receiving a NOTIFY request, the subscriber should check that it matches at least one of its outstanding "
    "subscriptions; if not, it MUST return a 481 (Subscription does not exist) response …",
)
def test_a_notify_for_nothing_that_we_subscribed_to_gets_481() -> None:
    side = Side()
    side.receive(request_bytes("NOTIFY", "Event: presence", "Subscription-State: active", to_tag="unknown"))
    assert side.labels() == ["481 NOTIFY"] and side.names() == []


@pytest.mark.rfc(
    "6665",
    "4.2.1.1",
    "In particular, notifiers MUST NOT wait for a user response before returning a final response to a SUBSCRIBE "
    "request.",
)
def test_a_refused_subscribe_leaves_no_dialog() -> None:
    side = Side()
    side.receive(request_bytes("SUBSCRIBE", "Event: what", "Contact: <sip:alice@10.0.0.1>"))
    event = side.event(RequestReceived)
    assert event.dialog is not None and side.endpoint.dialog_count == 1
    side.respond(event.transaction, 489)
    assert side.endpoint.dialog_count == 0


def test_a_bye_leaves_the_dialog_to_the_subscription() -> None:
    """RFC 5057 §4.2: a dialog goes with its last usage, so that the NOTIFY of a transfer finds it after the BYE."""
    side = Side()
    side.receive(request_bytes("INVITE"))
    invite = side.event(RequestReceived)
    assert invite.dialog is not None
    side.respond(invite.transaction, 200)
    tag = side.last().to.tag or ""
    side.receive(request_bytes("ACK", branch="z9hG4bKa", to_tag=tag))
    side.endpoint.open_usage(invite.dialog)
    side.receive(request_bytes("BYE", branch="z9hG4bKb", to_tag=tag, cseq=2))
    side.respond(side.event(RequestReceived).transaction, 200)
    side.names()
    assert side.endpoint.dialog_count == 1
    side.receive(request_bytes("INVITE", branch="z9hG4bKi", to_tag=tag, cseq=3))
    assert side.labels()[-1] == "481 INVITE"
    side.in_dialog(invite.dialog, "NOTIFY", headers=(("Event", "refer"), ("Subscription-State", "active")))
    assert side.labels()[-1] == "NOTIFY"
    side.take(side.endpoint.close_usage(invite.dialog, 1.0))
    assert side.names() == ["DialogEnded"] and side.endpoint.dialog_count == 0


@pytest.mark.rfc(
    "6665",
    "4.2.2",
    "If the NOTIFY transaction fails due to the receipt of a 404, 405, 410, 416, 480-485, 489, 501, or 604 response "
    "to the NOTIFY request, the notifier MUST remove the corresponding subscription.",
)
def test_481_to_a_notify_does_not_end_the_call_in_the_same_dialog() -> None:
    side = Side()
    side.receive(request_bytes("INVITE"))
    invite = side.event(RequestReceived)
    side.respond(invite.transaction, 200)
    tag = side.last().to.tag or ""
    side.receive(request_bytes("ACK", branch="z9hG4bKa", to_tag=tag))
    side.in_dialog(invite.dialog, "NOTIFY", headers=(("Event", "refer"), ("Subscription-State", "active")))
    side.receive(side.peer_response(481))
    assert side.endpoint.dialog_count == 1
    assert side.event(ResponseReceived).response.status == 481
