"""Lamps and messages of an office: subscriptions to colleagues' calls and the own mailbox, MESSAGE to all phones."""

from __future__ import annotations

import re

import pytest

from tests.sim.office import Office
from voipat import Mailbox

pytestmark = pytest.mark.usefixtures("nothing_left")


class Counts:
    """A mailbox for everybody."""

    def __init__(self) -> None:
        self.new = 0

    def mailbox_counts(self, tenant: str, extension: str) -> Mailbox:
        return Mailbox(new=self.new, old=1)


def states(body: bytes) -> list[str]:
    return re.findall(r"<state>(\w+)</state>", body.decode())


@pytest.mark.rfc(
    "6665",
    "5.3.2",
    "Any event package that supports delta changes to states MUST include a version number that increases by "
    "exactly one for each NOTIFY transaction in a subscription.",
)
@pytest.mark.rfc("4235", "4.3")
def test_a_lamp_follows_a_call(seed: int) -> None:
    """Full state first, version 0, then what changed, each version one higher."""
    with Office(seed=seed, mailboxes=Counts()) as office:
        _alice, bob, carol = office.phones(3)
        bob.answers(after=2.0)
        carol.notified.clear()
        assert carol.subscribe("dialog", "1002") == []
        office.world.run(until=office.world.now + 1.0)
        call = office.world.phones[0].dial("1002").hangs_up(after=2.0)
        office.world.run(until=office.world.now + 8.0)
        assert call.is_over
        bodies = [each.body for each in carol.notified]
        assert [re.findall(rb'version="(\d+)" state="(\w+)"', body)[0] for body in bodies] == [
            (b"0", b"full"),
            *[(str(number).encode(), b"partial") for number in range(1, len(bodies))],
        ]
        seen = [state for body in bodies for state in states(body)]
        assert seen[-2:] == ["confirmed", "terminated"] and "early" in seen
        assert b'entity="sip:1002@office.test"' in bodies[0] and b"sip:1001@office.test" in bodies[1]


def test_who_asks_once_for_what_it_watches_goes_on_watching_it(seed: int) -> None:
    with Office(seed=seed, mailboxes=Counts()) as office:
        _alice, bob, carol = office.phones(3)
        bob.answers(after=1.0)
        carol.subscribe("dialog", "1002")
        office.world.run(until=office.world.now + 1.0)
        carol.subscribe("dialog", "1002", expires=0)
        office.world.run(until=office.world.now + 1.0)
        assert len(office.app.subscriptions) == 1
        carol.notified.clear()
        office.world.phones[0].dial("1002").hangs_up(after=1.0)
        office.world.run(until=office.world.now + 8.0)
        assert [state for each in carol.notified for state in states(each.body)][-1] == "terminated"


@pytest.mark.parametrize("accept", ["application/*", "text/plain, */*", "application/dialog-info+xml;q=0.5"])
def test_a_watcher_may_accept_a_range_of_bodies(seed: int, accept: str) -> None:
    with Office(seed=seed, mailboxes=Counts()) as office:
        (alice,) = office.phones(1)
        assert alice.subscribe("dialog", "1002", headers=(("Accept", accept),)) == []
        office.world.run(until=office.world.now + 1.0)
        assert len(office.app.subscriptions) == 1


@pytest.mark.rfc(
    "6665",
    "4.2.1.1",
    "In particular, notifiers MUST NOT wait for a user response before returning a final response to a SUBSCRIBE "
    "request.",
)
def test_what_cannot_be_watched_is_refused(seed: int) -> None:
    with Office(seed=seed, mailboxes=Counts()) as office:
        (alice,) = office.phones(1)
        asked = [
            alice.subscribe("conference", "1002"),
            alice.subscribe("dialog", "4711"),
            alice.subscribe("dialog", "sip:1002@shop.test"),
            alice.subscribe("dialog", "1002", expires=5),
            alice.subscribe("dialog", "1002", headers=(("Accept", "text/plain"),)),
        ]
        office.world.run(until=office.world.now + 1.0)
        assert asked == [[489], [404], [404], [423], [406]]
        ladder = [rung.data for rung in office.world.network.ladder]
        assert any(b"Allow-Events: dialog, message-summary, presence, refer, reg" in data for data in ladder)
        assert any(b"Min-Expires: 60" in data for data in ladder)
        stranger = office.phone(1002, password="wrong").subscribe("dialog", "1001")
        office.world.run(until=office.world.now + 1.0)
        assert stranger == [401] and len(office.app.subscriptions) == 0
        office.world.run()
        assert office.world.leaks() == []


