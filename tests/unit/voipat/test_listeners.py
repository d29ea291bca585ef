"""Wildcard listeners: one socket per address, each call with the address that reaches its peer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

import pytest

from media import Engine
from sipcore.aio.addresses import local_addresses, source_address
from sipcore.flow import Address, Flow
from sipcore.message import Request, Response
from sipcore.parser import parse_message
from voipat import App, Call
from voipat.listeners import Listeners
from voipat.network import SocketNetwork

INVITE = """INVITE sip:echo@{host}:{port} SIP/2.0
Via: SIP/2.0/UDP {peer};branch=z9hG4bK{tag};rport
Max-Forwards: 70
From: <sip:guest@elsewhere.test>;tag={tag}
To: <sip:echo@{host}>
Call-ID: {tag}@test
CSeq: 1 INVITE
Contact: <sip:guest@{peer}>
Content-Type: application/sdp
Content-Length: {length}

"""
OFFER = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"


class FewAddresses(SocketNetwork):
    """A machine whose addresses the test says."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)

    def local_addresses(self, *, ipv6: bool) -> Sequence[str]:
        return [address for address in self.addresses if (":" in address) == ipv6]


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        handle.bind(("127.0.0.1", 0))
        return int(handle.getsockname()[1])


async def ask(host: str, port: int, *, method: str = "INVITE", tag: str = "a1") -> Response:
    """The first final response to a request that a socket of ours sends to `host`."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        handle.setblocking(False)
        handle.bind(("127.0.0.1", 0))
        peer = "{}:{}".format(*handle.getsockname())
        text = INVITE.format(host=host, port=port, peer=peer, tag=tag, length=len(OFFER)).replace("INVITE", method)
        await loop.sock_sendto(handle, text.replace("\n", "\r\n").encode() + OFFER.encode(), (host, port))
        while True:
            data, source = await asyncio.wait_for(loop.sock_recvfrom(handle, 65535), 5)
            response = parse_message(data)
            if isinstance(response, Response) and response.status >= 200:
                assert source == (host, port), "the response comes from where the request went to"
                return response


def make_app(
    network: SocketNetwork,
    port: int,
    engine: Engine,
    *,
    advertised: str | None = None,
    local_networks: Sequence[IPv4Network | IPv6Network] = (),
) -> App:
    app = App(
        listen=f"udp://0.0.0.0:{port}",
        media="0.0.0.0:20000-29999",
        engine=engine,
        network=network,
        advertised=advertised,
        local_networks=local_networks,
    )

    @app.on_call("*", public=True)
    async def echo(call: Call) -> None:
        await call.echo()

    return app


def described(response: Response) -> tuple[str, str]:
    """Host of the Contact, and the address of the description."""
    assert response.contact is not None
    line = next(line for line in response.body.decode().splitlines() if line.startswith("c="))
    return response.contact.uri.host, line.split()[-1]


def test_the_kernel_is_asked_for_the_addresses_of_this_machine() -> None:
    assert "127.0.0.1" in local_addresses(ipv6=False)
    assert not any(address.startswith("fe80") for address in local_addresses(ipv6=True))
    assert source_address("127.0.0.9") == "127.0.0.1"


@pytest.mark.rfc(
    "3261",
    "18.1.1",
    'Before a request is sent, the client transport MUST insert a value of the "sent-by" field into the Via '
    "header field. This field contains an IP address or host name, and port.",
)
def test_contact_and_description_name_the_address_that_the_call_came_to() -> None:
    async def run() -> list[tuple[str, str]]:
        with Engine(port_range=(21000, 21099)) as engine:
            port = free_port()
            async with make_app(FewAddresses("127.0.0.2", "127.0.0.3"), port, engine):
                return [described(await ask(host, port, tag=host)) for host in ("127.0.0.2", "127.0.0.3")]

    assert asyncio.run(run()) == [("127.0.0.2", "127.0.0.2"), ("127.0.0.3", "127.0.0.3")]


def test_the_advertised_address_overrides_both() -> None:
    async def run() -> tuple[str, str]:
        with Engine(port_range=(21000, 21099)) as engine:
            port = free_port()
            async with make_app(FewAddresses("127.0.0.2"), port, engine, advertised="203.0.113.7"):
                return described(await ask("127.0.0.2", port))

    assert asyncio.run(run()) == ("203.0.113.7", "203.0.113.7")


def test_a_phone_of_a_local_network_is_told_the_local_address_in_contact_and_description() -> None:
    async def run() -> list[tuple[str, str]]:
        told = []
        with Engine(port_range=(21000, 21099)) as engine:
            for network in ("127.0.0.0/8", "10.0.0.0/8"):
                port = free_port()
                app = make_app(
                    FewAddresses("127.0.0.2"),
                    port,
                    engine,
                    advertised="203.0.113.7",
                    local_networks=[ip_network(network)],
                )
                async with app:
                    told.append(described(await ask("127.0.0.2", port)))
        return told

    assert asyncio.run(run()) == [("127.0.0.2", "127.0.0.2"), ("203.0.113.7", "203.0.113.7")]


def test_an_address_that_comes_is_opened_and_one_that_goes_is_closed() -> None:
    async def run() -> None:
        with Engine(port_range=(21000, 21099)) as engine:
            port, network = free_port(), FewAddresses("127.0.0.2")
            async with make_app(network, port, engine) as app:
                network.addresses = ["127.0.0.3"]
                assert app._sockets is not None
                await app._sockets._adapt()
                assert [transport.local.host for transport in app.driver.transports] == ["127.0.0.3"]
                assert described(await ask("127.0.0.3", port))[0] == "127.0.0.3"
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(ask("127.0.0.2", port), 0.1)

    asyncio.run(run())


def test_an_address_that_cannot_be_bound_is_left_out_and_the_others_stay() -> None:
    async def run() -> None:
        with Engine(port_range=(21000, 21099)) as engine:
            port, network = free_port(), FewAddresses("127.0.0.2")
            async with make_app(network, port, engine) as app:
                network.addresses += ["192.0.2.77", "127.0.0.4"]
                assert app._sockets is not None
                await app._sockets._adapt()
                assert [t.local.host for t in app.driver.transports] == ["127.0.0.2", "127.0.0.4"]

    asyncio.run(run())


def test_a_listener_of_its_own_keeps_its_address() -> None:
    async def run() -> list[Address]:
        with Engine(port_range=(21000, 21099)) as engine:
            port = free_port()
            app = App(
                listen=[f"udp://0.0.0.0:{port}", f"udp://127.0.0.2:{port}"],
                engine=engine,
                network=FewAddresses("127.0.0.2", "127.0.0.3"),
            )
            async with app:
                return [transport.local for transport in app.driver.transports]

    assert {address.host for address in asyncio.run(run())} == {"127.0.0.2", "127.0.0.3"}


def test_what_would_leave_from_an_address_that_is_gone_leaves_from_one_that_reaches_the_peer() -> None:
    async def run() -> Flow:
        with Engine(port_range=(21000, 21099)) as engine:
            port = free_port()
            async with make_app(FewAddresses("127.0.0.2", "127.0.0.1"), port, engine) as app:
                request = Request("OPTIONS", "sip:phone@127.0.0.9", [("To", "<sip:phone@127.0.0.9>")])
                old = Flow("UDP", Address("127.0.0.200", port), Address("127.0.0.9", 9))
                outputs = app.endpoint.send(app.endpoint.new_transaction(), request, app.driver.now(), flow=old)
                return next(output.flow for output in outputs)  # type: ignore[union-attr]

    assert asyncio.run(run()).local.host == "127.0.0.1"


def test_a_wildcard_needs_a_network_that_knows_the_addresses() -> None:
    class Blind:
        async def open(self, driver: object, url: str) -> object:
            raise AssertionError("not asked")

    async def run() -> None:
        listeners = Listeners(None, Blind(), ["udp://[::]:5060"])  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="wildcard"):
            await listeners.open()

    asyncio.run(run())
