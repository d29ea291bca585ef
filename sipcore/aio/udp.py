"""SIP over UDP (RFC 3261 §18): one socket per local address, read in batches, one wake of the loop for each.

What a batch makes us send leaves in batches too, after a millisecond at the latest: waking another core for each
datagram was a seventh of what a REGISTER costs.

The kernel's default receive buffer loses bursts; 4 MB are asked for, and what was given is told (`receive_buffer`),
because `rmem_max` caps it silently.

ICMP (RFC 3261 §18.4): the kernel queues each error with the beginning of the datagram that it is about. One error
also fails the next call on the socket, whatever that was for; such a call is repeated.
"""

from __future__ import annotations

import socket
import struct
from typing import Final

from sipcore.aio._datagrams import MOST_AT_ONCE, DatagramSocket
from sipcore.aio.driver import Driver
from sipcore.aio.moderation import Moderation
from sipcore.flow import Address, Flow
from sipcore.stun import binding_answer, is_stun

RECEIVE_BUFFER: Final = 4 * 1024 * 1024

# Linux, asm-generic/socket.h. SO_RCVBUFFORCE needs CAP_NET_ADMIN; SO_MEMINFO is an array of u32, bytes in the receive
# queue the first, drops the last.
_SO_RCVBUFFORCE: Final = 33
_SO_MEMINFO: Final = 55
_MEMINFO_WORDS: Final = 9

# No SIP message begins with a control character.
_FIRST_OF_SIP: Final = 0x04
# CRLF and CRLFCRLF keep-alives and empty datagrams: no SIP message is that short, and none of them gets an answer.
_KEEP_ALIVE_SIZE: Final = 4

# linux/in.h, linux/in6.h, linux/errqueue.h: struct sock_extended_err begins with errno, origin, type, code.
_IP_RECVERR: Final = 11
_IPV6_RECVERR: Final = 25
_EXTENDED_ERR: Final = struct.Struct("=IBBB")
_QUOTE_SIZE: Final = 1280
_ANCILLARY_SIZE: Final = 512
# Destination unreachable by its origin and type, and the one code of it that speaks of size only.
_UNREACHABLE: Final = frozenset({(2, 3), (3, 1)})
_FRAGMENTATION_NEEDED: Final = (2, 3, 4)