@pytest.mark.rfc("6665", "4.4.3")
def test_a_fetch_is_told_once(seed: int) -> None:
    with Office(seed=seed, mailboxes=Counts()) as office:
        alice, _bob = office.phones(2)
        alice.notified.clear()
        assert alice.subscribe("dialog", "1002", expires=0) == []
        office.world.run(until=office.world.now + 1.0)
        (notify,) = alice.notified
        assert notify.headers.get("Subscription-State") == "terminated;reason=timeout"
        office.world.run()
        assert len(office.app.subscriptions) == 0 and office.world.leaks() == []


def test_a_phone_that_was_restarted_does_not_pile_up_subscriptions(seed: int) -> None:
    with Office(seed=seed, mailboxes=Counts()) as office:
        alice, _bob = office.phones(2)
        for _ in range(5):
            alice.subscribe("dialog", "1002")
            office.world.run(until=office.world.now + 1.0)
        assert len(office.app.subscriptions) == 1
        assert office.app.counters["subscriptions_replaced"] == 4
        office.world.run(until=office.world.now + 7300.0)
        assert len(office.app.subscriptions) == 0
        told = [each for each in alice.notified if each.headers.get("Event") == "dialog"]
        assert told[-1].headers.get("Subscription-State") == "terminated;reason=timeout"


@pytest.mark.rfc("3842", "5.2")
def test_the_mailbox_lamp_is_right_after_a_message_and_after_register(seed: int) -> None:
    counts = Counts()
    with Office(seed=seed, mailboxes=counts) as office:
        (alice,) = office.phones(1)
        assert office.lamps is not None
        assert alice.notified[0].body == (
            b"Messages-Waiting: no\r\nMessage-Account: sip:1001@office.test\r\nVoice-Message: 0/1 (0/0)\r\n"
        )
        alice.subscribe("message-summary", "1001")
        office.world.run(until=office.world.now + 1.0)
        counts.new = 2
        office.lamps.mailbox_changed("office.test", "1001")
        office.world.run(until=office.world.now + 2.0)
        assert alice.notified[-1].body.startswith(b"Messages-Waiting: yes") and b"2/1 (0/0)" in alice.notified[-1].body


@pytest.mark.rfc(
    "6665",
    "5.4.10",
    'Each event package is expected to define a requirement ("SHOULD" or "MUST" strength) that defines an '
    "absolute maximum on the rate at which notifications are allowed to be generated by a single notifier.",
)
def test_a_storm_of_changes_is_a_bounded_rate_of_notifies(seed: int) -> None:
    """1,000 subscriptions, 50 changes a second for 100 watchers each: NOTIFYs at the rate, the last one right."""
    counts = Counts()
    with Office(seed=seed, extensions=100, mailboxes=counts) as office:
        lamps = office.lamps
        assert lamps is not None
        watchers = office.phones(100)
        targets = [str(number) for number in range(1001, 1011)]
        for phone in watchers:
            for target in targets:
                phone.subscribe("message-summary", target)
        office.world.run(until=office.world.now + 5.0)
        assert len(office.app.subscriptions) == 1000
        before = office.app.counters["notifies_sent"]
        start = office.world.now

        def change(number: int) -> None:
            counts.new = number
            lamps.mailbox_changed("office.test", targets[number % 10])

        for number in range(1, 201):
            office.world.at(start + number * 0.02, lambda number=number: change(number))
        office.world.run(until=start + 4.0)
        sent = office.app.counters["notifies_sent"] - before
        assert 1500 < sent <= 4 * 500 + 50
        for target in targets:
            lamps.mailbox_changed("office.test", target)
        office.world.run(until=start + 10.0)
        for phone in watchers:
            newest = {each.from_.uri.user: each.body for each in phone.notified}
            assert all(b"200/1" in newest[target] for target in targets)


def test_a_message_goes_to_every_phone_of_a_user(seed: int) -> None:
    with Office(seed=seed, mailboxes=Counts()) as office:
        alice, bob = office.phones(2)
        second = office.phone(1002).register()
        office.world.run(until=office.world.now + 1.0)
        answers = [
            alice.says("1002", "lunch?"),
            alice.says("4711", "lunch?"),
            alice.says("1005", "lunch?"),
            alice.says("sip:1002@shop.test", "lunch?"),
            alice.says("1002", "x" * 1301),
            alice.says("1002", "x", headers=(("Content-Type", "image/png"),)),
        ]
        office.world.run(until=office.world.now + 2.0)
        assert answers == [[200], [480], [480], [404], [413], [415]]
        assert [phone.messages[0].body for phone in (bob, second)] == [b"lunch?", b"lunch?"]
        assert "sip:1001@office.test" in str(bob.messages[0].from_)
        office.world.run()
        assert office.world.leaks() == []
