"""SIP over TCP (RFC 3261 §18, RFC 5626 §4.4.1 keep-alives): a listener and its connections, theirs and ours.

A connection has one of three deadlines (first message, rest of a message, reader that stands still) or none; those
that have one are looked at twice a second, idle ones cost nothing. Every bound is in `TcpLimits`. A message goes to
the connection its flow names; connection 0 means "the one to this remote", which is opened when there is none, and
what is sent meanwhile waits for it. However a connection ends, the endpoint hears `flow_lost`.

TLS (`sipcore.aio.tls`) is the same with a handshake before the first message, which has a deadline of its own. Only
a connection that we opened to a domain, and that proved to be it, is used for other requests to that domain; what is
sent to a connection by its number never goes to another one.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter, OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, cast

from sipcore.aio.driver import Driver, logger
from sipcore.aio.tls import TlsSession, TlsSource, domain_of, failure_counter, failure_reason
from sipcore.errors import ParseError
from sipcore.flow import Address, Flow, TlsFlow
from sipcore.message import Message, Request, response_to
from sipcore.parser import InvalidMessage, parse_message
from sipcore.refusals import Refusal
from sipcore.stream_parser import KeepAlive, StreamParser
from sipcore.transaction import HeaderPairs

_SWEEP_S: Final = 0.5
# A segment can hold a thousand small messages: others get their turn after so many.
_BATCH: Final = 32
_CLOSE_S: Final = 1.0
# A handshake costs up to a millisecond: the phones of other transports get their turn after so many.
_HANDSHAKES: Final = 4
# Certificate chains of clients included.
_MAX_HANDSHAKE: Final = 65_536
_PONG: Final = b"\r\n"
# A lone CRLF, or three bytes of a CRLFCRLF, is no message that somebody is slow with.
_KEEP_ALIVE_REST: Final = 3


@dataclass(frozen=True, slots=True)
class TcpLimits:
    """What strangers may take. The daemon derives `connections` from the descriptors it has."""

    connections: int = 10_000
    connections_per_ip: int = 50
    # OverSIP's anti-slow timer is 2-4 s; a phone on a bad radio link needs a little more.
    first_message_s: float = 10.0
    message_s: float = 5.0
    connect_s: float = 4.0
    handshake_s: float = 5.0
    # For the responses to what a peer sent before it closed its half. Short, because one that has closed both looks
    # the same until something is written to it, and holds a descriptor meanwhile.
    half_closed_s: float = 5.0
    stalled_reader_s: float = 10.0
    # Four of the largest messages; a reader that is further behind is not coming back.
    write_queue: int = 262_144


class TcpTransport:
    """A listener, the connections it accepted and the ones we opened."""

    def __init__(
        self, driver: Driver, local: Address, *, limits: TcpLimits, name: str, tls: TlsSource | None = None
    ) -> None:
        self.name: Final = name
        self.local: Final = local
        self.limits: Final = limits
        self.driver: Final = driver
        self.tls: Final = tls
        self._server: asyncio.Server | None = None
        self._connections: dict[int, _Connection] = {}
        self._by_remote: dict[tuple[Address, str], _Connection] = {}  # the domain it proved to be, with TLS
        self._shaking: dict[int, _Connection] = {}  # bytes of a handshake wait for their turn
        self._shake_due = False
        self._per_ip: Counter[str] = Counter()
        self._strangers: OrderedDict[int, _Connection] = OrderedDict()  # accepted, not authenticated, oldest first
        self._watched: dict[int, _Connection] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._opening: set[asyncio.Task[None]] = set()
        self._last_number = 0

    @property
    def connection_count(self) -> int:
        return len(self._connections)

    def send(self, flow: Flow, data: bytes) -> None:
        connection = self._connections.get(flow.connection) if flow.connection else self._to(flow)
        # A number that comes from before a restart may be another's by now.
        if connection is None or connection.gone or connection.remote != flow.remote:
            self.driver.loop.call_soon(self.driver.flow_lost, flow)
        else:
            connection.send(data)

    def close_flow(self, flow: Flow) -> None:
        opened = (flow.remote, domain_of(flow))
        connection = self._connections.get(flow.connection) if flow.connection else self._by_remote.get(opened)
        if connection is not None and connection.remote == flow.remote:
            connection.close()

    def authenticated(self, flow: Flow) -> None:
        self._strangers.pop(flow.connection, None)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        connections = tuple(self._connections.values())
        for connection in connections:
            connection.close()
        for task in self._opening:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        await _all_ended(connections)
        if self._sweeper is not None:
            self._sweeper.cancel()

    # What the connections below tell.

    def accepted(self, connection: _Connection) -> bool:
        """Give an incoming connection a number, or refuse it."""
        host = connection.remote.host
        if self._per_ip[host] >= self.limits.connections_per_ip or not self._make_room():
            self.driver.counters["tcp_refused"] += 1
            return False
        self._per_ip[host] += 1
        self._register(connection)
        self._strangers[connection.number] = connection
        return True

    def watch(self, connection: _Connection) -> None:
        """Look at this connection's deadline from now on."""
        self._watched[connection.number] = connection
        if self._sweeper is None:
            self._sweeper = self.driver.loop.call_later(_SWEEP_S, self._sweep)

    def unwatch(self, connection: _Connection) -> None:
        self._watched.pop(connection.number, None)

    def shake(self, connection: _Connection) -> None:
        """Go on with this connection's handshake when it is its turn."""
        self._shaking[connection.number] = connection
        if not self._shake_due:
            self._shake_due = True
            self.driver.loop.call_soon(self._shake_some)

    def half_closed(self, connection: _Connection) -> None:
        """The peer sends no more: nothing new goes there, responses still do."""
        if self._by_remote.get(connection.opened) is connection:
            del self._by_remote[connection.opened]

    def lost(self, connection: _Connection) -> None:
        """Forget a connection and tell the endpoint, also of what it sent to "the connection to this remote"."""
        if self._connections.pop(connection.number, None) is None:
            return
        self._strangers.pop(connection.number, None)
        self._shaking.pop(connection.number, None)
        self.unwatch(connection)
        if connection.is_accepted:
            self._per_ip[connection.remote.host] -= 1
            if not self._per_ip[connection.remote.host]:
                del self._per_ip[connection.remote.host]
        self.half_closed(connection)
        self.driver.flow_lost(connection.flow)

    def _register(self, connection: _Connection) -> None:
        self._last_number += 1
        connection.number = self._last_number
        if self.tls is None:
            connection.flow = Flow(self.name, self.local, connection.remote, connection.number)
        else:
            _, domain = connection.opened
            connection.flow = TlsFlow(self.name, self.local, connection.remote, connection.number, domain)
        self._connections[connection.number] = connection
        if self.tls is None or not connection.is_accepted:
            self._by_remote[connection.opened] = connection

    def _make_room(self) -> bool:
        """Whether one more fits; the oldest connection that nobody authenticated on is given up for it."""
        if len(self._connections) < self.limits.connections:
            return True
        if not self._strangers:
            return False
        self.driver.counters["tcp_evicted"] += 1
        # Taken out at once: the next to come in this turn of the loop must find another one.
        self._strangers.popitem(last=False)[1].abort()
        return True

    def _to(self, flow: Flow) -> _Connection | None:
        domain = domain_of(flow)
        if self.tls is not None and not domain:
            # RFC 5922 §4: a connection to somebody who need not prove anything protects nothing.
            self.driver.counters["tls_nobody_to_verify"] += 1
            return None
        connection = self._by_remote.get((flow.remote, domain))
        if connection is not None and not connection.gone:
            return connection
        if not self._make_room():
            return None
        connection = _Connection(self, remote=flow.remote, domain=domain)
        self._register(connection)
        task = self.driver.loop.create_task(self._open(connection))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        return connection

    async def _open(self, connection: _Connection) -> None:
        wildcard = self.local.host in ("0.0.0.0", "::")
        try:
            connection.prepare()
            async with asyncio.timeout(self.limits.connect_s):
                await self.driver.loop.create_connection(
                    lambda: connection,
                    connection.remote.host,
                    connection.remote.port,
                    local_addr=None if wildcard else (self.local.host, 0),
                )
        except (OSError, TimeoutError, ValueError):  # ValueError: a domain that cannot stand in a certificate
            self.driver.counters["tcp_connect_failed"] += 1
            connection.connection_lost(None)
        except asyncio.CancelledError:
            connection.connection_lost(None)
            raise

    def _shake_some(self) -> None:
        """Some handshakes; the rest, and the new ones, after the others' turn."""
        for number in tuple(self._shaking)[:_HANDSHAKES]:
            connection = self._shaking.pop(number, None)
            if connection is not None:
                connection.shake()
        self._shake_due = bool(self._shaking)
        if self._shake_due:
            self.driver.loop.call_soon(self._shake_some)

    def _sweep(self) -> None:
        self._sweeper = None
        now = self.driver.loop.time()
        for connection in tuple(self._watched.values()):
            connection.check(now)
        if self._watched:
            self._sweeper = self.driver.loop.call_later(_SWEEP_S, self._sweep)