class UdpTransport:
    """One UDP socket of the driver's."""

    name: Final = "UDP"

    def __init__(self, driver: Driver, handle: socket.socket, receive_buffer: int) -> None:
        self._driver = driver
        self._socket = handle
        self._is_open = True
        self._gathers = False
        # As counted when it closed.
        self._dropped: int | None = None
        name = handle.getsockname()
        self.local: Final = Address(name[0], name[1])
        self.receive_buffer: Final = receive_buffer
        self._datagrams = DatagramSocket(handle.fileno(), self.local)
        self._reads = Moderation(handle, MOST_AT_ONCE, driver.now)
        driver.loop.add_reader(self._reads.descriptor, self._readable)

    @property
    def has_short_buffer(self) -> bool:
        """Whether the kernel gave less than `RECEIVE_BUFFER`: bursts may be lost (raise net.core.rmem_max)."""
        return self.receive_buffer < RECEIVE_BUFFER

    @property
    def pauses(self) -> bool:
        """Whether it is so busy that it is read once a millisecond."""
        return self._reads.pauses

    @property
    def handle(self) -> int:
        """Its descriptor; -1 when it is closed."""
        return self._socket.fileno()

    def drops(self) -> int | None:
        """How many datagrams the kernel has dropped here for want of room; None where it cannot be asked."""
        if not self._is_open:
            return self._dropped
        info = self._meminfo()
        return None if info is None else info[-1]

    def waiting(self) -> int | None:
        """Bytes in the kernel's receive queue, its own bookkeeping included; None where it cannot be asked."""
        info = self._meminfo()
        return None if info is None else info[0]

    def _meminfo(self) -> tuple[int, ...] | None:
        try:
            info = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4 * _MEMINFO_WORDS)
        except OSError:
            return None
        return struct.unpack(f"{_MEMINFO_WORDS}I", info) if len(info) == 4 * _MEMINFO_WORDS else None

    def send(self, flow: Flow, data: bytes) -> None:
        try:
            if not self._gathers:
                self._datagrams.send(data, flow.remote)
            elif self._datagrams.put(data, flow):
                self._flush()
        except OSError as error:
            self._send_again(flow, data, error)

    def _flush(self) -> None:
        while (failed := self._datagrams.flush()) is not None:
            self._send_again(*failed)

    def close_flow(self, flow: Flow) -> None:
        """Nothing to close."""

    async def close(self) -> None:
        if self._is_open:
            self._dropped = self.drops()
            self._is_open = False
            self._driver.loop.remove_reader(self._reads.descriptor)
            self._reads.close()
            self._datagrams.close()
            self._socket.close()

    def _send_again(self, flow: Flow, data: bytes, error: OSError) -> None:
        """What failed may be an earlier datagram."""
        if not self._is_open or isinstance(error, BlockingIOError):
            # No room: the datagram is lost, and SIP sends it again.
            self._driver.counters["udp_not_sent"] += 1
            return
        self._take_errors()
        try:
            self._datagrams.send(data, flow.remote)
        except OSError:
            self._driver.counters["udp_not_sent"] += 1
            self._driver.loop.call_soon(self._driver.undelivered, flow, data)

    def _readable(self) -> None:
        try:
            batch = self._datagrams.receive()
        except OSError:
            batch = []
        if not batch:
            # An ICMP error, which a `send` may have met already.
            self._take_errors()
        self._gathers = True
        try:
            for data, flow in batch:
                if self._is_open:
                    self._take(data, flow)
        finally:
            self._gathers = False
            self._flush()
        if self._is_open:
            self._reads.has_read(len(batch))

    def _take(self, data: bytes, flow: Flow) -> None:
        if len(data) <= _KEEP_ALIVE_SIZE:
            self._driver.counters["udp_keep_alive"] += 1
        elif data[0] < _FIRST_OF_SIP and is_stun(data):
            self._answer_stun(data, flow)
        else:
            self._driver.receive(data, flow)

    def _answer_stun(self, data: bytes, flow: Flow) -> None:
        """RFC 5626 §3.5.2: a phone asks whether its flow is still the same."""
        self._driver.counters["udp_stun"] += 1
        answer = binding_answer(data, flow.remote.host, flow.remote.port)
        if answer is not None:
            self.send(flow, answer)

    def _take_errors(self) -> None:
        """Empty the socket's error queue; until then it stays readable."""
        while self._is_open:
            try:
                quote, ancillary, _, remote = self._socket.recvmsg(
                    _QUOTE_SIZE, _ANCILLARY_SIZE, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT
                )
            except OSError:
                return
            self._driver.counters["udp_error"] += 1
            if any(_is_unreachable(value) for _, _, value in ancillary):
                flow = Flow("UDP", self.local, Address(remote[0], remote[1]))
                self._driver.loop.call_soon(self._driver.undelivered, flow, quote)


def _is_unreachable(error: bytes) -> bool:
    """RFC 3261 §18.4: host, network, port or protocol unreachable; what is about size or hops is ignored."""
    if len(error) < _EXTENDED_ERR.size:
        return False
    _, origin, kind, code = _EXTENDED_ERR.unpack_from(error)
    return (origin, kind) in _UNREACHABLE and (origin, kind, code) != _FRAGMENTATION_NEEDED


async def open_udp(driver: Driver, bind: Address) -> UdpTransport:
    """A UDP transport on `bind` (port 0: any), added to the driver. Raises: OSError when it cannot be bound."""
    handle = _bound_socket(bind)
    transport = UdpTransport(driver, handle, _widen_receive_buffer(handle))
    driver.add_transport(transport)
    return transport


def _bound_socket(bind: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in bind.host else socket.AF_INET
    handle = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6:
            handle.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            handle.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
        else:
            handle.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
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
