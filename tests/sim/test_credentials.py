"""security.md H8 and H10: who gets a digest of ours, and what strangers get without one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sipcore.flow import Address, Flow
from sipcore.message import Request, response_to
from sipcore.names import METHODS
from tests.sim.office import Office
from tests.sim.raw_peer import RawPeer
from tests.sim.trunk_office import TrunkOffice, trunk
from voipat import Binding

pytestmark = pytest.mark.usefixtures("nothing_left")

Answer = tuple[int, Sequence[tuple[str, str]]]


def challenge(realm: str, status: int = 407) -> Answer:
    name = "Proxy-Authenticate" if status == 407 else "WWW-Authenticate"
    return status, [(name, f'Digest realm="{realm}", nonce="n", algorithm=MD5, qop="auth"')]


def credentials(peer: RawPeer) -> list[str]:
    """The methods of the requests that came with credentials."""
    names = ("Authorization", "Proxy-Authorization")
    return [request.method for request in peer.received if any(name in request.headers for name in names)]


def trunk_office(seed: int, **keys: object) -> TrunkOffice:
    told = {"username": "office", "password": "a long secret", "realm": "carrier.test", **keys}
    return TrunkOffice([trunk("carrier", "10.200.0.1", **told)], seed=seed)


def test_a_phone_that_challenges_our_bye_gets_no_digest(seed: int) -> None:
    with Office(seed=seed) as office:
        flow = Flow("UDP", office.world.server_address, Address("10.9.0.1", 5060))
        binding = Binding("office.test", "sip:1002@office.test", "sip:1002@10.9.0.1:5060", flow, "c", 1, 4e9)
        peer = RawPeer(
            office.world, "10.9.0.1", lambda request: (200, []) if request.method == "INVITE" else challenge("x")
        )
        assert office.app.registrar is not None
        office.app.registrar.location.update("office.test", "sip:1002@office.test", (binding,), ())
        office.phone(1001).register().dial("1002", after=0.5).hangs_up(after=1.0)
        office.world.run()
        assert "BYE" in [request.method for request in peer.received]
        assert credentials(peer) == []
        office.app.registrar.location.update("office.test", "sip:1002@office.test", (), (binding,))


@pytest.mark.parametrize("realm", ["office.test", "carrier.test", "carrier.testx"])
def test_a_phone_that_challenges_our_invite_gets_no_digest_even_of_a_trunks_realm(seed: int, realm: str) -> None:
    with trunk_office(seed) as office:
        flow = Flow("UDP", office.world.server_address, Address("10.9.0.1", 5060))
        binding = Binding("office.test", "sip:1002@office.test", "sip:1002@10.9.0.1:5060", flow, "c", 1, 4e9)
        peer = RawPeer(office.world, "10.9.0.1", lambda request: challenge(realm, 401))
        assert office.app.registrar is not None
        office.app.registrar.location.update("office.test", "sip:1002@office.test", (binding,), ())
        call = office.phone(1001).register().dial("1002", after=0.5)
        office.world.run()
        assert call.status == 480 and len(peer.received) >= 1 and credentials(peer) == []
        office.app.registrar.location.update("office.test", "sip:1002@office.test", (), (binding,))


@pytest.mark.parametrize("status", [401, 407])
def test_a_trunk_of_the_right_realm_gets_it_once(seed: int, status: int) -> None:
    with trunk_office(seed) as office:
        peer = RawPeer(office.world, "10.200.0.1", lambda request: challenge("carrier.test", status))
        call = office.phone().register().dial("9123456", after=0.5)
        office.world.run()
        assert call.status == 503 and credentials(peer) == ["INVITE"]


@pytest.mark.parametrize("status", [401, 407])
def test_a_trunk_that_asks_for_another_realm_gets_nothing_and_the_call_fails_cleanly(seed: int, status: int) -> None:
    with trunk_office(seed) as office:
        peer = RawPeer(office.world, "10.200.0.1", lambda request: challenge("other.test", status))
        call = office.phone().register().dial("9123456", after=0.5)
        office.world.run()
        assert call.status == 503 and credentials(peer) == []


def test_a_response_from_elsewhere_gets_nothing(seed: int) -> None:
    with trunk_office(seed) as office:
        thief = RawPeer(office.world, "10.200.0.9", name="thief")

        def steal(request: Request) -> None:
            """Somebody who sees the request answers in the trunk's place."""
            status, headers = challenge("carrier.test")
            thief.send(response_to(request, status, to_tag="t", headers=headers).to_bytes())

        peer = RawPeer(office.world, "10.200.0.1", steal)  # type: ignore[arg-type]  # answers nothing itself
        call = office.phone().register().dial("9123456", after=0.5)
        office.world.run()
        assert call.status == 503 and credentials(peer) == credentials(thief) == []


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize("uri", ["sip:1001@office.test", "sip:1001@127.0.0.1:5060", "sip:carrier@carrier.test"])
def test_a_stranger_gets_nowhere_with_any_method(seed: int, method: str, uri: str) -> None:
    with Office(seed=seed) as office:
        alice = office.phone(1001).register()
        office.world.run(until=1.0)
        before = len(alice.calls)
        peer = RawPeer(office.world, "127.0.0.77", port=5077)
        peer.request(method, uri, "Event: presence", "Refer-To: <sip:1002@office.test>", "Expires: 60")
        office.world.run(until=3.0)
        if method == "ACK":
            assert peer.statuses == []
        elif method == "OPTIONS" and "carrier" not in uri:
            assert set(peer.statuses) == {200}, "OPTIONS to ourselves says what anybody may know"
        else:
            assert peer.statuses and set(peer.statuses) <= {401, 403, 405, 407, 481, 501}
        assert len(alice.calls) == before
        reached = [
            rung for rung in office.world.network.ladder if office.world.network.name_of(rung.destination) == "1001"
        ]
        assert all(rung.kind.startswith(("401", "200")) and rung.kind.endswith("REGISTER") for rung in reached)
