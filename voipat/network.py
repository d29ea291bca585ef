"""Where an App's sockets come from: real ones, or those of a simulation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from sipcore.aio import addresses
from sipcore.aio.driver import Driver, Transport
from sipcore.aio.tcp import open_tcp
from sipcore.aio.tls import TlsSource
from sipcore.aio.udp import open_udp
from sipcore.flow import Address
from sipcore.outputs import Resolve


class Network(Protocol):
    """Opens the transport that a URL such as "udp://127.0.0.1:5060" names; adding it to the driver is allowed."""

    async def open(self, driver: Driver, url: str) -> Transport:
        """Raises: OSError, ValueError."""


@runtime_checkable
class NamingNetwork(Protocol):
    """A network with a DNS of its own: a simulated one."""

    def resolving(self, answered: Callable[[int, Sequence[Address]], None]) -> Callable[[Resolve], None]:
        """Who looks names up, and tells `answered` what each question led to."""


class MachineAddresses:
    """What the kernel knows of this machine's addresses."""

    def local_addresses(self, *, ipv6: bool) -> Sequence[str]:
        """Those that can be bound now. Raises: OSError."""
        return addresses.local_addresses(ipv6=ipv6)

    def source_address(self, remote: str) -> str | None:
        """The one that reaches `remote`; None when there is no route."""
        return addresses.source_address(remote)


class SocketNetwork(MachineAddresses):
    """The kernel's network; `tls` is what tls:// listeners take their certificates from."""

    def __init__(self, *, tls: TlsSource | None = None) -> None:
        self._tls = tls

    async def open(self, driver: Driver, url: str) -> Transport:
        """Raises: OSError when it cannot be bound, ValueError for a scheme that cannot be had."""
        scheme, address = parse_listen(url)
        if scheme == "udp":
            return await open_udp(driver, address)
        if scheme == "tcp":
            return await open_tcp(driver, address)
        if scheme == "tls" and self._tls is not None:
            return await open_tcp(driver, address, tls=self._tls)
        raise ValueError(f"{url}: a listener is udp://, tcp://, or with certificates tls://, and HOST:PORT")


def parse_listen(url: str) -> tuple[str, Address]:
    """Scheme and address of a listener. Raises: ValueError."""
    scheme, separator, rest = url.partition("://")
    host, colon, port = rest.rpartition(":")
    if not separator or not colon or not port.isdigit():
        raise ValueError(f"{url}: a listener is SCHEME://HOST:PORT")
    return scheme.lower(), Address(host.strip("[]"), int(port))
