"""3xx: of phones, within their tenant and no further; of trunks, as `redirects` says; ours to a caller."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pbx.directory import Directory
from tests.sim.office import DOMAIN, Office
from tests.sim.test_trunk_calls import invites
from tests.sim.trunk_office import TrunkOffice, trunk
from tests.unit.voipat.test_call import stage
from voipat import Call, Redirected, events, reasons

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.mark.rfc("3261", "21.3.3", "MUST NOT be cached for future transactions")
@pytest.mark.parametrize("status", [300, 301, 302])
def test_a_call_follows_a_phone_to_an_extension_of_its_tenant(seed: int, status: int) -> None:
    with Office(seed=seed) as office:
        alice, bob, carol = office.phones(3)
        bob.redirects("1003", status=status)
        carol.answers(after=1.0)
        call = alice.dial("1002").hears(carol.tone).hangs_up(after=1.0)
        office.world.run()
        assert call.was_answered and not call.unmet and office.world.leaks() == []
        assert office.outcome() == ("answered", 200, "VP-4001", "caller")
        bob.answers(after=1.0)
        again = alice.dial("1002").hears(bob.tone).hangs_up(after=1.0)
        office.world.run()
        assert again.was_answered and not again.unmet and len(carol.received) == 1


def test_the_contacts_are_tried_one_after_another_the_best_first(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob, carol, dave, erin = office.phones(5)
        bob.redirects(f"<sip:1003@{DOMAIN}>;q=0.2", f"<sip:1004@{DOMAIN}>;q=0.9", f"<sip:1005@{DOMAIN}>;q=0.5")
        dave.refuses(486)
        erin.answers(after=1.0)
        call = alice.dial("1002").hangs_up(after=1.0)
        office.world.run()
        assert call.was_answered and erin.received[0].was_answered
        assert dave.received[0].statuses == [486] and carol.received == []


def test_a_phone_that_moved_rings_beside_those_that_did_not(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, carol = office.phone(1001).register(), office.phone(1003).register()
        desk, mobile = (office.phone(1002).register() for _ in range(2))
        office.world.run(until=1.0)
        desk.redirects("1003")
        mobile.answers(after=3.0)
        carol.answers(after=1.0)
        call = alice.dial("1002").hangs_up(after=1.0)
        office.world.run()
        assert call.was_answered and carol.received[0].was_answered
        assert mobile.received[0].is_over and not mobile.received[0].was_answered


@pytest.mark.parametrize(
    "contacts",
    [
        ["<sip:1003@elsewhere.test>"],
        ["<sip:1003@10.0.0.3:5060>"],
        ["<tel:+4930123456>"],
        ["<mailto:x@y.test>"],
        ["<sip:*43@office.test>"],
        ["*"],
        [],
    ],
)
def test_nothing_outside_of_the_tenant_is_called(seed: int, contacts: list[str]) -> None:
    with Office(seed=seed) as office:
        alice, bob, carol = office.phones(3)
        bob.redirects()
        bob.manners = replace(bob.manners, moved_to=tuple(contacts))
        call = alice.dial("1002")
        office.world.run()
        assert call.status == 480 and "VP-3010" in call.warning_ids and carol.received == []


@pytest.mark.parametrize("status", [305, 380])
def test_a_proxy_or_another_service_is_no_other_place(seed: int, status: int) -> None:
    with Office(seed=seed) as office:
        alice, bob, carol = office.phones(3)
        bob.redirects("1003", status=status)
        call = alice.dial("1002")
        office.world.run()
        assert call.status == 480 and carol.received == []


@pytest.mark.rfc("3261", "8.1.3.4", "MUST NOT add any given URI to the target set more than once")
def test_phones_that_redirect_to_each_other_ring_once(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob, carol = office.phones(3)
        bob.redirects("1003")
        carol.redirects("1002")
        call = alice.dial("1002")
        office.world.run()
        assert (len(bob.received), len(carol.received)) == (1, 1)
        assert call.status == 480 and "VP-3010" in call.warning_ids and office.world.leaks() == []


def test_an_extension_that_may_not_redirect(seed: int) -> None:
    with Office(seed=seed) as office:
        tenant = office.directory.current.tenant(DOMAIN)
        fixed = {number: replace(each, redirects="fail") for number, each in tenant.extensions.items()}
        office.directory.swap(Directory([replace(tenant, extensions=fixed)], default_tenant=DOMAIN))
        alice, bob, carol = office.phones(3)
        bob.redirects("1003")
        call = alice.dial("1002")
        office.world.run()
        assert call.status == 480 and carol.received == []


def limited(office: Office, number: str, **keys: int) -> None:
    """Give one extension limits of its own."""
    tenant = office.directory.current.tenant(DOMAIN)
    extensions = {**tenant.extensions, number: replace(tenant.extensions[number], **keys)}
    office.directory.swap(Directory([replace(tenant, extensions=extensions)], default_tenant=DOMAIN))


@pytest.mark.parametrize("limit", ["max_calls", "busy_level"])
def test_a_call_that_a_phone_sends_to_another_takes_a_place_there(seed: int, limit: str) -> None:
    with Office(seed=seed) as office:
        limited(office, "1003", **{limit: 1})
        alice, bob, carol, dave = office.phones(4)
        bob.redirects("1003")
        carol.answers(after=1.0)
        first = alice.dial("1002")
        office.world.run(until=office.world.now + 3.0)
        assert first.was_answered
        admission = office.switchboard.admission
        assert [admission.calls_of(DOMAIN, number) for number in ("1002", "1003")] == [0, 1]
        second = dave.dial("1003")
        third = office.phone(1005).register().dial("1002")
        office.world.run(until=office.world.now + 3.0)
        assert second.status == 486 and not third.was_answered and len(carol.received) == 1
        first.hang_up()
        office.world.run(until=office.world.now + 1.0)
        fourth = dave.dial("1003").hangs_up(after=1.0)
        office.world.run()
        assert fourth.was_answered and admission.calls_of(DOMAIN, "1003") == 0


def test_a_redirected_call_takes_its_place_while_it_rings_and_gives_it_back(seed: int) -> None:
    with Office(seed=seed) as office:
        limited(office, "1003", max_calls=1)
        alice, bob, carol, dave = office.phones(4)
        second_phone = office.phone(1003).register()
        bob.redirects("1003")
        carol.rings()
        second_phone.rings()
        office.world.run(until=office.world.now + 1.0)
        first = alice.dial("1002")
        office.world.run(until=office.world.now + 1.0)
        admission = office.switchboard.admission
        assert admission.calls_of(DOMAIN, "1003") == 1, "two phones of one extension, one place"
        second = dave.dial("1003")
        office.world.run(until=office.world.now + 1.0)
        assert second.status == 486 and len(carol.received) == 1
        carol.received[0].refuse(486)
        office.world.run(until=office.world.now + 1.0)
        assert admission.calls_of(DOMAIN, "1003") == 1, "the other phone still rings"
        first.give_up()
        office.world.run()
        assert admission.calls_of(DOMAIN, "1003") == 0 and office.world.leaks() == []


def test_of_many_redirected_calls_no_more_ring_than_there_is_room_for(seed: int) -> None:
    with Office(seed=seed) as office:
        limited(office, "1003", max_calls=2)
        alice, bob, carol, dave, erin = office.phones(5)
        bob.redirects("1003")
        carol.rings()
        calls = [phone.dial("1002") for phone in (alice, dave, erin)]
        office.world.run(until=office.world.now + 2.0)
        assert len(carol.received) == 2
        assert sorted(call.status or 0 for call in calls) == [180, 180, 486]
        for call in calls:
            if not call.is_over:
                call.give_up()
        office.world.run()
        assert office.switchboard.admission.calls_of(DOMAIN, "1003") == 0


def test_a_contact_without_room_gives_way_to_the_next(seed: int) -> None:
    with Office(seed=seed) as office:
        limited(office, "1003", max_calls=1)
        alice, bob, carol, dave, erin = office.phones(5)
        busy = dave.dial("1003")
        carol.answers(after=0.0)
        office.world.run(until=office.world.now + 1.0)
        bob.redirects(f"<sip:1003@{DOMAIN}>;q=0.9", f"<sip:1005@{DOMAIN}>;q=0.5")
        erin.answers(after=1.0)
        call = alice.dial("1002").hangs_up(after=1.0)
        office.world.run(until=office.world.now + 5.0)
        assert call.was_answered and erin.received[0].was_answered and len(carol.received) == 1
        busy.hang_up()
        office.world.run()
        assert office.world.leaks() == []


# Trunks


def test_a_trunks_redirect_fails_unless_the_trunk_says_otherwise(seed: int) -> None:
    with TrunkOffice([trunk("one"), trunk("two")], seed=seed) as office:
        office.carriers["one"].redirects("<sip:+4930777@10.0.0.2>")
        call = office.phone().register().dial("9123456")
        office.world.run()
        assert call.status == 480 and "VP-3010" in call.warning_ids and invites(office, "two") == []


def test_a_trunk_that_is_followed_gets_no_password_of_ours_elsewhere(seed: int) -> None:
    login = {"username": "me", "password": "secret", "realm": "carrier.test"}
    with TrunkOffice([trunk("one", redirects="follow", **login), trunk("two")], seed=seed) as office:
        office.carriers["one"].redirects("<sip:+4930777@10.0.0.2>")
        office.carriers["two"].answers(after=1.0)
        call = office.phone().register().dial("9123456").hangs_up(after=1.0)
        office.world.run()
        assert call.was_answered
        [invite] = invites(office, "two")
        assert invite.uri_text == "sip:+4930777@10.0.0.2" and str(invite.from_.uri) == "sip:+12025550100@carrier.test"


def test_a_trunk_that_leads_to_itself_ends(seed: int) -> None:
    with TrunkOffice([trunk("one", redirects="follow")], seed=seed) as office:
        office.carriers["one"].redirects("<sip:+4930777@10.0.0.1>", "<sip:+4930778@10.0.0.1>")
        call = office.phone().register().dial("9123456")
        office.world.run()
        assert call.status == 480 and len(invites(office, "one")) == 3


def test_a_trunks_redirect_is_passed_to_the_caller_as_a_number_of_its_tenant(seed: int) -> None:
    with TrunkOffice([trunk("one", redirects="pass")], seed=seed) as office:
        office.carriers["one"].redirects("<sip:+4930777@198.51.100.7>;q=0.5", "<sip:+4930778@198.51.100.7>")
        call = office.phone().register().dial("9123456")
        office.world.run()
        assert call.status == 302 and "VP-3030" in call.warning_ids
        assert [str(each.uri) for each in call.responses[-1].contacts] == [
            "sip:+4930778@office.test",
            "sip:+4930777@office.test",
        ]
        assert len(invites(office, "one")) == 1


# The verb


def test_a_program_redirects_its_caller() -> None:
    async def handler(call: Call) -> None:
        await call.redirect("bob", "sip:carol@example.com;transport=tcp")

    with stage(handler) as s:
        call = s.phone("alice").dial("help")
        s.world.run()
        response = call.responses[-1]
        assert response.status == 302
        assert response.headers.get_all("Contact") == [
            "<sip:bob@example.com>;q=1.0",
            "<sip:carol@example.com;transport=tcp>;q=0.9",
        ]
        assert response.headers.get("Diversion") == "<sip:help@example.com>;reason=unconditional"
        (end,) = [event for event in s.told if isinstance(event, events.CallEnded)]
        assert (end.cause.id, end.cause.sip) == (reasons.SENT_ELSEWHERE.id, 302)


@pytest.mark.parametrize("targets", [(), ("mailto:x@y.test",), ("sip:",)])
def test_what_is_no_target_is_an_error_of_the_program(targets: tuple[str, ...]) -> None:
    async def handler(call: Call) -> None:
        with pytest.raises(ValueError):
            await call.redirect(*targets)
        await call.answer()
        with pytest.raises(ValueError, match="not answered"):
            await call.redirect("bob")

    with stage(handler) as s:
        call = s.phone("alice").dial("help")
        s.world.run()
        assert call.was_answered


def test_a_program_learns_where_a_callee_is_that_no_call_goes_to() -> None:
    found: list[str] = []

    async def handler(call: Call) -> None:
        try:
            await call.dial("bob")
        except Redirected as moved:
            found.extend(str(each) for each in moved.contacts)
            raise

    with stage(handler) as s:
        alice, bob = s.phone("alice"), s.phone("bob")
        bob.redirects("<sip:bob@elsewhere.test>;q=0.1", "<tel:+4930123456>")
        call = alice.dial("bob")
        s.world.run()
        assert found == ["tel:+4930123456", "sip:bob@elsewhere.test"] and call.status == 480
