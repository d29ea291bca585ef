"""Connected identity: whom a phone or trunk is told to talk with, after a redirect, a transfer, and when not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pbx.directory import Directory
from sipcore.message import Request
from sipcore.parser import parse_message
from tests.sim.office import DOMAIN, Office
from tests.sim.trunk_office import TrunkOffice, trunk
from tests.unit.voipat.test_call import stage
from voipat import Call
from voipat.testing import Phone

pytestmark = pytest.mark.usefixtures("nothing_left")


def shown(number: int, name: str = "") -> str:
    return f'"{name}" <sip:{number}@{DOMAIN}>' if name else f"<sip:{number}@{DOMAIN}>"


def requests_to(office: Office | TrunkOffice, phone: Phone, method: str) -> list[Request]:
    """Requests within a call that the phone was sent, each once."""
    data = dict.fromkeys(rung.data for rung in office.world.network.ladder if rung.destination == phone.address)
    found = [parse_message(each) for each in data if each.startswith(method.encode())]
    return [each for each in found if isinstance(each, Request) and each.to.tag]


def test_nothing_is_said_when_who_was_called_answers(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=1.0)
        call = alice.dial("1002").hangs_up(after=2.0)
        office.world.run()
        assert call.shown == [] and bob.received[0].shown == []
        assert requests_to(office, alice, "UPDATE") == requests_to(office, bob, "UPDATE") == []


def test_the_200_names_who_answered_in_anothers_place(seed: int) -> None:
    with Office(seed=seed) as office:
        tenant = office.directory.current.tenant(DOMAIN)
        named = {number: replace(each, name=f"N{number}") for number, each in tenant.extensions.items()}
        office.directory.swap(Directory([replace(tenant, extensions=named)], default_tenant=DOMAIN))
        alice, bob, carol = office.phones(3)
        bob.redirects("1003")
        carol.answers(after=1.0)
        call = alice.dial("1002").hangs_up(after=1.0)
        office.world.run()
        assert call.shown == [shown(1003, "N1003")] and carol.received[0].shown == []
        ok = call.responses[-1]
        assert ok.headers.get("Remote-Party-ID") == f"{shown(1003, 'N1003')};party=called;screen=yes;privacy=off"


def test_after_a_blind_transfer_each_is_told_of_the_other(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob, carol = office.phones(3)
        bob.answers(after=1.0)
        carol.answers(after=1.0)
        call = alice.dial("1002").waits(6.0).hangs_up(after=1.0)
        office.world.run(until=office.world.now + 3.0)
        bob.received[0].refer(bob.uri_of("1003"))
        office.world.run()
        assert call.shown == [shown(1003)], "1001 talks with 1003 now"
        assert carol.received[0].shown == [], "1003 saw in the INVITE who calls"
        [update] = requests_to(office, alice, "UPDATE")
        assert update.body == b"" and update.from_.uri.user == "1002"


def test_after_an_attended_transfer_both_are_told(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob, carol = office.phones(3)
        bob.answers(after=1.0)
        carol.answers(after=1.0)
        first = bob.dial("1001")
        alice.answers(after=0.5)
        office.world.run(until=office.world.now + 2.0)
        second = bob.dial("1003")
        office.world.run(until=office.world.now + 3.0)
        first.refer(second.remote, second)
        office.world.run(until=office.world.now + 3.0)
        assert alice.received[0].shown == [shown(1003)] and carol.received[0].shown == [shown(1001)]
        alice.received[0].hang_up()
        office.world.run()
        assert office.world.leaks() == []


@pytest.mark.rfc("4916", "4.3", "the UA MUST issue a request on the same dialog containing the new identity")
@pytest.mark.parametrize("supports", [True, False])
def test_from_changes_for_who_says_so(seed: int, supports: bool) -> None:
    """MUST: "issue a request on the same dialog containing the new identity in the URI of the From header field"."""
    with Office(seed=seed) as office:
        alice, bob, carol = office.phones(3)
        bob.answers(after=1.0)
        carol.answers(after=1.0)
        headers = [("Supported", "from-change")] if supports else []
        call = alice.dial("1002", headers=headers).waits(6.0).hangs_up(after=1.0)
        office.world.run(until=office.world.now + 3.0)
        bob.received[0].refer(bob.uri_of("1003"))
        office.world.run()
        [update] = requests_to(office, alice, "UPDATE")
        assert update.from_.uri.user == ("1003" if supports else "1002")
        assert update.from_.tag == call.responses[-1].to.tag


@pytest.mark.rfc("4916", "4.1", "MUST include the 'from-change' option tag in the Supported header field")
@pytest.mark.rfc("4916", "4.2", "MUST include the 'from-change' option tag in the Supported header field")
def test_we_say_that_from_may_change(seed: int) -> None:
    """MUST: "include the 'from-change' option tag in the Supported header field" of both."""
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=1.0)
        call = alice.dial("1002").hangs_up(after=1.0)
        office.world.run()
        invite = bob.received[0].request
        assert invite is not None
        for message in (call.responses[-1], invite):
            assert "from-change" in message.headers.get_all("Supported")


def test_a_phone_without_update_gets_a_reinvite_that_changes_nothing_else(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob, carol = office.phones(3)
        bob.answers(after=1.0)
        carol.answers(after=1.0)
        call = alice.dial("1002", headers=[("Allow", "INVITE, ACK, BYE, CANCEL")])
        assert call.request is not None
        office.world.run(until=office.world.now + 3.0)
        (leg,) = [each for each in office.app.calls if each.direction == "inbound"]
        leg.session.takes_update = False
        office.world.loop.run_until_complete(leg.set_connected("1003", name="Carol"))
        office.world.run(until=office.world.now + 2.0)
        assert call.shown == [shown(1003, "Carol")] and requests_to(office, alice, "UPDATE") == []
        [again] = requests_to(office, alice, "INVITE")
        assert again.body and call.audio is not None and not call.held_by_peer
        call.hang_up()
        office.world.run()


def test_a_caller_who_hides_stays_hidden_when_transferred(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob, carol = office.phones(3)
        bob.answers(after=1.0)
        carol.answers(after=1.0)
        first = alice.dial("1002", headers=[("Privacy", "id")])
        office.world.run(until=office.world.now + 3.0)
        second = bob.dial("1003")
        office.world.run(until=office.world.now + 3.0)
        bob.received[0].refer(second.remote, second)
        office.world.run(until=office.world.now + 3.0)
        assert carol.received[0].shown == [""] and first.shown == [shown(1003)]
        [again] = requests_to(office, carol, "INVITE")
        assert "P-Asserted-Identity" not in again.headers and "1001" not in str(again.headers.get("Remote-Party-ID"))
        first.hang_up()
        office.world.run()


# Trunks


BY_PARTY_ID = "<sip:+12025550177@carrier.test>;party=calling;screen=yes;privacy=off"


@pytest.mark.parametrize(
    ("identity", "header", "told"),
    [
        ("pai", "P-Asserted-Identity", "<sip:+12025550177@carrier.test>"),
        ("rpid", "Remote-Party-ID", BY_PARTY_ID),
        ("rpid", "P-Asserted-Identity", None),
        ("none", "P-Asserted-Identity", None),
        ("none", "Remote-Party-ID", None),
    ],
)
def test_a_trunk_is_told_only_when_it_is_trusted(seed: int, identity: str, header: str, told: str | None) -> None:
    with TrunkOffice([trunk("one", identity=identity)], seed=seed) as office:
        carrier = office.carriers["one"]
        carrier.answers(after=1.0)
        call = office.phone().register().dial("9+4930123456")
        office.world.run(until=office.world.now + 3.0)
        leg = next(each for each in office.app.calls)
        (out,) = leg.attempts
        out.session.takes_update = True
        office.world.loop.run_until_complete(out.set_connected("sip:+12025550177@carrier.test"))
        office.world.run(until=office.world.now + 1.0)
        updates = requests_to(office, carrier, "UPDATE")
        assert [each.headers.get(header) for each in updates] == ([] if identity == "none" else [told])
        call.hang_up()
        office.world.run()


@pytest.mark.parametrize(
    ("identity", "header", "said", "believed"),
    [
        ("pai", "P-Asserted-Identity", "", True),
        ("none", "P-Asserted-Identity", "", False),
        ("rpid", "Remote-Party-ID", ";party=called;screen=yes;privacy=off", True),
        ("rpid", "Remote-Party-ID", "", True),
        ("rpid", "Remote-Party-ID", ";screen=no", False),
        ("rpid", "P-Asserted-Identity", "", False),
        ("pai", "Remote-Party-ID", "", False),
    ],
)
def test_what_a_trusted_trunk_asserts_in_a_call_reaches_the_phone(
    seed: int, identity: str, header: str, said: str, believed: bool
) -> None:
    with TrunkOffice([trunk("one", identity=identity)], seed=seed) as office:
        carrier = office.carriers["one"]
        carrier.answers(after=1.0)
        call = office.phone().register().dial("9+4930123456")
        office.world.run(until=office.world.now + 3.0)
        dialog = carrier.received[0].dialog
        assert dialog is not None
        asserted = ((header, f"<sip:+4930777@carrier.test>{said}"),)
        statuses: list[int] = []
        carrier.request_in(dialog, "UPDATE", statuses.append, headers=asserted)
        office.world.run(until=office.world.now + 1.0)
        assert statuses == [200]
        assert call.shown == (["<sip:+4930777@carrier.test>"] if believed else [])
        call.hang_up()
        office.world.run()


# The verb


def test_a_program_names_whom_its_caller_talks_with() -> None:
    async def handler(call: Call) -> None:
        await call.set_connected("support", name="Support")
        await call.answer()
        await call.set_connected("sip:dora@example.com")
        with pytest.raises(ValueError, match="nobody"):
            await call.set_connected("sip:")
        await call.hung_up()

    with stage(handler) as s:
        call = s.phone("alice").dial("help").hangs_up(after=1.0)
        s.world.run()
        assert call.shown == ['"Support" <sip:support@example.com>', "<sip:dora@example.com>"]
