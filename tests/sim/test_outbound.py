"""RFC 5626: a phone with two flows is reached when one of them is dead, once, and within a second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from sipcore.flow import Address, Flow
from sipcore.message import Request
from tests.sim.office import Office
from tests.sim.raw_peer import Headers, RawPeer
from voipat import Binding

pytestmark = pytest.mark.usefixtures("nothing_left")

UUID = "<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"


class TwoFlows:
    """Extension 1002 is one phone with two flows, seen as two hosts; the newest binding is `second`."""

    def __init__(self, office: Office, first: int | None, second: int | None, *, transport: str = "UDP") -> None:
        self.office = office
        hosts = ("10.9.0.1", "10.9.0.2")
        self.peers = [
            RawPeer(office.world, host, _answer(status), name=f"flow {number}")
            for number, (host, status) in enumerate(zip(hosts, (first, second), strict=True), 1)
        ]
        self.bindings = [
            Binding(
                "office.test",
                "sip:1002@office.test",
                f"sip:1002@{host}",
                Flow(transport, office.world.server_address, Address(host, 5060)),
                "c",
                number,
                4e9,
                instance=UUID,
                reg_id=str(number),
            )
            for number, host in enumerate(hosts, 1)
        ]
        assert office.app.registrar is not None
        self.location = office.app.registrar.location
        self.location.update("office.test", "sip:1002@office.test", self.bindings, ())

    def invited(self) -> list[float]:
        """When each flow was tried first; nothing for one that was not."""
        ladder = self.office.world.network.ladder
        found = []
        for peer in self.peers:
            times = [rung.time for rung in ladder if rung.destination == peer.address and rung.kind == "INVITE"]
            found.append(times[0] if times else -1.0)
        return found

    def close(self) -> None:
        self.location.update("office.test", "sip:1002@office.test", (), self.bindings)


def _answer(status: int | None) -> Callable[[Request], tuple[int, Headers] | None]:
    if status is None:
        return lambda request: None
    return lambda request: (status if request.method == "INVITE" else 200, [])


@pytest.mark.rfc("5626", "5.3")
@pytest.mark.parametrize("dead", [None, 430])
def test_a_flow_that_is_silent_or_failed_gives_way_to_the_other_within_a_second(seed: int, dead: int | None) -> None:
    # "a proxy [...] MUST NOT forward the request over more than one flow of an instance at a time".
    with Office(seed=seed) as office:
        phone = TwoFlows(office, 200, dead)
        call = office.phone(1001).register().dial("1002", after=0.5).hangs_up(after=1.0)
        office.world.run()
        first, second = phone.invited()
        assert call.was_answered and 0.0 < first - second <= 1.0
        phone.close()


def test_a_flow_that_works_is_the_only_one_that_rings(seed: int) -> None:
    with Office(seed=seed) as office:
        phone = TwoFlows(office, 200, 200)
        call = office.phone(1001).register().dial("1002", after=0.5).hangs_up(after=1.0)
        office.world.run()
        assert call.was_answered and phone.invited()[0] == -1.0
        phone.close()


def test_what_the_phone_says_on_one_flow_holds_for_all(seed: int) -> None:
    with Office(seed=seed) as office:
        phone = TwoFlows(office, 200, 486)
        call = office.phone(1001).register().dial("1002", after=0.5)
        office.world.run()
        assert call.status == 486 and phone.invited()[0] == -1.0
        phone.close()


def test_a_connection_that_is_gone_gives_way_at_once(seed: int) -> None:
    with Office(seed=seed) as office:
        phone = TwoFlows(office, 200, 200)
        gone = Flow("TCP", office.world.server_address, Address("10.9.0.2", 5060), 77)
        lost = replace(phone.bindings[1], flow=gone)
        phone.location.update("office.test", lost.aor, (lost,), ())
        call = office.phone(1001).register().dial("1002", after=0.5).hangs_up(after=1.0)
        office.world.run()
        assert call.was_answered and phone.invited()[0] < 1.5
        phone.close()


def test_when_both_flows_are_dead_the_call_fails_as_to_any_dead_phone(seed: int) -> None:
    with Office(seed=seed) as office:
        phone = TwoFlows(office, 430, 430)
        call = office.phone(1001).register().dial("1002", after=0.5)
        office.world.run()
        assert (call.status, office.outcome()[2]) == (480, "VP-3006")
        phone.close()


@pytest.mark.rfc(
    "5627",
    "6.1",
    "If there are no registered contacts bound to the GRUU, the server MUST return a 480 (Temporarily Unavailable) "
    "response.",
)
def test_a_gruu_rings_one_device_of_a_user_with_two(seed: int) -> None:
    with Office(seed=seed) as office:
        phone = TwoFlows(office, 200, 200)
        desk = office.phone(1002).register().answers(after=0.2)
        office.world.run(until=1.0)
        uri = f"sip:1002@office.test;gr={UUID.strip('<>')}"
        call = office.phone(1001).register().dial(uri, after=0.5).hangs_up(after=1.0)
        office.world.run()
        assert call.was_answered and desk.received == [] and phone.invited()[1] > 0
        phone.close()
