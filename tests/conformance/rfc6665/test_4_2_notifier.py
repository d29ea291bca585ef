"""RFC 6665 §4.2: the notifier's machine, every state with every input, and what a watcher's time line is."""

from __future__ import annotations

from itertools import product

import pytest

from sipcore.errors import ParseError
from sipcore.subscription import (
    NOTIFIER_TRANSITIONS,
    Action,
    Delivery,
    EventField,
    Input,
    NotifierSubscription,
    SubscriptionStateField,
)

A, D = Action, Delivery


def subscription(interval: float = 1.0) -> NotifierSubscription:
    return NotifierSubscription(EventField("presence"), interval)


@pytest.mark.rfc(
    "6665",
    "4.2.1.2",
    "Upon successfully accepting or refreshing a subscription, notifiers MUST send a NOTIFY request immediately to "
    "communicate the current resource state to the subscriber.",
)
@pytest.mark.rfc("6665", "4.2.1.3")
def test_a_notify_goes_at_once_after_the_2xx() -> None:
    """ "notifiers MUST send a NOTIFY message immediately upon accepting a subscription"."""
    watched = subscription()
    assert watched.subscribed(600, 0.0) == (A.NOTIFY,)
    assert str(watched.field(0.0)) == "active;expires=600"
    assert watched.answered(200, 0.1) == (A.REST,)
    # So does a refresh, in the middle of the pause between two changes.
    assert watched.subscribed(300, 0.2) == (A.NOTIFY,)


def test_at_most_one_notify_is_under_way_and_the_newest_state_wins() -> None:
    watched = subscription()
    watched.subscribed(600, 0.0)
    assert [watched.changed(0.0), watched.changed(0.0)] == [(), ()]
    assert watched.answered(200, 0.2) == (A.REST,)
    assert watched.changed(0.3) == ()
    assert watched.next_deadline() == 1.2
    assert watched.due(1.2) == (A.NOTIFY,)
    assert watched.answered(200, 1.3) == (A.REST,)
    assert watched.due(2.3) == () and watched.state is D.IDLE


@pytest.mark.rfc(
    "6665",
    "4.2.1.4",
    'When removing a subscription, the notifier SHOULD send a NOTIFY request with a "Subscription-State" value of '
    '"terminated" … the "Subscription-State" header field SHOULD contain a "reason=timeout" parameter.',
)
def test_a_subscription_that_runs_out_ends_with_a_notify_that_says_timeout() -> None:
    watched = subscription()
    watched.subscribed(60, 0.0)
    watched.answered(200, 0.1)
    watched.due(1.1)
    assert watched.next_deadline() == 60.0
    assert watched.due(60.0) == (A.NOTIFY_LAST,)
    assert str(watched.field(60.0)) == "terminated;reason=timeout"
    assert watched.answered(200, 60.1) == (A.CLOSE,)


@pytest.mark.rfc("6665", "4.4.3")
def test_a_fetch_is_one_notify() -> None:
    watched = subscription()
    assert watched.subscribed(0, 0.0) == (A.NOTIFY_LAST,)
    assert watched.answered(200, 0.1) == (A.CLOSE,) and watched.state is D.TERMINATED


@pytest.mark.rfc(
    "6665",
    "4.2.2",
    "If the NOTIFY transaction fails due to the receipt of a 404, 405, 410, 416, 480-485, 489, 501, or 604 response "
    "to the NOTIFY request, the notifier MUST remove the corresponding subscription.",
)
@pytest.mark.parametrize("status", [481, 404, None])
def test_a_refused_notify_ends_the_subscription(status: int | None) -> None:
    watched = subscription()
    watched.subscribed(600, 0.0)
    assert watched.answered(status, 0.1) == (A.CLOSE,)
    assert watched.changed(1.0) == ()


@pytest.mark.rfc(
    "5057",
    "5.1",
    "If the response contains a Retry-After header field value, the server thinks the condition is temporary, and the "
    "request can be retried after the indicated interval.",
)
def test_a_watcher_that_says_retry_after_is_notified_later() -> None:
    watched = subscription()
    watched.subscribed(600, 0.0)
    assert watched.answered(503, 0.1, retry_after=5.0) == (A.REST,)
    assert watched.next_deadline() == pytest.approx(5.1)
    assert watched.due(5.1) == (A.NOTIFY,)


def test_a_subscription_that_ends_during_a_notify_says_so_after_it() -> None:
    watched = subscription()
    watched.subscribed(600, 0.0)
    assert watched.end("noresource", 0.1) == () and watched.state is D.SENDING_LAST
    assert watched.answered(200, 0.2) == (A.NOTIFY_LAST,)
    assert str(watched.field(0.2)) == "terminated;reason=noresource"


@pytest.mark.parametrize(("state", "input_"), list(product(Delivery, Input)))
def test_every_state_takes_every_input(state: Delivery, input_: Input) -> None:
    watched = subscription()
    watched.state = state
    expected = NOTIFIER_TRANSITIONS.get((state, input_), (state, ()))
    assert (watched._step(input_, 1.0), watched.state) == (expected[1], expected[0])
    if state is not D.TERMINATED:
        assert A.NOTIFY not in expected[1] or state not in (D.SENDING, D.SENDING_STALE, D.ENDING)


@pytest.mark.rfc("6665", "8.4", 'Event = ( "Event" / "o" ) HCOLON event-type *( SEMI event-param )')
@pytest.mark.parametrize(
    ("text", "package", "id_"),
    [
        ("presence", "presence", None),
        ("refer;id=93809824", "refer", "93809824"),
        ("Dialog ; sla ; id=a", "dialog", "a"),
    ],
)
def test_event_is_a_package_and_an_id(text: str, package: str, id_: str | None) -> None:
    assert EventField.parse(text) == EventField(package, id_)


@pytest.mark.parametrize("text", ["", " ;id=1", "a b", "x" * 65, "a,b"])
def test_what_is_no_event_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        EventField.parse(text)


@pytest.mark.rfc(
    "6665",
    "8.4",
    'Subscription-State = "Subscription-State" HCOLON substate-value *( SEMI subexp-params )',
)
def test_subscription_state_is_read_and_written() -> None:
    text = "terminated;reason=probation;retry-after=30"
    assert str(SubscriptionStateField.parse(text)) == text
    assert SubscriptionStateField.parse("Active ;expires=x") == SubscriptionStateField("active")
    with pytest.raises(ParseError):
        SubscriptionStateField.parse(";expires=1")


@pytest.mark.rfc(
    "6665",
    "4.2.1.4",
    "As with the initial subscription, the server MAY shorten the amount of time until expiration but MUST NOT "
    "increase it.",
)
def test_a_refresh_sets_the_time_that_is_granted_and_no_more() -> None:
    watched = subscription()
    watched.subscribed(600, 0.0)
    watched.answered(200, 0.1)
    watched.subscribed(60, 10.0)
    watched.answered(200, 10.1)
    assert str(watched.field(10.1)) == "active;expires=60"
    watched.due(12.0)
    assert watched.next_deadline() == 70.0
