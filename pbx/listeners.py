"""The daemon's sockets: opened with the limits that descriptors allow, counted, and said when they cannot be had."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pbx.errors import StartError
from pbx.limits import reason_text, receive_buffer_warning
from pbx.tls import LiveTls
from sipcore.aio.driver import Driver, Transport
from sipcore.aio.tcp import TcpLimits, TcpTransport, open_tcp
from sipcore.aio.udp import RECEIVE_BUFFER, UdpTransport, open_udp
from voipat.network import MachineAddresses, parse_listen


class ListeningNetwork(MachineAddresses):
    """`voipat.Network` on real sockets that knows what is open."""

    def __init__(self, tcp_limits: TcpLimits, tls: LiveTls | None = None) -> None:
        self._tcp_limits: Final = tcp_limits
        self._tls: Final = tls
        self._driver: Driver | None = None
        self._sockets: list[UdpTransport] = []
        # On sockets that are not even in the list any more.
        self._dropped = 0

    async def open(self, driver: Driver, url: str) -> Transport:
        """The listener that the URL names.

        Raises: StartError.
        """
        scheme, address = parse_listen(url)
        self._driver = driver
        try:
            transport: Transport
            if scheme == "udp":
                transport = udp = await open_udp(driver, address)
                self._remember(udp)
            else:
                source = self._tls.source(url) if scheme == "tls" and self._tls is not None else None
                transport = await open_tcp(driver, address, limits=self._tcp_limits, tls=source)
        except OSError as error:
            raise StartError(f"{url}: {reason_text(error)}") from None
        return transport

    @property
    def transports(self) -> tuple[Transport, ...]:
        """What listens now: with wildcard listeners that changes."""
        return () if self._driver is None else self._driver.transports

    @property
    def connections(self) -> int:
        """Stream connections open now."""
        return sum(each.connection_count for each in self.transports if isinstance(each, TcpTransport))

    @property
    def drops(self) -> int:
        """Datagrams that the kernel dropped for want of room, also on sockets that are closed by now."""
        return self._dropped + sum(each.drops() or 0 for each in self._sockets)

    def _remember(self, opened: UdpTransport) -> None:
        """With wildcard listeners sockets come and go."""
        self._dropped += sum(each.drops() or 0 for each in self._sockets if each.handle < 0)
        self._sockets = [each for each in self._sockets if each.handle >= 0] + [opened]

    def warnings(self) -> Iterator[str]:
        """What the operator should know about the sockets that we got."""
        for each in self.transports:
            if isinstance(each, UdpTransport) and (text := receive_buffer_warning(each.receive_buffer, RECEIVE_BUFFER)):
                yield f"udp {each.local}: {text}"
