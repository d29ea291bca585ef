"""Calls by trunks: which one is taken, what it is told, and what happens when it is gone."""

from __future__ import annotations

import logging

import pytest

from sipcore.guard import Guard, GuardPolicy
from sipcore.message import Request
from sipcore.parser import parse_message
from sipcore.strangers import StrangerPolicy
from tests.sim.raw_peer import RawPeer
from tests.sim.trunk_office import TrunkOffice, trunk
from voipat import events

pytestmark = pytest.mark.usefixtures("nothing_left")


def invites(office: TrunkOffice, name: str) -> list[Request]:
    """The INVITEs that a carrier was sent, repetitions left out."""
    found: dict[str, Request] = {}
    for rung in office.world.network.ladder:
        if rung.kind == "INVITE" and office.world.network.name_of(rung.destination) == name:
            message = parse_message(rung.data)
            assert isinstance(message, Request)
            found.setdefault(message.via.branch or "", message)
    return list(found.values())


def test_a_number_goes_out_as_e164_in_the_request_uri(seed: int) -> None:
    with TrunkOffice([trunk("carrier")], seed=seed) as office:
        office.carriers["carrier"].answers(after=1.0)
        call = office.phone().register().dial("9+4930123456").hangs_up(after=2.0)
        office.world.run()
        assert call.was_answered
        [invite] = invites(office, "carrier")
        assert invite.uri_text == "sip:+4930123456@10.0.0.1;user=phone"
        assert str(invite.from_.uri) == "sip:+12025550100@carrier.test"
        assert "P-Asserted-Identity" not in invite.headers


def test_the_next_trunk_is_tried_when_one_answers_503_and_the_first_is_acknowledged(seed: int) -> None:
    with TrunkOffice([trunk("one", priority=1), trunk("two", priority=2)], seed=seed) as office:
        office.carriers["one"].refuses(503)
        office.carriers["two"].answers(after=1.0)
        call = office.phone().register().dial("9123456").hangs_up(after=1.0)
        office.world.run()
        assert call.was_answered
        [first], [second] = invites(office, "one"), invites(office, "two")
        assert first.via.branch != second.via.branch
        assert first.call_id != second.call_id
        acks = [rung for rung in office.world.network.ladder if rung.kind == "ACK"]
        assert any(office.world.network.name_of(rung.destination) == "one" for rung in acks)


@pytest.mark.parametrize(("retry_after", "rests_s"), [("30", 30.0), ("30 (full);duration=60", 30.0), ("86400", 600.0)])
def test_a_trunk_that_says_when_to_come_again_is_left_alone_till_then(
    seed: int, retry_after: str, rests_s: float
) -> None:
    with TrunkOffice([trunk("one", "10.200.0.1", priority=1), trunk("two", priority=2)], seed=seed) as office:
        RawPeer(office.world, "10.200.0.1", lambda request: (503, [("Retry-After", retry_after)]), name="one")
        office.carriers["two"].answers(after=0.5)
        alice = office.phone().register()
        for at in (1.0, rests_s - 5.0, rests_s + 15.0):
            alice.dial("9123456", after=at).hangs_up(after=1.0)
        office.world.run()
        assert (len(invites(office, "one")), len(invites(office, "two"))) == (2, 3)


def test_a_silent_trunk_costs_less_than_two_seconds(seed: int) -> None:
    with TrunkOffice([trunk("one", priority=1), trunk("two", priority=2)], seed=seed) as office:
        office.world.network.cut_off("one")
        office.carriers["two"].answers(after=0.0)
        call = office.phone().register().dial("9123456", after=1.0).hangs_up(after=1.0)
        office.world.run()
        assert call.was_answered
        tried = [
            rung.time for rung in office.world.network.ladder if rung.kind == "INVITE" and b"user=phone" in rung.data
        ]
        late = [
            rung.time
            for rung in office.world.network.ladder
            if rung.kind == "INVITE" and office.world.network.name_of(rung.destination) == "two"
        ]
        assert late[0] - tried[0] < 2.0


def test_what_the_callee_says_is_final(seed: int) -> None:
    with TrunkOffice([trunk("one", priority=1), trunk("two", priority=2)], seed=seed) as office:
        office.carriers["one"].refuses(486)
        call = office.phone().register().dial("9123456")
        office.world.run()
        assert call.status == 486 and invites(office, "two") == []


def test_an_unallocated_number_is_404_with_cause_1(seed: int) -> None:
    with TrunkOffice([trunk("one")], seed=seed) as office:
        office.carriers["one"].refuses(404)
        call = office.phone().register().dial("9123456")
        office.world.run()
        assert call.status == 404
        assert "Q.850;cause=1" in (call.responses[-1].headers.get("Reason") or "")


