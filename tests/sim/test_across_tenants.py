"""Two tenants with the same numbers on one server: whatever one asks about the other, it is as if nobody were there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pbx.directory import Directory
from pbx.objects.people import Mailbox as MailboxConfig
from pbx.tenants import ExtensionConfig, TenantConfig, ha1_of
from sipcore.uri import Uri
from tests.sim.office import Office
from voipat import Mailbox
from voipat.testing import Phone, PhoneCall

pytestmark = pytest.mark.usefixtures("nothing_left")

NUMBERS = ("1001", "1002", "1003")


class NoMail:
    def mailbox_counts(self, tenant: str, extension: str) -> Mailbox:
        return Mailbox()


def tenant(domain: str) -> TenantConfig:
    extensions = {
        number: ExtensionConfig(
            number,
            digest=("MD5",),
            mailbox=MailboxConfig(),
            ha1=(("MD5", ha1_of(number, domain, f"pass-{number}", "MD5")),),
        )
        for number in NUMBERS
    }
    return TenantConfig(domain, digest=("MD5",), extensions=extensions)


@contextmanager
def two_tenants(seed: int) -> Iterator[tuple[Office, Phone, Phone]]:
    """An office, and one phone of each tenant: the one that asks, and 1002 of the other tenant."""
    office = Office(seed=seed, mailboxes=NoMail())
    office.directory.swap(Directory([tenant("office.test"), tenant("shop.test")]))
    with office:
        asker = office.world.phone("sip:1001@office.test", password="pass-1001").register()
        victim = office.world.phone("sip:1002@shop.test", password="pass-1002").register()
        office.world.run(until=1.0)
        assert asker.is_registered and victim.is_registered
        victim.notified.clear()
        yield office, asker, victim


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("SUBSCRIBE", (("Event", "dialog"),), 404),
        ("SUBSCRIBE", (("Event", "presence"),), 404),
        ("SUBSCRIBE", (("Event", "message-summary"),), 404),
        ("MESSAGE", (("Content-Type", "text/plain"),), 404),
        ("PUBLISH", (("Event", "presence"), ("Content-Type", "application/pidf+xml")), 404),
        ("REFER", (("Refer-To", "<sip:1003@shop.test>"),), 603),
    ],
)
def test_another_tenants_user_is_nobody(
    seed: int, method: str, headers: tuple[tuple[str, str], ...], status: int
) -> None:
    """H12. A user that is there and one that is not look the same, and the phone hears nothing."""
    with two_tenants(seed) as (office, asker, victim):
        statuses: list[int] = []
        for target in ("sip:1002@shop.test", "sip:4711@shop.test"):
            asker.request(
                method,
                target,
                lambda response: statuses.append(0 if response is None else response.status),
                headers=headers,
                body=b"hello" if method in ("MESSAGE", "PUBLISH") else b"",
            )
        office.world.run(until=office.world.now + 1.0)
        assert statuses == [status, status]
        assert victim.messages == [] and victim.notified == [] and victim.received == []
        assert len(office.app.subscriptions) == 0


def test_a_user_cannot_speak_as_another_tenants_user(seed: int) -> None:
    """The same number in the other domain has another realm: these credentials are none there."""
    with two_tenants(seed) as (office, asker, victim):
        liar = office.world.phone("sip:1003@shop.test", password="wrong-one")
        statuses = [liar.subscribe("dialog", "1002"), liar.says("1002", "hello")]
        office.world.run(until=office.world.now + 1.0)
        assert statuses == [[401], [401]] and victim.messages == []
        assert asker.is_registered


def test_a_call_of_another_tenant_is_not_replaced(seed: int) -> None:
    """Who knows the tags of a call of another tenant still cannot take its place."""
    with two_tenants(seed) as (office, asker, victim):
        third = office.world.phone("sip:1003@shop.test", password="pass-1003").register()
        office.world.run(until=office.world.now + 1.0)
        victim.answers(after=0.5)
        call = third.dial("1002")
        office.world.run(until=office.world.now + 2.0)
        assert call.was_answered
        replaces = call.replaces()
        stolen = asker.dial("1002", headers=(("Replaces", str(replaces)),))
        office.world.run(until=office.world.now + 2.0)
        assert stolen.status == 481 and not call.is_over
        call.hang_up()
        office.world.run()


@contextmanager
def call_of_the_other(office: Office, victim: Phone) -> Iterator[PhoneCall]:
    """1003 of the other tenant calls the victim, who answers or rings as it was told; nobody ends it but they."""
    third = office.world.phone("sip:1003@shop.test", password="pass-1003").register()
    office.world.run(until=office.world.now + 1.0)
    call = third.dial("1002")
    office.world.run(until=office.world.now + 2.0)
    yield call
    office.world.run(until=office.world.now + 2.0)
    assert not call.is_over
    call.hang_up()
    office.world.run()


def own_call(office: Office, asker: Phone) -> PhoneCall:
    colleague = office.world.phone("sip:1002@office.test", password="pass-1002").register().answers(after=0.1)
    office.world.run(until=office.world.now + 1.0)
    call = asker.dial("1002")
    office.world.run(until=office.world.now + 2.0)
    assert call.was_answered and colleague.received
    return call


@pytest.mark.parametrize("target", ["sip:1002@shop.test", "sip:4711@shop.test"])
def test_a_call_of_ones_own_is_not_transferred_into_another_tenant(seed: int, target: str) -> None:
    with two_tenants(seed) as (office, asker, victim):
        call = own_call(office, asker)
        call.refer(Uri.parse(target))
        office.world.run(until=office.world.now + 2.0)
        assert call.refer_statuses == [603] and not call.is_over and victim.received == []
        call.hang_up()
        office.world.run()


@pytest.mark.parametrize("domain", ["office.test", "shop.test"])
def test_a_call_of_ones_own_does_not_take_the_place_of_a_call_of_another_tenant(seed: int, domain: str) -> None:
    with two_tenants(seed) as (office, asker, victim):
        call = own_call(office, asker)
        victim.answers(after=0.5)
        with call_of_the_other(office, victim) as theirs:
            assert theirs.was_answered
            call.refer(Uri.parse(f"sip:1002@{domain}"), theirs)
            office.world.run(until=office.world.now + 2.0)
            assert call.refer_statuses == [603] and not call.is_over
            call.hang_up()


@pytest.mark.parametrize("side", ["caller", "callee"])
def test_a_ringing_call_of_another_tenant_is_not_replaced(seed: int, side: str) -> None:
    """What rings is taken by RFC 3891's early dialog: by a colleague it is, by another tenant's phone it is not."""
    with two_tenants(seed) as (office, asker, victim):
        victim.rings()
        with call_of_the_other(office, victim) as theirs:
            (ringing,) = victim.received
            assert not theirs.was_answered and not ringing.is_over
            replaces = (theirs if side == "caller" else ringing).replaces()
            assert replaces is not None
            stolen = asker.dial("1002", headers=(("Replaces", str(replaces)),))
            office.world.run(until=office.world.now + 2.0)
            assert stolen.status == 481 and not ringing.is_over
            if side == "callee":
                colleague = office.world.phone("sip:1001@shop.test", password="pass-1001").register()
                office.world.run(until=office.world.now + 1.0)
                taken = colleague.dial("1002", headers=(("Replaces", str(replaces)),))
                office.world.run(until=office.world.now + 2.0)
                assert taken.was_answered and theirs.was_answered and ringing.is_over
