"""Behind a 1:1 NAT a listener tells its peers another address: Via, Contact and SDP, and Record-Route of the proxy."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from sipcore.flow import Address
from sipcore.message import Request, Response
from sipcore.parser import parse_message
from voipat import App, Call, Proxy, Registrar
from voipat.testing import SimWorld
from voipat.testing.network import Datagram

pytestmark = pytest.mark.usefixtures("nothing_left")

PUBLIC = "203.0.113.7"
LISTEN = ("udp://127.0.0.1:5060", "udp://10.9.9.9:5060")


@pytest.mark.parametrize("is_proxy", [False, True])
def test_a_callee_is_told_the_address_of_the_listener_that_it_is_reached_by(is_proxy: bool, seed: int) -> None:
    app = App(
        listen=LISTEN,
        registrar=Registrar("office.test", password_of={"1001": "one", "1002": "two"}.get),
        proxy=Proxy() if is_proxy else None,
        advertised_on={"127.0.0.1": PUBLIC, "10.9.9.9": "203.0.113.9"},
    )

    async def ring(call: Call) -> None:
        await call.bridge(await call.dial(call.callee))

    app.on_call("sip:*@office.test")(ring)
    with SimWorld(app, seed=seed) as world:
        alice, bob = (world.phone(f"sip:{name}@office.test").register() for name in (1001, 1002))
        world.run(until=1.0)
        bob.answers(after=0.5)
        call = alice.dial("1002").hangs_up(after=0.5)
        world.run(until=4.0)
        invite = next(
            message
            for rung in world.network.ladder
            if rung.kind == "INVITE" and rung.destination == bob.address
            for message in [parse_message(rung.data)]
        )
        assert isinstance(invite, Request) and call.was_answered
        assert str(invite.via.sent_by) == f"{PUBLIC}:5060"
        if is_proxy:
            assert all(PUBLIC in route for route in invite.headers.get_all("Record-Route"))
            assert invite.headers.get_all("Record-Route")
        else:
            assert invite.contact is not None and invite.contact.uri.host == PUBLIC
            assert f"c=IN IP4 {PUBLIC}".encode() in invite.body


LAN, OUTSIDE, LOCAL = "192.168.1.20", "198.51.100.20", "127.0.0.1"


@pytest.mark.parametrize("is_out", [True, False], ids=["from the LAN out", "from outside in"])
def test_each_side_of_a_call_is_told_the_address_that_it_reaches_us_by(is_out: bool, seed: int) -> None:
    app = App(
        listen=LISTEN[0],
        registrar=Registrar("office.test", password_of={"1001": "one", "1002": "two"}.get),
        advertised=PUBLIC,
        local_networks=[ip_network("192.168.0.0/16")],
    )

    async def ring(call: Call) -> None:
        await call.bridge(await call.dial(call.callee))

    app.on_call("sip:*@office.test")(ring)
    with SimWorld(app, seed=seed) as world:
        network = world.network

        def translate(data: bytes, source: Address, destination: Address) -> None:
            """The 1:1 NAT in front of us, on its way in."""
            network.deliver(Datagram(source, Address(LOCAL, destination.port), data))

        network.bind_host(PUBLIC, translate)
        inside = world.phone("sip:1001@office.test", at=Address(LAN, 5060)).register()
        outside = world.phone("sip:1002@office.test", at=Address(OUTSIDE, 5060)).register()
        world.run(until=1.0)
        caller, callee = (inside, outside) if is_out else (outside, inside)
        callee.answers(after=0.5, hangs_up_after=2.0)
        call = caller.dial(str(callee.uri.user))
        world.run(until=6.0)
        assert call.was_answered and call.heard.packets and callee.received[-1].heard.packets
        told = {LAN: LOCAL, OUTSIDE: PUBLIC}
        sent: dict[str, list[Request | Response]] = {LAN: [], OUTSIDE: []}
        for rung in network.ladder:
            if rung.destination.host in sent and rung.data and rung.time > 1.0:
                sent[rung.destination.host].append(parse_message(rung.data))
        for host, messages in sent.items():
            with_sdp = [message for message in messages if message.body]
            assert with_sdp and [each.contact.uri.host for each in with_sdp if each.contact] == [told[host]] * len(
                with_sdp
            )
            assert all(f"c=IN IP4 {told[host]}".encode() in each.body for each in with_sdp)
            vias = {str(each.via.sent_by) for each in messages if isinstance(each, Request)}
            assert vias == {f"{told[host]}:5060"}
        assert {type(each).__name__ for each in sent[callee.address.host]} == {"Request", "Response"}
