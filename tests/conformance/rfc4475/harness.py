"""Puts one message through the stack, sans I/O, and through a server on real sockets, and says what came of it."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from media import Engine
from sipcore.aio.tcp import _refusal
from sipcore.endpoint import Admit, Endpoint
from sipcore.entropy import SeededEntropy
from sipcore.errors import ParseError
from sipcore.events import Event, MessageDropped, RequestReceived
from sipcore.flow import Address, Flow
from sipcore.outputs import Datagram, Output, Transmit
from sipcore.stream_parser import KeepAlive, StreamParser
from voipat import App, Call, Registrar, reasons

PATIENCE = 5.0
LOCAL = Address("192.0.2.254", 5060)
REMOTE = Address("192.0.2.1", 5060)
DOMAINS = ("example.com", "example.org", "example.net")
# Addresses of RFC 5118 that the server answers OPTIONS for.
OWN_HOSTS = ("2001:db8::10", "2001:db8::192.0.2.1")
PASSWORD = "secret"


# The stack, sans I/O


def stack() -> Endpoint:
    """An endpoint whose gate admits all."""
    endpoint = Endpoint(entropy=SeededEntropy(1), gate=lambda request, flow, now: Admit())
    for transport in ("UDP", "TCP"):
        endpoint.listening(transport, LOCAL)
    return endpoint


def flow_of(transport: str) -> Flow:
    return Flow(transport, LOCAL, REMOTE, 0 if transport == "UDP" else 1)


def in_words(outputs: Sequence[Output]) -> str:
    """The reaction in the words of the table."""
    words = []
    for output in outputs:
        if isinstance(output, RequestReceived):
            words.append(f"request {output.request.method}")
        elif isinstance(output, MessageDropped):
            words.append(f"dropped {output.reason}")
        elif isinstance(output, Transmit):
            words.append(str(Answer(output.data).status))
        else:
            words.append(type(output).__name__)
    return ", ".join(words)


def react(data: bytes, transport: str = "UDP") -> list[Output]:
    """What a fresh endpoint does with one whole message."""
    return stack().receive(Datagram(data, flow_of(transport)), 0.0)


def react_on_stream(data: bytes, segment: int) -> str:
    """What parser and endpoint make of a stream that comes in segments of this size."""
    parser, endpoint = StreamParser(), stack()
    out: list[Output] = []
    for start in range(0, len(data), segment or len(data)):
        try:
            items = parser.feed(data[start : start + (segment or len(data))])
        except ParseError:
            break
        for item in items:
            if not isinstance(item, KeepAlive):
                out += endpoint.receive(Datagram(item, flow_of("TCP")), 0.0)
    words = [in_words([output]) for output in out]
    if parser.error is not None:
        # The transport answers what cannot be framed, if it can, and closes.
        refusal = _refusal(parser.broken_head, parser.error, (), to_tag="1")
        words += [] if refusal is None else [str(Answer(refusal).status)]
        words.append("closed")
    elif parser.pending > 2:
        words.append("incomplete")
    return ", ".join(words)


def statuses(answers: Sequence[Answer]) -> tuple[int, ...]:
    return tuple(each.status for each in answers)


# A server on sockets


@asynccontextmanager
async def server(host: str = "127.0.0.1") -> AsyncIterator[App]:
    """A registrar whose users nobody knows the passwords of, and one line that is busy for all the world."""
    with Engine(port_range=(21000, 21099)) as engine:
        app = App(
            listen=(f"udp://[{host}]:0", f"tcp://[{host}]:0"),
            registrar=Registrar(DOMAINS, password_of=lambda user: PASSWORD),
            engine=engine,
            entropy=SeededEntropy(1),
            wallclock=lambda: 1.7e9,
            own_hosts=OWN_HOSTS,
        )
        app.on_call("*", public=True)(_busy)
        async with app:
            yield app


async def _busy(call: Call) -> None:
    await call.reject(reasons.BUSY)


class Answer:
    """A response as it came. Read by hand: what is given back of an invalid request may be as invalid."""

    def __init__(self, data: bytes) -> None:
        assert data.startswith(b"SIP/2.0 "), data
        self.status = int(data[8:11])
        head = data.partition(b"\r\n\r\n")[0].decode("utf-8", "surrogateescape")
        self.headers = [(name.strip(), value.strip()) for name, value in _HEADER.findall(head)]

    def get(self, name: str) -> str:
        return next((value for each, value in self.headers if each.lower() == name.lower()), "")

    def get_all(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each.lower() == name.lower()]


_HEADER: Final = re.compile(r"^([^:\r\n]+):([^\r\n]*)", re.MULTILINE)


class Client:
    """One socket connected to the server. Keeps the final responses, each once."""

    def __init__(self, transport: str, local: Address) -> None:
        self.transport = transport
        self.local = local
        self.closed = asyncio.Event()
        self.answers: list[Answer] = []
        self.is_stuck = False  # a stream in the middle of a message: nothing more can be said on it
        self.write: Callable[[bytes], None] = lambda data: None
        self._seen: set[tuple[str, str]] = set()
        self._asked = 0
        self._parser = StreamParser()

    def take(self, data: bytes) -> None:
        """A datagram, or a piece of the stream."""
        items = self._parser.feed(data) if self.transport == "TCP" else [data]
        for item in items:
            if isinstance(item, bytes):
                self._keep(Answer(item))

    def _keep(self, answer: Answer) -> None:
        key = (answer.get("Call-ID"), answer.get("CSeq"))
        if answer.status >= 200 and key not in self._seen:
            self._seen.add(key)
            self.answers.append(answer)

    def forget(self) -> None:
        """What was answered before is answered anew."""
        self.answers.clear()
        self._seen.clear()

    async def until(self, true: Callable[[], bool]) -> None:
        """Let the loop run until it is so."""
        async with asyncio.timeout(PATIENCE):
            while not true():
                await asyncio.sleep(0.001)

    async def final(self, expected: int) -> list[Answer]:
        """The final answers to all that was written: waits for as many as expected, then proves that no more come."""
        await self.until(lambda: len(self.answers) >= expected or self.closed.is_set())
        if not self.is_stuck and not self.closed.is_set():
            await self._ask()
            await self._ask()
        return [each for each in self.answers if not each.get("Call-ID").startswith("sentinel")]

    async def _ask(self) -> None:
        """A request that is answered at once: what was written before it has had its turn."""
        self._asked += 1
        name = f"sentinel-{self._asked}"
        self.write(
            f"OPTIONS sip:example.com SIP/2.0\r\nVia: SIP/2.0/{self.transport} {self.local};branch=z9hG4bK{name}\r\n"
            f"From: <sip:sentinel@example.com>;tag=1\r\nTo: <sip:example.com>\r\nCall-ID: {name}\r\n"
            "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n".encode()
        )
        await self.until(lambda: any(each.get("Call-ID") == name for each in self.answers) or self.closed.is_set())


@asynccontextmanager
async def client(app: App, transport: str, remote: Address | None = None) -> AsyncIterator[Client]:
    """A socket connected to the server; to its first listener of the transport, unless another is named."""
    if remote is None:
        remote = next(each.local for each in app.driver.transports if each.name == transport)
    opened = _udp_client(remote) if transport == "UDP" else _tcp_client(remote)
    async with opened as made:
        yield made


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.client: Client | None = None

    def datagram_received(self, data: bytes, addr: object) -> None:
        assert self.client is not None
        self.client.take(data)


@asynccontextmanager
async def _udp_client(remote: Address) -> AsyncIterator[Client]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(_Datagrams, remote_addr=remote)
    made = Client("UDP", Address(*transport.get_extra_info("sockname")[:2]))
    protocol.client = made
    made.write = transport.sendto
    try:
        yield made
    finally:
        transport.close()
        await asyncio.sleep(0)


class _Stream(asyncio.Protocol):
    def __init__(self) -> None:
        self.client: Client | None = None

    def data_received(self, data: bytes) -> None:
        assert self.client is not None
        self.client.take(data)

    def connection_lost(self, exc: Exception | None) -> None:
        assert self.client is not None
        self.client.closed.set()


@asynccontextmanager
async def _tcp_client(remote: Address) -> AsyncIterator[Client]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_connection(_Stream, *remote)
    transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made = Client("TCP", Address(*transport.get_extra_info("sockname")[:2]))
    protocol.client = made
    made.write = transport.write
    try:
        yield made
    finally:
        transport.abort()
        await asyncio.sleep(0)


async def write_in_segments(sender: Client, data: bytes, segment: int) -> None:
    """Each segment a packet of its own; the server gets its turn between them."""
    if not segment:
        sender.write(data)
        return
    for start in range(0, len(data), segment):
        if sender.closed.is_set():
            return
        sender.write(data[start : start + segment])
        await asyncio.sleep(0)


def events_of(app: App) -> list[Event]:
    """Everything that the endpoint tells the server, from now on."""
    told: list[Event] = []
    listener = app.driver._on_event

    def note(event: Event) -> None:
        told.append(event)
        listener(event)

    app.driver._on_event = note
    return told