class _Connection(asyncio.Protocol):
    """One connection: TLS where it has it, framing, write queue, deadlines."""

    def __init__(self, owner: TcpTransport, *, remote: Address | None = None, domain: str = "") -> None:
        self._owner = owner
        self._limits = owner.limits
        self._parser = StreamParser()
        self._transport: asyncio.Transport | None = None
        self._tls: TlsSession | None = None
        self._unshaken = b""
        self._is_open = False  # messages can be written
        self._waiting: list[bytes] = []  # sent while we connect
        self._waiting_size = 0
        self._unread: list[bytes | KeepAlive] = []
        self._first_deadline: float | None = None
        self._message_deadline: float | None = None
        self._write_deadline: float | None = None
        self._end_deadline: float | None = None
        self.is_accepted: Final = remote is None
        self.remote = remote or Address("", 0)
        self.opened = (self.remote, domain)
        self.number = 0
        self.flow = Flow(owner.name, owner.local, self.remote)
        self.gone = False
        self.ended: Final[asyncio.Future[None]] = owner.driver.loop.create_future()

    def send(self, data: bytes) -> None:
        """Write, or queue while connecting; a peer that does not read is cut off."""
        if self._transport is None or not self._is_open:
            self._waiting.append(data)
            self._waiting_size += len(data)
            size = self._waiting_size
        else:
            self._transport.write(data if self._tls is None else self._tls.encrypt(data))
            size = self._transport.get_write_buffer_size()
        if size > self._limits.write_queue:
            self._owner.driver.counters["tcp_slow_reader"] += 1
            self.abort()

    def close(self) -> None:
        """Close after what is queued; a peer that does not take it is cut off later."""
        self.gone = True
        if self._transport is None:
            self._owner.driver.loop.call_soon(self.connection_lost, None)
            return
        self._end_deadline = self._owner.driver.loop.time() + self._limits.stalled_reader_s
        self._owner.watch(self)
        if self._tls is not None and self._is_open:
            self._transport.write(self._tls.shut())
        self._transport.close()

    def abort(self) -> None:
        """Close at once; what is queued is lost."""
        self.gone = True
        self._owner.unwatch(self)  # its deadlines may pass before `connection_lost` is called
        if self._transport is not None:
            self._transport.abort()
        self._owner.driver.loop.call_soon(self.connection_lost, None)

    def check(self, now: float) -> None:
        """Cut the connection off when a deadline has passed."""
        slow = (self._first_deadline, self._message_deadline, self._write_deadline)
        times = [deadline for deadline in slow if deadline is not None]
        if times and min(times) <= now:
            shaking = self._tls is not None and not self._is_open
            self._owner.driver.counters["tls_handshake_timeout" if shaking else "tcp_too_slow"] += 1
            self.abort()
        elif self._end_deadline is not None and self._end_deadline <= now:
            self.abort()
        elif not times and self._end_deadline is None:
            self._owner.unwatch(self)

    def connection_made(self, base: asyncio.BaseTransport) -> None:
        # uvloop's own class for this is no subclass of asyncio.Transport.
        transport = self._transport = cast(asyncio.Transport, base)
        if self.is_accepted:
            peer = transport.get_extra_info("peername") or ("", 0)
            self.remote = Address(peer[0], peer[1])
            self.opened = (self.remote, "")
            if not self._owner.accepted(self):
                self.gone = True
                transport.abort()
                return
            self.prepare()
        elif self.gone:
            transport.abort()
            return
        _keep_alive(transport)
        _bound_kernel(transport, self._limits.write_queue)
        transport.set_write_buffer_limits(high=self._limits.write_queue // 4)
        if self._tls is None:
            self._open()
            return
        self._first_deadline = self._owner.driver.loop.time() + self._limits.handshake_s
        self._owner.watch(self)
        if not self.is_accepted:
            self._owner.shake(self)

    def prepare(self) -> None:
        """Have TLS ready where the transport has it. Raises: ValueError for a domain that is no name."""
        source = self._owner.tls
        if source is None:
            return
        if self.is_accepted:
            self._tls = TlsSession(source.current.accepting)
        else:
            self._tls = TlsSession(source.current.connecting, domain=self.opened[1])

    def shake(self) -> None:
        """Go on with the handshake."""
        tls, transport = self._tls, self._transport
        if self.gone or tls is None or transport is None:
            return
        data, self._unshaken = self._unshaken, b""
        try:
            tls.advance(data)
        except ssl.SSLError as error:
            transport.write(tls.taken())
            self._owner.driver.counters[failure_counter(error)] += 1
            logger.info("TLS handshake failed: %s", failure_reason(error) or error, extra={"remote": str(self.remote)})
            self.close()
            return
        transport.write(tls.taken())
        if tls.secured:
            self._owner.driver.counters["tls_handshakes"] += 1
            if self.is_accepted and isinstance(self.flow, TlsFlow):
                self.flow = replace(self.flow, names=tls.names)
            self._open()
            self._read_secured(b"")

    def _open(self) -> None:
        """Messages can come and go."""
        self._is_open = True
        self._first_deadline = None
        if self.is_accepted:
            self._first_deadline = self._owner.driver.loop.time() + self._limits.first_message_s
            self._owner.watch(self)
        waiting, self._waiting = self._waiting, []
        for data in waiting:
            self.send(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        self._unread.clear()
        self._owner.lost(self)
        if not self.ended.done():
            self.ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self.gone:
            return
        if self._tls is None:
            self._read(data)
        elif self._is_open:
            self._read_secured(data)
        elif len(self._unshaken) + len(data) > _MAX_HANDSHAKE:
            self._owner.driver.counters["tls_handshake_failed"] += 1
            self.abort()
        else:
            self._unshaken += data
            self._owner.shake(self)

    def _read_secured(self, data: bytes) -> None:
        tls, transport = self._tls, self._transport
        assert tls is not None and transport is not None, "asked of an open TLS connection"
        try:
            plain = tls.decrypt(data)
        except ssl.SSLError as error:
            self._owner.driver.counters["tls_broken"] += 1
            logger.info("TLS broken: %s", failure_reason(error) or error, extra={"remote": str(self.remote)})
            self.abort()
            return
        if answer := tls.taken():
            transport.write(answer)
        if plain:
            self._read(plain)
        if tls.ended and not self.gone:
            # RFC 5246 §7.2.1: a notice of closure is answered by one, at once.
            self.close()

    def _read(self, data: bytes) -> None:
        messages: list[bytes | KeepAlive] = []
        with suppress(ParseError):
            messages = self._parser.feed(data)
        self._watch_message(completed=bool(messages))
        self._unread.extend(messages)
        self._deliver()

    def eof_received(self) -> bool:
        if self._tls is not None:
            if not self.gone:
                self._owner.driver.counters["tls_handshake_failed"] += not self._is_open
                self.close()
            return True
        self._owner.half_closed(self)
        self._message_deadline = None
        self._end_deadline = self._owner.driver.loop.time() + self._limits.half_closed_s
        self._owner.watch(self)
        return True

    def pause_writing(self) -> None:
        self._write_deadline = self._owner.driver.loop.time() + self._limits.stalled_reader_s
        self._owner.watch(self)

    def resume_writing(self) -> None:
        self._write_deadline = None

    def _deliver(self) -> None:
        """Hand up to `_BATCH` messages to the driver; the rest, and more reading, after the others' turn."""
        batch, self._unread = self._unread[:_BATCH], self._unread[_BATCH:]
        for item in batch:
            if self.gone:
                return
            if isinstance(item, bytes):
                self._first_deadline = None
                self._owner.driver.receive(item, self.flow)
            elif item is KeepAlive.PING:
                self.send(_PONG)
        if self._unread and self._transport is not None:
            self._transport.pause_reading()
            self._owner.driver.loop.call_soon(self._continue)
        elif self._parser.error is not None:
            self._refuse(self._parser.error)

    def _continue(self) -> None:
        if self.gone or self._transport is None:
            return
        self._deliver()
        if not self._unread and not self._transport.is_closing():
            self._transport.resume_reading()

    def _watch_message(self, *, completed: bool) -> None:
        """The clock of a message runs from its first byte to its last; each message has its own."""
        if self._parser.pending <= _KEEP_ALIVE_REST:
            self._message_deadline = None
        elif completed or self._message_deadline is None:
            self._message_deadline = self._owner.driver.loop.time() + self._limits.message_s
            self._owner.watch(self)

    def _refuse(self, error: ParseError) -> None:
        """RFC 3261 §18.3: a stream whose framing is lost cannot be read on; a request is told why."""
        self._owner.driver.counters["tcp_bad_framing"] += 1
        logger.info("framing lost: %s", error, extra={"remote": str(self.remote)})
        headers = self._owner.driver.refusal_headers(Refusal.UNREADABLE, self.flow)
        response = _refusal(self._parser.broken_head, error, headers, to_tag=f"{self.number:08x}")
        if response is not None:
            self.send(response)
        self.close()


def _refusal(head: bytes, error: ParseError, headers: HeaderPairs, *, to_tag: str) -> bytes | None:
    """The answer to a request that cannot be framed; None when it cannot be answered, or is none."""
    try:
        request: Message | None = parse_message(head)
    except InvalidMessage as invalid:
        request = invalid.message
    except ParseError:
        return None
    if not isinstance(request, Request) or request.method == "ACK":
        return None
    try:
        return response_to(request, error.status_hint, str(error), to_tag=to_tag, headers=headers).to_bytes()
    except ParseError:
        return None


async def _all_ended(connections: Sequence[_Connection]) -> None:
    """Wait until all are closed; who does not take the rest in a second does not get it."""
    if not connections:
        return
    await asyncio.wait([each.ended for each in connections], timeout=_CLOSE_S)
    for connection in connections:
        if not connection.ended.done():
            connection.abort()
    await asyncio.gather(*(each.ended for each in connections))


def _keep_alive(transport: asyncio.Transport) -> None:
    """Half-open connections are found by the kernel within about a minute and a half."""
    handle = transport.get_extra_info("socket")
    if handle is None:
        return
    with suppress(OSError):
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
            if hasattr(socket, option):
                handle.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _bound_kernel(transport: asyncio.Transport, size: int) -> None:
    """Let the kernel hold twice `size` octets that the peer does not take; by itself it goes up to 4 MB and more."""
    handle = transport.get_extra_info("socket")
    if handle is not None:
        with suppress(OSError):
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)


async def open_tcp(
    driver: Driver,
    bind: Address,
    *,
    limits: TcpLimits | None = None,
    tls: TlsSource | None = None,
) -> TcpTransport:
    """A stream transport listening on `bind` (port 0: any), added to the driver; with `tls` it is named "TLS".

    Raises: OSError when it cannot be bound.
    """
    handle = _listening_socket(bind)
    bound: Sequence[object] = handle.getsockname()
    local = Address(str(bound[0]), int(str(bound[1])))
    name = "TCP" if tls is None else "TLS"
    transport = TcpTransport(driver, local, limits=limits or TcpLimits(), name=name, tls=tls)
    transport._server = await driver.loop.create_server(lambda: _Connection(transport), sock=handle, backlog=1024)
    driver.add_transport(transport)
    return transport


def _listening_socket(bind: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in bind.host else socket.AF_INET
    handle = socket.socket(family, socket.SOCK_STREAM)
    try:
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            handle.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        handle.setblocking(False)
        handle.bind(bind)
    except OSError:
        handle.close()
        raise
    return handle
