"""The listeners of an App: each URL one socket, a wildcard one per address of this machine, as addresses come and go.

A socket on 0.0.0.0 could not say which address a packet came to, and that is what Via, Contact and SDP have to name
(RFC 3261 §18.1.1: sent-by is where responses can come).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, Protocol, runtime_checkable

from sipcore.aio.addresses import AddressWatch, is_wildcard
from sipcore.aio.driver import Driver, Transport
from sipcore.flow import Address
from voipat.network import Network, parse_listen

logger: Final = logging.getLogger("voipat")


@runtime_checkable
class MachineNetwork(Protocol):
    """A network that knows the addresses of the machine; wildcard listeners need one."""

    def local_addresses(self, *, ipv6: bool) -> Sequence[str]:
        """Raises: OSError."""

    def source_address(self, remote: str) -> str | None:
        """The address that reaches `remote`."""


class Listeners:
    """Opens, follows the machine's addresses, closes."""

    def __init__(self, driver: Driver, network: Network, urls: Sequence[str]) -> None:
        parsed = [(url, *parse_listen(url)) for url in urls]
        self._driver = driver
        self._network = network
        self._plain = [url for url, _, address in parsed if not is_wildcard(address.host)]
        self._wildcards = [(scheme, address) for _, scheme, address in parsed if is_wildcard(address.host)]
        self._taken = {(scheme, address) for _, scheme, address in parsed}
        self._open: dict[str, Transport] = {}
        self._watch: AddressWatch | None = None
        self._following: asyncio.Task[None] | None = None
        self._is_stale = False

    async def open(self) -> None:
        """Open all. Raises: OSError, ValueError."""
        for url in self._plain:
            self._driver.add_transport(await self._network.open(self._driver, url))
        if not self._wildcards:
            return
        if not isinstance(self._network, MachineNetwork):
            raise ValueError("a wildcard listener needs a network that knows the addresses of the machine")
        # Before the listing: what changes between the two is seen.
        self._watch = AddressWatch(self._driver.loop, self._changed)
        for url in self._wanted(self._network):
            await self._add(url)

    async def close(self) -> None:
        """Follow no more; the sockets are the driver's."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

    def _changed(self) -> None:
        self._is_stale = True
        if self._following is None or self._following.done():
            self._following = self._driver.loop.create_task(self._follow())

    async def _follow(self) -> None:
        while self._is_stale:
            self._is_stale = False
            try:
                await self._adapt()
            except Exception:
                logger.exception("the addresses of this machine could not be followed")

    async def _adapt(self) -> None:
        assert isinstance(self._network, MachineNetwork), "checked at the start"
        wanted = self._wanted(self._network)
        for url in [url for url in self._open if url not in wanted]:
            await self._driver.remove_transport(self._open.pop(url))
            logger.info("address is gone, no longer listening", extra={"listener": url})
        for url in [url for url in wanted if url not in self._open]:
            try:
                await self._add(url)
            except Exception as error:
                logger.warning("new address, but no socket: %s", error, extra={"listener": url})
            else:
                logger.info("new address, listening", extra={"listener": url})

    async def _add(self, url: str) -> None:
        transport = self._open[url] = await self._network.open(self._driver, url)
        self._driver.add_transport(transport)

    def _wanted(self, network: MachineNetwork) -> dict[str, None]:
        """What the wildcards stand for now; an address that has a listener of its own is left to it."""
        found: dict[str, None] = {}
        for scheme, wildcard in self._wildcards:
            for host in network.local_addresses(ipv6=":" in wildcard.host):
                address = Address(host, wildcard.port)
                if (scheme, address) not in self._taken:
                    found[f"{scheme}://{address}"] = None
        return found
