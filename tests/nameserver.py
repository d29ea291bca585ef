"""An authoritative nameserver on loopback, in the loop of the test, and a `Resolver` that asks it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from sipcore.aio.resolver import Resolver
from sipcore.entropy import SeededEntropy
from sipcore.flow import Address
from sipcore.locate import Target
from sipcore.outputs import Resolve


class Nameserver(asyncio.DatagramProtocol):
    """Authoritative for `zone`, lines of `name TTL kind data`; silent when told. Follows a CNAME within the zone."""

    def __init__(self, zone: str) -> None:
        self.asked: list[str] = []
        self.silent = False
        self._rows = [line.split(maxsplit=3) for line in zone.strip().splitlines()]
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        query = dns.message.from_wire(data)
        name, kind = query.question[0].name, query.question[0].rdtype.name
        self.asked.append(f"{name.to_text(omit_final_dot=True)} {kind}")
        if not self.silent:
            # A real one gives records in turn; a test says in which order its own come.
            self._transport.sendto(self._response(query, name, kind).to_wire(want_shuffle=False), addr)

    def _response(self, query: dns.message.Message, name: Any, kind: str) -> dns.message.Message:
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        wanted = name.to_text(omit_final_dot=True).lower()
        of_name = [row for row in self._rows if row[0] == wanted]
        if not of_name:
            response.set_rcode(dns.rcode.NXDOMAIN)
        while aliases := [row for row in of_name if row[2] == "CNAME"]:
            _, ttl, _, target = aliases[0]
            response.answer.append(dns.rrset.from_text(f"{wanted}.", int(ttl), "IN", "CNAME", target))
            wanted = target.removesuffix(".")
            of_name = [row for row in self._rows if row[0] == wanted]
        records = [row for row in of_name if row[2] == kind]
        if records:
            ttl = records[0][1]
            data = [row[3] for row in records]
            response.answer.append(dns.rrset.from_text_list(f"{wanted}.", int(ttl), "IN", kind, data))
        return response


class ListenerOf:
    """What the resolver asks of a transport: its name and the family of its address."""

    def __init__(self, name: str, host: str) -> None:
        self.name, self.local = name, Address(host, 5060)


class Asked:
    """The driver, as the resolver sees it."""

    def __init__(self, names: Sequence[str], hosts: Sequence[str]) -> None:
        self.loop = asyncio.get_running_loop()
        self.transports = [ListenerOf(name, host) for name in names for host in hosts]
        self.answers: asyncio.Queue[tuple[int, Sequence[Target]]] = asyncio.Queue()

    def resolved(self, query: int, answers: Sequence[Target]) -> None:
        self.answers.put_nowait((query, answers))


class Bench:
    """A nameserver, the resolver that asks it, and who wants to know."""

    def __init__(self, server: Nameserver, resolver: Resolver, driver: Asked) -> None:
        self.server, self.resolver, self.driver = server, resolver, driver

    async def ask(self, host: str, port: int | None = None, transport: str | None = None) -> list[str]:
        """The targets, each as `transport address:port`, in the order in which they would be tried."""
        self.resolver.resolve(Resolve(1, host, port, transport))
        _, answers = await self.driver.answers.get()
        return [f"{target.transport} {target.address}" for target in answers]


@asynccontextmanager
async def bench(zone: str, *names: str, hosts: Sequence[str] = ("127.0.0.1",)) -> AsyncIterator[Bench]:
    """`names` are the transports that we have, UDP and TCP when none are given, each on every address of `hosts`."""
    wire, server = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Nameserver(zone), local_addr=("127.0.0.1", 0)
    )
    resolver = Resolver(SeededEntropy(1), nameservers=["127.0.0.1"], port=wire.get_extra_info("sockname")[1])
    driver = Asked(names or ("UDP", "TCP"), hosts)
    resolver.attach(driver)  # type: ignore[arg-type]
    try:
        yield Bench(server, resolver, driver)
    finally:
        await resolver.close()
        wire.close()