def test_without_any_trunk_in_service_the_call_is_refused_within_a_second(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.WARNING, "pbx.trunks"),
        TrunkOffice([trunk("one", options_s=30.0)], seed=seed) as office,
    ):
        office.world.network.cut_off("one")
        alice = office.phone().register()
        office.world.run(until=120.0)
        assert office.trunks.status()[0]["state"] == "out"
        call = alice.dial("9123456")
        office.world.run(until=121.0)
        assert call.status == 503
        said = [record.message for record in caplog.records]
        assert said == ["trunk is out of service"]
        office.world.network.restore("one")
        office.world.run(until=160.0)
        assert [record.message for record in caplog.records][1:] == ["trunk is back"]
        told = [event for event in office.events if isinstance(event, events.TrunkInService)]
        assert [(event.trunk, event.in_service) for event in told] == [("one", False), ("one", True)]
        asked = [rung for rung in office.world.network.ladder if rung.kind == "OPTIONS"]
        assert len(asked) < 12 * 12, "no storm while it was silent"


def test_a_trunk_whose_domain_is_an_ipv6_address_is_asked(seed: int) -> None:
    with TrunkOffice([trunk("one", options_s=30.0, domain="2001:db8::7")], seed=seed) as office:
        office.world.run(until=60.0)
        assert (office.trunks.status()[0]["state"], office.trunks.status()[0]["last"]) == ("in", "answered")


def test_a_full_trunk_is_passed_over(seed: int) -> None:
    with TrunkOffice([trunk("one", priority=1, max_calls=1), trunk("two", priority=2)], seed=seed) as office:
        for carrier in office.carriers.values():
            carrier.answers(after=0.1)
        alice, bob = office.phone(1001).register(), office.phone(1002).register()
        first = alice.dial("9111111").hangs_up(after=5.0)
        second = bob.dial("9222222", after=1.0).hangs_up(after=5.0)
        office.world.run()
        assert first.was_answered and second.was_answered
        assert len(invites(office, "one")) == len(invites(office, "two")) == 1


def test_calls_per_second_are_kept(seed: int) -> None:
    with TrunkOffice([trunk("one", cps=2)], seed=seed) as office:
        office.carriers["one"].answers(after=0.1)
        alice = office.phone().register()
        office.world.run(until=1.0)
        calls = [alice.dial(f"9{number}").hangs_up(after=0.5) for number in range(100000, 100005)]
        office.world.run()
        assert sum(call.was_answered for call in calls) == 2
        assert [call.status for call in calls if not call.was_answered] == [503] * 3


def test_trunks_of_one_priority_share_the_calls_by_weight(seed: int) -> None:
    with TrunkOffice(
        [trunk("one", weight=30), trunk("two", weight=10), trunk("spare", priority=20)], seed=seed
    ) as office:
        firsts = [office.trunks.to_try("office.test", ["spare", "two", "one"])[0].config.name for _ in range(2000)]
        assert firsts.count("one") == pytest.approx(1500, abs=120) and firsts.count("spare") == 0


def test_a_call_from_a_trunk_needs_no_password_and_knows_its_did(seed: int) -> None:
    with TrunkOffice([trunk("one")], seed=seed) as office:
        office.phone(1001).register().answers(after=0.5)
        office.world.run(until=1.0)
        call = office.carriers["one"].dial("sip:+12025550101@127.0.0.1").hangs_up(after=1.0)
        office.world.run()
        assert call.was_answered
        [identity] = office.identities
        assert (identity.tenant, identity.trunk, identity.did) == ("office.test", "one", "+12025550101")


def test_the_same_address_from_another_port_is_a_phone(seed: int) -> None:
    with TrunkOffice([trunk("one", addresses=_at("10.0.0.1", 5090))], seed=seed) as office:
        call = office.carriers["one"].dial("sip:1001@office.test")
        office.world.run()
        assert call.status in (401, 403) and office.identities == []


def test_calls_from_a_full_trunk_are_refused(seed: int) -> None:
    with TrunkOffice([trunk("one", max_calls=1)], seed=seed) as office:
        office.phone(1001).register().answers(after=0.5)
        office.world.run(until=1.0)
        first = office.carriers["one"].dial("sip:+12025550101@127.0.0.1").hangs_up(after=3.0)
        second = office.carriers["one"].dial("sip:+12025550101@127.0.0.1", after=1.0)
        office.world.run()
        assert first.was_answered and second.status == 503


def _at(host: str, port: int | None) -> tuple[object, ...]:
    from ipaddress import ip_network

    from pbx.trunk_config import TrunkAddress

    return (TrunkAddress(ip_network(host), port),)


def test_a_flood_in_a_carriers_name_keeps_none_of_its_calls_out(seed: int) -> None:
    with TrunkOffice([trunk("one")], seed=seed) as office:
        office.phone().register().answers(after=0.5)
        office.world.run(until=1.0)
        office.app.gate.guard = Guard(GuardPolicy(strangers=StrangerPolicy(rate=0.0, burst=3.0)))
        forged, other = (RawPeer(office.world, host, port=5999, name=host) for host in ("10.0.0.1", "10.0.0.99"))
        for number in range(1, 31):
            forged.request("OPTIONS", "sip:office.test", number=number)
            other.request("OPTIONS", "sip:office.test", number=number)
        office.world.run(until=2.0)
        other.request("INVITE", "sip:1001@office.test", number=31)
        call = office.carriers["one"].dial("sip:+12025550101@127.0.0.1").hangs_up(after=1.0)
        ignored = office.app.driver.counters["ignored"]
        office.world.run()
        assert ignored > 0 and office.app.driver.counters["ignored"] == ignored + 1, "the call of nobody's"
        assert call.was_answered
