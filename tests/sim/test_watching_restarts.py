"""Lamps go on when the server starts again, and when the connection of a phone is another one (B12, B15)."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from pbx.directory import Directory
from pbx.tenants import ExtensionConfig, TenantConfig
from sipcore.message import Request
from tests.sim.office import DOMAIN, Office
from tests.sim.test_watching import Counts, states
from voipat.testing import Phone

pytestmark = pytest.mark.usefixtures("nothing_left")


def watching(office: Office, phone: Phone, package: str, target: str) -> None:
    assert phone.subscribe(package, target) == []
    office.world.run(until=office.world.now + 1.0)
    phone.notified.clear()


def told(phone: Phone, package: str) -> list[Request]:
    return [each for each in phone.notified if each.headers.get("Event") == package]


def after(office: Office, seconds: float) -> None:
    office.world.run(until=office.world.now + seconds)


def rewrite(office: Office, **fields: object) -> None:
    """Let the rows of the store say something else."""
    for name, row in office.store.subscriptions.items():
        office.store.subscriptions[name] = row._replace(fields={**row.fields, **fields})


def test_after_a_restart_each_watcher_is_told_how_it_is_within_two_seconds(seed: int) -> None:
    counts = Counts()
    with Office(seed=seed, mailboxes=counts) as office:
        alice, bob, carol = office.phones(3)
        bob.answers(after=1.0)
        watching(office, carol, "dialog", "1002")
        watching(office, alice, "message-summary", "1001")
        counts.new = 3
        office.restart()
        after(office, 2.0)
        assert [states(each.body) for each in told(carol, "dialog")] == [[]]
        assert [b"3/1" in each.body for each in told(alice, "message-summary")] == [True]
        assert office.app.counters["subscriptions_restored"] == 2
        carol.notified.clear()
        alice.dial("1002").hangs_up(after=3.0)
        after(office, 8.0)
        bodies = [each.body for each in told(carol, "dialog")]
        assert [state for body in bodies for state in states(body)][-2:] == ["confirmed", "terminated"]
        versions = [int(re.findall(rb'version="(\d+)"', body)[0]) for body in bodies]
        assert versions == list(range(versions[0], versions[0] + len(bodies)))


@pytest.mark.rfc(
    "4235",
    "4.3",
    "If the document contained full state, the value of the version is set to the value in the document.",
)
def test_what_a_restarted_server_sends_has_higher_numbers_and_the_full_state(seed: int) -> None:
    with Office(seed=seed, mailboxes=Counts()) as office:
        _alice, _bob, carol = office.phones(3)
        carol.notified.clear()
        carol.subscribe("dialog", "1002")
        after(office, 1.0)
        for _ in range(3):
            office.restart()
            after(office, 2.0)
        notified = told(carol, "dialog")
        numbers = [each.cseq.number for each in notified]
        versions = [int(re.findall(rb'version="(\d+)"', each.body)[0]) for each in notified]
        assert len(notified) == 4 and len({each.call_id for each in notified}) == 1
        assert numbers == sorted(set(numbers)) and versions == sorted(set(versions))
        assert all(b'state="full"' in each.body for each in notified)


def test_a_watcher_whose_time_ends_while_the_server_is_down_is_forgotten(seed: int) -> None:
    with Office(seed=seed, mailboxes=Counts()) as office:
        _alice, _bob, carol = office.phones(3)
        watching(office, carol, "dialog", "1002")
        (row,) = office.store.subscriptions.values()
        office.store.subscriptions[row.id] = row._replace(expires_at=office.world.wallclock() - 1.0)
        office.restart()
        after(office, 2.0)
        assert (len(office.app.subscriptions), office.store.subscriptions, told(carol, "dialog")) == (0, {}, [])


@pytest.mark.parametrize("by", [-7200.0, 7200.0])
def test_a_clock_that_was_set_neither_ends_nor_prolongs_what_is_watched(seed: int, by: float) -> None:
    """F11: by two hours, and a subscription lasts for one."""
    with Office(seed=seed, mailboxes=Counts()) as office:
        alice, _bob, carol = office.phones(3)
        watching(office, carol, "dialog", "1002")
        office.world.set_clock(by)
        alice.register()
        after(office, 1.0)
        office.restart()
        after(office, 2.0)
        assert len(told(carol, "dialog")) == 1
        (row,) = office.store.subscriptions.values()
        assert 3590 < row.expires_at - office.world.wallclock() <= 3600
        after(office, 3600.0)
        assert (len(office.app.subscriptions), office.store.subscriptions) == (0, {})


def test_a_watcher_that_is_gone_is_forgotten_after_the_restart(seed: int) -> None:
    """It answers 481, as a phone that was restarted too."""
    with Office(seed=seed, mailboxes=Counts()) as office:
        _alice, _bob, carol = office.phones(3)
        watching(office, carol, "dialog", "1002")
        rewrite(office, call_id="another")
        office.restart()
        after(office, 2.0)
        assert (len(office.app.subscriptions), office.store.subscriptions) == (0, {})


@pytest.mark.parametrize("broken", [{}, {"routes": 3}, {"event": "\n"}, {"local": ["127.0.0.1"]}])
def test_rows_that_cannot_be_read_are_left_out(seed: int, broken: dict[str, object]) -> None:
    with Office(seed=seed, mailboxes=Counts()) as office:
        alice, _bob, carol = office.phones(3)
        watching(office, carol, "dialog", "1002")
        watching(office, alice, "dialog", "1002")
        name, row = next(iter(office.store.subscriptions.items()))
        office.store.subscriptions[name] = row._replace(fields={**row.fields, **broken} if broken else {})
        office.restart()
        after(office, 2.0)
        assert len(office.app.subscriptions) == 1 and len(told(alice, "dialog")) == 1
        assert office.app.endpoint.dialog_count == 1


def test_what_is_watched_no_more_is_said_to_be_gone(seed: int) -> None:
    with Office(seed=seed, mailboxes=Counts()) as office:
        _alice, _bob, carol = office.phones(3)
        watching(office, carol, "dialog", "1002")
        rewrite(office, user="4711")
        office.restart()
        after(office, 2.0)
        (notify,) = told(carol, "dialog")
        assert notify.headers.get("Subscription-State") == "terminated;reason=noresource"
        assert (len(office.app.subscriptions), office.store.subscriptions) == (0, {})


def test_the_end_of_a_subscription_is_the_end_of_its_row(seed: int) -> None:
    with Office(seed=seed, mailboxes=Counts()) as office:
        _alice, _bob, carol = office.phones(3)
        watching(office, carol, "dialog", "1002")
        watching(office, carol, "dialog", "1002")
        assert len(office.store.subscriptions) == 1
        carol.subscribe("dialog", "1002", expires=0)
        after(office, 1.0)
        assert len(office.store.subscriptions) == 1
        after(office, 7300.0)
        assert office.store.subscriptions == {}


def test_a_phone_on_tcp_is_told_when_it_has_registered_again(seed: int) -> None:
    """Its connection ended with the process before; nothing is sent to where nobody listens."""
    with Office(seed=seed, mailboxes=Counts()) as office:
        alice, bob = office.phones(2)
        bob.answers(after=1.0)
        carol = office.phone(1003, transport="TCP").register()
        after(office, 1.0)
        watching(office, carol, "dialog", "1002")
        office.restart()
        alice.dial("1002").hangs_up(after=30.0)
        after(office, 10.0)
        assert told(carol, "dialog") == [] and len(office.app.subscriptions) == 1
        carol.register()
        after(office, 2.0)
        assert [states(each.body) for each in told(carol, "dialog")] == [["confirmed"]]
        after(office, 30.0)
        assert states(told(carol, "dialog")[-1].body) == ["terminated"]


def test_a_phone_on_tcp_that_never_comes_back_is_forgotten_in_its_time(seed: int) -> None:
    with Office(seed=seed, mailboxes=Counts()) as office:
        carol = office.phone(1003, transport="TCP").register(refresh=False)
        after(office, 1.0)
        watching(office, carol, "dialog", "1002")
        office.restart()
        carol.vanish()
        after(office, 3700.0)
        assert (len(office.app.subscriptions), office.store.subscriptions) == (0, {})


def reloaded(office: Office, **changes: object) -> None:
    """The tenant with other values, as a reload puts it in force."""
    assert office.lamps is not None
    before = office.directory.current
    tenant = replace(before.tenants[DOMAIN], **changes)  # type: ignore[arg-type]
    office.directory.swap(Directory([tenant], default_tenant=DOMAIN))
    office.app.subscriptions.review()
    office.lamps.reloaded(before)


def without(office: Office, number: str) -> dict[str, ExtensionConfig]:
    return {key: value for key, value in office.directory.current.tenants[DOMAIN].extensions.items() if key != number}


def test_who_watches_what_a_reload_took_away_is_told_that_it_is_gone(seed: int) -> None:
    with Office(seed=seed, mailboxes=Counts()) as office:
        alice, _bob, carol = office.phones(3)
        watching(office, carol, "dialog", "1002")
        watching(office, alice, "dialog", "1003")
        reloaded(office, extensions=without(office, "1002"))
        after(office, 2.0)
        (notify,) = told(carol, "dialog")
        assert notify.headers.get("Subscription-State") == "terminated;reason=noresource"
        assert told(alice, "dialog") == [] and len(office.app.subscriptions) == 1


def test_who_is_no_user_any_more_watches_nobody(seed: int) -> None:
    """H12: neither in the running server nor after the next start."""
    with Office(seed=seed, mailboxes=Counts()) as office:
        _alice, _bob, carol = office.phones(3)
        watching(office, carol, "dialog", "1002")
        rows = dict(office.store.subscriptions)
        reloaded(office, extensions=without(office, "1003"))
        after(office, 2.0)
        (notify,) = told(carol, "dialog")
        assert notify.headers.get("Subscription-State") == "terminated;reason=rejected"
        assert (len(office.app.subscriptions), office.store.subscriptions) == (0, {})
        office.store.subscriptions |= rows
        office.restart()
        after(office, 2.0)
        assert (len(office.app.subscriptions), office.store.subscriptions) == (0, {})
        assert len(told(carol, "dialog")) == 1


def test_the_lamp_of_a_mailbox_that_a_reload_took_away_goes_out(seed: int) -> None:
    """Also that of a phone which never subscribed."""
    counts = Counts()
    counts.new = 2
    with Office(seed=seed, mailboxes=counts) as office:
        alice, bob = office.phones(2)
        assert b"Messages-Waiting: yes" in bob.notified[-1].body
        watching(office, alice, "message-summary", "1001")
        before = office.directory.current.tenants[DOMAIN].extensions
        reloaded(office, extensions={key: replace(each, mailbox=None) for key, each in before.items()})
        after(office, 2.0)
        assert b"Messages-Waiting: no" in bob.notified[-1].body
        assert alice.notified[-1].headers.get("Subscription-State") == "terminated;reason=noresource"


def test_a_tenant_that_a_reload_took_away_watches_nothing(seed: int) -> None:
    with Office(seed=seed, mailboxes=Counts()) as office:
        _alice, _bob, carol = office.phones(3)
        watching(office, carol, "dialog", "1002")
        other = TenantConfig("other.test", ("MD5",), {})
        office.directory.swap(Directory([other], default_tenant="other.test"))
        office.app.subscriptions.review()
        after(office, 2.0)
        assert (len(office.app.subscriptions), office.store.subscriptions) == (0, {})
