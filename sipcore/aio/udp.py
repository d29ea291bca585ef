"""SIP over UDP (RFC 3261 §18): one socket per local address, on the loop's own datagram endpoint.

Measured on uvloop: 8-35 µs a message in and out, so no batch reader. The kernel's default receive buffer loses
bursts; 4 MB are asked for, and what was given is told (`receive_buffer`), because `rmem_max` caps it silently.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Final, cast

from sipcore.aio.driver import Driver
from sipcore.flow import Address, Flow

RECEIVE_BUFFER: Final = 4 * 1024 * 1024

# Linux, asm-generic/socket.h. SO_RCVBUFFORCE needs CAP_NET_ADMIN; SO_MEMINFO is an array of u32, drops the last.
_SO_RCVBUFFORCE: Final = 33
_SO_MEMINFO: Final = 55
_MEMINFO_WORDS: Final = 9

# CRLF and CRLFCRLF keep-alives and empty datagrams: no SIP message is that short, and none of them gets an answer.
_KEEP_ALIVE_SIZE: Final = 4


class UdpTransport(asyncio.DatagramProtocol):
    """One UDP socket of the driver's."""

    name: Final = "UDP"

    def __init__(self, driver: Driver, local: Address, receive_buffer: int) -> None:
        self._driver = driver
        self._socket: asyncio.DatagramTransport | None = None
        self._paused = False
        self._closed = driver.loop.create_future()
        self.local: Final = local
        self.receive_buffer: Final = receive_buffer

    @property
    def has_short_buffer(self) -> bool:
        """Whether the kernel gave less than `RECEIVE_BUFFER`: bursts may be lost (raise net.core.rmem_max)."""
        return self.receive_buffer < RECEIVE_BUFFER

    def drops(self) -> int | None:
        """How many datagrams the kernel has dropped here for want of room; None where it cannot be asked."""
        handle = None if self._socket is None else self._socket.get_extra_info("socket")
        if handle is None:
            return None
        try:
            info = handle.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4 * _MEMINFO_WORDS)
        except OSError:
            return None
        return int(struct.unpack(f"{_MEMINFO_WORDS}I", info)[-1]) if len(info) == 4 * _MEMINFO_WORDS else None

    def send(self, flow: Flow, data: bytes) -> None:
        if self._socket is None or self._paused:
            self._driver.counters["udp_not_sent"] += 1
            return
        self._socket.sendto(data, flow.remote)

    def close_flow(self, flow: Flow) -> None:
        """Nothing to close."""

    async def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            await self._closed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # asyncio's own class for this is no subclass of DatagramTransport before 3.12.
        self._socket = cast(asyncio.DatagramTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._socket = None
        if not self._closed.done():
            self._closed.set_result(None)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if len(data) <= _KEEP_ALIVE_SIZE:
            self._driver.counters["udp_keep_alive"] += 1
            return
        self._driver.receive(data, Flow("UDP", self.local, Address(addr[0], addr[1])))

    def error_received(self, exc: Exception) -> None:
        self._driver.counters["udp_error"] += 1

    def pause_writing(self) -> None:
        # The loop would queue without end; a datagram may be lost, and SIP sends it again.
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False


async def open_udp(driver: Driver, bind: Address) -> UdpTransport:
    """A UDP transport on `bind` (port 0: any), added to the driver. Raises: OSError when it cannot be bound."""
    handle = _bound_socket(bind)
    given = _widen_receive_buffer(handle)
    name = handle.getsockname()
    transport = UdpTransport(driver, Address(name[0], name[1]), given)
    await driver.loop.create_datagram_endpoint(lambda: transport, sock=handle)
    driver.add_transport(transport)
    return transport


def _bound_socket(bind: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in bind.host else socket.AF_INET
    handle = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6:
            handle.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        handle.setblocking(False)
        handle.bind(bind)
    except OSError:
        handle.close()
        raise
    return handle


def _widen_receive_buffer(handle: socket.socket) -> int:
    """Ask for `RECEIVE_BUFFER`; the bytes that were given."""
    try:
        handle.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER)
    except OSError:
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    # socket(7): the kernel doubles the value for its own bookkeeping, and reads back the double.
    return handle.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
