"""Trunks on names: DNS that is slow, dead, wrong or moves, and what the calls of others notice of it (F12)."""

from __future__ import annotations

import pytest

from sipcore.flow import Address
from sipcore.message import Request
from tests.sim.raw_peer import RawPeer
from tests.sim.trunk_office import TrunkOffice, trunk

pytestmark = pytest.mark.usefixtures("nothing_left")

NOWHERE = pytest.mark.parametrize("delay", [None, 5.0, 0.0], ids=["silent", "slow", "no such name"])
ONE, TWO = Address("10.200.0.1", 5060), Address("10.200.0.2", 5060)


def named(seed: int, *names: str) -> TrunkOffice:
    trunks = [trunk(name.partition(".")[0], name, priority=n) for n, name in enumerate(names)]
    return TrunkOffice(trunks, seed=seed)


def answering(status: int) -> object:
    return lambda request: (status if request.method == "INVITE" else 200, [])


def setup_time(office: TrunkOffice) -> float:
    """Seconds from a local INVITE to its answer."""
    alice, bob = office.phone(1001).register(), office.phone(1002).register().answers(after=0.0)
    office.world.run(until=office.world.now + 1.0)
    started = office.world.now
    call = alice.dial("1002").hangs_up(after=0.5)
    office.world.run(until=started + 5.0)
    assert call.was_answered and bob.received
    ladder = office.world.network.ladder
    return next(rung.time for rung in ladder if rung.time >= started and rung.kind == "200 INVITE") - started


@pytest.mark.parametrize("delay", [None, 5.0], ids=["silent", "slow"])
def test_local_calls_do_not_notice_dns_that_does_not_answer(seed: int, delay: float | None) -> None:
    with named(seed) as office:
        undisturbed = setup_time(office)
    with named(seed, "one.test") as office:
        office.world.network.dns_delay = delay
        caller = office.phone(1001).register()
        office.world.run(until=0.5)
        outside = [caller.dial(f"9{100_000 + n}", after=0.1 * n) for n in range(15)]
        office.world.run(until=0.6)
        assert setup_time(office) == pytest.approx(undisturbed, rel=0.1)
        office.world.run()
        assert all(call.status == 503 for call in outside)


@NOWHERE
def test_a_call_to_a_name_that_leads_nowhere_takes_the_next_trunk_within_four_seconds(
    seed: int, delay: float | None
) -> None:
    with named(seed, "one.test", "10.200.0.2") as office:
        office.world.network.dns_delay = delay
        peer = RawPeer(office.world, TWO.host, answering(200))  # type: ignore[arg-type]  # a lambda
        call = office.phone().register().dial("9123456", after=1.0).hangs_up(after=0.5)
        office.world.run()
        assert call.was_answered and peer.received
        ladder = office.world.network.ladder
        asked = next(rung.time for rung in ladder if rung.kind == "INVITE")
        assert next(rung.time for rung in ladder if rung.destination == TWO) - asked < 4.0


@NOWHERE
def test_the_only_trunk_on_a_name_that_leads_nowhere_is_503_within_four_seconds(seed: int, delay: float | None) -> None:
    with named(seed, "one.test") as office:
        office.world.network.dns_delay = delay
        call = office.phone().register().dial("9123456", after=1.0)
        office.world.run(until=5.0)
        assert call.status == 503


@pytest.mark.rfc(
    "3263",
    "4.3",
    "If a failure occurs, the client SHOULD create a new request, which is identical to the previous, but has a "
    "different value of the Via branch ID … That request is sent to the next element in the list as specified by "
    "RFC 2782.",
)
def test_a_black_hole_among_the_addresses_costs_four_seconds_once(seed: int) -> None:
    with named(seed, "one.test") as office:
        office.world.network.names["one.test"] = [ONE, TWO]
        RawPeer(office.world, TWO.host, answering(200), name="two")  # type: ignore[arg-type]  # a lambda
        alice = office.phone().register()
        times = []
        for _ in range(2):
            started = office.world.now + 1.0
            call = alice.dial("9123456", after=1.0).hangs_up(after=0.5)
            office.world.run(until=started + 10.0)
            assert call.was_answered
            ladder = office.world.network.ladder
            times.append(next(r.time for r in ladder if r.time > started and r.destination == TWO) - started)
        assert 3.9 < times[0] <= 4.1 and times[1] < 0.1


def test_one_failed_call_does_not_poison_the_name_for_others(seed: int) -> None:
    # kamailio#4911
    with named(seed, "one.test") as office:
        office.world.network.names["one.test"] = [ONE]
        peer = RawPeer(office.world, ONE.host, answering(503))  # type: ignore[arg-type]  # a lambda
        alice = office.phone().register()
        for status in (503, 486):
            peer.answer = answering(status)  # type: ignore[assignment]  # a lambda
            call = alice.dial("9123456", after=1.0)
            office.world.run()
            assert call.status == status


def test_a_name_that_moves_is_followed(seed: int) -> None:
    with named(seed, "one.test") as office:
        peers = [RawPeer(office.world, where.host, answering(486)) for where in (ONE, TWO)]  # type: ignore[arg-type]
        alice = office.phone().register()
        for where in (ONE, TWO):
            office.world.network.names["one.test"] = [where]
            alice.dial("9123456", after=1.0)
            office.world.run()
        assert [len([r for r in peer.received if r.method == "INVITE"]) for peer in peers] == [1, 1]


def test_a_registration_follows_a_name_that_moves(seed: int) -> None:
    def registrar(request: Request) -> tuple[int, list[tuple[str, str]]]:
        return 200, [("Contact", f"{request.headers.get('Contact')};expires=120")]

    line = trunk("one", "one.test", username="office", password="secret", register=True, register_s=120)
    with TrunkOffice([line], seed=seed) as office:
        peers = [RawPeer(office.world, where.host, registrar) for where in (ONE, TWO)]
        office.world.network.names["one.test"] = [ONE]
        office.world.run(until=100.0)
        assert {request.method for request in peers[0].received} == {"REGISTER"} and not peers[1].received
        before = len(peers[0].received)
        office.world.network.names["one.test"] = [TWO]
        office.world.run(until=300.0)
        assert len(peers[0].received) == before and len(peers[1].received) >= 2
        assert office.trunks.status()[0]["registration"] == "registered"
        assert {request.call_id for peer in peers for request in peer.received} == {peers[0].received[0].call_id}
        office.world.loop.run_until_complete(office.trunks.stop())
        assert peers[1].received[-1].headers.get("Expires") == "0"
