"""UDP and TCP on loopback sockets, under asyncio and uvloop, with an endpoint that plays back what it hears."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Self

import pytest
import uvloop

from bench.rig.usage import kernel_drops
from sipcore.aio.driver import Driver
from sipcore.aio.tcp import TcpLimits, TcpTransport, open_tcp
from sipcore.aio.udp import RECEIVE_BUFFER, UdpTransport, open_udp
from sipcore.events import TransactionId
from sipcore.flow import Address, Flow
from sipcore.outputs import Datagram, Output, Transmit
from sipcore.refusals import Refusal
from sipcore.transaction import HeaderPairs

ANY = Address("127.0.0.1", 0)
PATIENCE = 120.0

Loop = Callable[[], asyncio.AbstractEventLoop]
loops = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])


def message(text: str = "x", body: str = "") -> bytes:
    return f"OPTIONS sip:{text} SIP/2.0\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


class Playback:
    """Sends every message back where it came from, in lower case; remembers what it was told."""

    def __init__(self) -> None:
        self.heard: list[Datagram] = []
        self.lost: asyncio.Queue[Flow] = asyncio.Queue()
        self.silent = False
        # What answers are too large for a datagram.
        self.grows = ""
        self.undelivered_to: asyncio.Queue[tuple[Flow, bytes]] = asyncio.Queue()

    def listening(self, transport: str, local: Address) -> None:
        pass

    def receive(self, datagram: Datagram, now: float) -> list[Output]:
        self.heard.append(datagram)
        if self.grows and self.grows.encode() in datagram.data:
            return [Transmit(b"x" * 70_000, datagram.flow)]
        return [] if self.silent else [Transmit(datagram.data.lower(), datagram.flow)]

    def flow_lost(self, flow: Flow, now: float) -> list[Output]:
        self.lost.put_nowait(flow)
        return []

    def undelivered(self, flow: Flow, beginning: bytes, now: float) -> list[Output]:
        self.undelivered_to.put_nowait((flow, beginning))
        return []

    def resolved(self, query: int, answers: Sequence[Address], now: float) -> list[Output]:
        return []

    def handle_timeout(self, now: float) -> list[Output]:
        return []

    def fail(self, transaction: TransactionId, flow: Flow, now: float) -> list[Output]:
        return []

    def refusal_headers(self, refusal: Refusal, flow: Flow) -> HeaderPairs:
        return (("Warning", f'399 {flow.local} "{refusal.name}"'),)

    def next_timeout(self) -> float | None:
        return None

    @property
    def deadlines(self) -> Self:
        return self

    @property
    def soonest(self) -> float:
        return float("inf")


def run(loop: Loop, scenario: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(PATIENCE):
            await scenario()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(limited())


@asynccontextmanager
async def driver() -> AsyncIterator[tuple[Driver, Playback]]:
    endpoint = Playback()
    made = Driver(endpoint, on_event=lambda event: None, loop=asyncio.get_running_loop())
    try:
        yield made, endpoint
    finally:
        await made.close()


@asynccontextmanager
async def listening(**limits: Any) -> AsyncIterator[tuple[TcpTransport, Playback]]:
    async with driver() as (made, endpoint):
        yield await open_tcp(made, ANY, limits=TcpLimits(**limits)), endpoint


@asynccontextmanager
async def connected(transport: TcpTransport) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(*transport.local)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


class Phone(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.got: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.got.put_nowait(data)


@loops
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_datagram_comes_in_with_its_flow_and_the_answer_goes_back(loop: Loop, host: str) -> None:
    async def scenario() -> None:
        async with driver() as (made, endpoint):
            udp = await open_udp(made, Address(host, 0))
            wire, phone = await made.loop.create_datagram_endpoint(Phone, remote_addr=udp.local)
            for noise in (b"", b"\r\n", b"\r\n\r\n"):
                wire.sendto(noise)
            wire.sendto(message())
            assert await phone.got.get() == message().lower()
            name = wire.get_extra_info("sockname")
            assert [each.flow for each in endpoint.heard] == [Flow("UDP", udp.local, Address(name[0], name[1]))]
            wire.close()

    run(loop, scenario)


@loops
def test_a_burst_is_answered_whole_and_in_order_and_so_is_what_comes_after_it(loop: Loop) -> None:
    """Read after pauses while it is busy, and its answers sent together."""

    async def scenario() -> None:
        async with driver() as (made, _):
            udp = await open_udp(made, ANY)
            wire, phone = await made.loop.create_datagram_endpoint(Phone, remote_addr=udp.local)
            for burst in range(40):
                sent = [message(f"{burst}-{number}") for number in range(50)]
                for each in sent:
                    wire.sendto(each)
                assert [await phone.got.get() for _ in sent] == [each.lower() for each in sent]
            assert udp.pauses
            while udp.pauses:
                wire.sendto(message("quiet"))
                assert await phone.got.get() == message("quiet").lower()
                await asyncio.sleep(0.002)
            wire.sendto(message("last"))
            assert await phone.got.get() == message("last").lower()
            wire.close()

    run(loop, scenario)


@loops
def test_one_answer_that_cannot_be_sent_keeps_no_other_back(loop: Loop) -> None:
    async def scenario() -> None:
        async with driver() as (made, endpoint):
            udp = await open_udp(made, ANY)
            wire, phone = await made.loop.create_datagram_endpoint(Phone, remote_addr=udp.local)
            endpoint.grows = "large"
            for text in ("first", "large", "second"):
                wire.sendto(message(text))
            assert [await phone.got.get() for _ in range(2)] == [message("first").lower(), message("second").lower()]
            assert made.counters["udp_not_sent"] == 1
            wire.close()

    run(loop, scenario)


@loops
def test_the_receive_buffer_is_read_back_and_drops_are_known(loop: Loop) -> None:
    async def scenario() -> None:
        async with driver() as (made, _):
            udp = await open_udp(made, ANY)
            assert udp.receive_buffer > 0
            assert udp.has_short_buffer is (udp.receive_buffer < RECEIVE_BUFFER)
            assert udp.drops() == kernel_drops(udp.local.port) == 0

    run(loop, scenario)


def overflow(udp: UdpTransport) -> int:
    """Send more than the receive buffer may hold, before the loop reads again; how many the kernel says it dropped."""
    before = kernel_drops(udp.local.port)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
        for _ in range(2 * udp.receive_buffer // 2000):
            flood.sendto(message(body="x" * 1500), udp.local)
    dropped = -1
    # On a busy machine the last ones arrive after `sendto` has returned.
    while dropped != (dropped := kernel_drops(udp.local.port)):
        time.sleep(0.01)
    return dropped - before


@loops
def test_what_the_kernel_has_no_room_for_is_counted_as_dropped(loop: Loop) -> None:
    """SO_MEMINFO: the process learns of a flood that it never read."""

    async def scenario() -> None:
        async with driver() as (made, _):
            udp = await open_udp(made, ANY)
            dropped = overflow(udp)
            assert udp.drops() == dropped > 0
            await udp.close()
            assert udp.drops() == dropped

    run(loop, scenario)


@loops
def test_a_taken_port_is_an_error_and_leaves_no_socket(loop: Loop) -> None:
    async def scenario() -> None:
        async with driver() as (made, _):
            udp, tcp = await open_udp(made, ANY), await open_tcp(made, ANY)
            with pytest.raises(OSError):
                await open_udp(made, udp.local)
            with pytest.raises(OSError):
                await open_tcp(made, tcp.local)
            assert len(made.transports) == 2

    run(loop, scenario)


@loops
def test_messages_are_framed_however_they_are_cut(loop: Loop) -> None:
    async def scenario() -> None:
        async with listening() as (transport, endpoint), connected(transport) as (reader, writer):
            stream = message("one", "body") + b"\r\n" + message("two") + message("three", "12345")
            for index in range(len(stream)):
                writer.write(stream[index : index + 1])
                await writer.drain()
            expected = (message("one", "body") + message("two") + message("three", "12345")).lower()
            assert await reader.readexactly(len(expected)) == expected
            assert {each.flow.connection for each in endpoint.heard} == {1}

    run(loop, scenario)


@loops
def test_a_segment_of_many_messages_is_answered_in_full(loop: Loop) -> None:
    async def scenario() -> None:
        async with listening() as (transport, _), connected(transport) as (reader, writer):
            stream = b"".join(message(str(index)) for index in range(500))
            writer.write(stream)
            assert await reader.readexactly(len(stream)) == stream.lower()

    run(loop, scenario)


@loops
def test_a_ping_gets_a_pong_and_reaches_nobody(loop: Loop) -> None:
    async def scenario() -> None:
        async with listening() as (transport, endpoint), connected(transport) as (reader, writer):
            writer.write(b"\r\n\r\n")
            assert await reader.readexactly(2) == b"\r\n"
            assert endpoint.heard == []

    run(loop, scenario)


@loops
def test_lost_framing_closes_the_connection(loop: Loop) -> None:
    async def scenario() -> None:
        async with listening() as (transport, endpoint), connected(transport) as (reader, writer):
            writer.write(b"OPTIONS sip:x SIP/2.0\r\n\r\n")
            assert await reader.read() == b""
            assert await endpoint.lost.get() is not None
            assert transport.driver.counters["tcp_bad_framing"] == 1
            assert (transport.connection_count, endpoint.heard) == (0, [])

    run(loop, scenario)


@loops
def test_a_request_without_a_length_is_refused_after_what_came_before_it(loop: Loop) -> None:
    async def scenario() -> None:
        async with listening() as (transport, endpoint), connected(transport) as (reader, writer):
            head = (
                b"INVITE sip:x SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n"
                b"To: <sip:x>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n\r\n"
            )
            writer.write(message() + head + message("never"))
            answer = await reader.read()
            assert answer.startswith(message().lower() + b"SIP/2.0 400 no Content-Length\r\n")
            assert b"CSeq: 1 INVITE\r\n" in answer
            assert b'"UNREADABLE"\r\n' in answer
            assert [each.data for each in endpoint.heard] == [message()]

    run(loop, scenario)


@pytest.mark.slow
@loops
def test_a_connection_that_ends_is_a_lost_flow_and_so_is_sending_to_it(loop: Loop) -> None:
    async def scenario() -> None:
        async with listening(half_closed_s=0.1) as (transport, endpoint):
            async with connected(transport) as (reader, writer):
                writer.write(message())
                await reader.readexactly(len(message()))
                flow = endpoint.heard[0].flow
            assert await endpoint.lost.get() == flow
            transport.send(flow, b"late")
            assert await endpoint.lost.get() == flow

    run(loop, scenario)


@loops
def test_a_half_closed_peer_still_gets_its_answer(loop: Loop) -> None:
    async def scenario() -> None:
        async with listening() as (transport, endpoint), connected(transport) as (reader, writer):
            endpoint.silent = True
            writer.write(message())
            writer.write_eof()
            while not endpoint.heard:
                await asyncio.sleep(0)
            await asyncio.sleep(0)
            transport.send(endpoint.heard[0].flow, b"200 OK")
            assert await reader.readexactly(6) == b"200 OK"

    run(loop, scenario)


@loops
def test_a_connection_is_opened_on_demand_and_what_was_sent_meanwhile_follows(loop: Loop) -> None:
    async def scenario() -> None:
        async with listening() as (near, near_endpoint), listening() as (far, far_endpoint):
            far_endpoint.silent = False
            near_endpoint.silent = True
            flow = Flow("TCP", near.local, far.local)
            for text in ("one", "two"):
                near.send(flow, message(text))
            while len(near_endpoint.heard) < 2:
                await asyncio.sleep(0)
            assert [each.data for each in near_endpoint.heard] == [message("one").lower(), message("two").lower()]
            assert {each.flow.remote for each in near_endpoint.heard} == {far.local}
            assert near.connection_count == far.connection_count == 1

    run(loop, scenario)


@loops
def test_a_connection_that_cannot_be_made_is_lost(loop: Loop) -> None:
    async def scenario() -> None:
        async with listening() as (transport, endpoint):
            with socket.socket() as nobody:
                nobody.bind(("127.0.0.1", 0))
                flow = Flow("TCP", transport.local, Address(*nobody.getsockname()))
                transport.send(flow, b"x")
                assert await endpoint.lost.get() == replace(flow, connection=1)
            assert transport.connection_count == 0

    run(loop, scenario)


@loops
def test_closing_while_connecting_ends_and_leaks_nothing(loop: Loop) -> None:
    async def scenario() -> None:
        async with listening() as (near, _), listening() as (far, _):
            near.send(Flow("TCP", near.local, far.local), b"x")

    run(loop, scenario)


@loops
def test_a_peer_that_does_not_read_is_cut_off(loop: Loop) -> None:
    async def scenario() -> None:
        async with listening(write_queue=65536) as (transport, endpoint), connected(transport) as (_, writer):
            endpoint.silent = True
            writer.write(message())
            while not endpoint.heard:
                await asyncio.sleep(0)
            flow = endpoint.heard[0].flow
            while not transport.driver.counters["tcp_slow_reader"]:
                transport.send(flow, b"x" * 32768)
            await endpoint.lost.get()
            assert transport.connection_count == 0

    run(loop, scenario)


@pytest.mark.slow
@loops
def test_a_peer_that_stops_reading_short_of_the_limit_is_cut_off_by_the_clock(loop: Loop) -> None:
    async def scenario() -> None:
        async with listening(write_queue=65536, stalled_reader_s=0.2) as (transport, endpoint):
            with socket.socket() as peer:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                peer.connect((transport.local.host, transport.local.port))
                endpoint.silent = True
                peer.sendall(message())
                while not endpoint.heard:
                    await asyncio.sleep(0)
                [connection] = transport._connections.values()
                assert connection._transport is not None
                # More than a quarter of the queue is where the clock starts.
                while connection._transport.get_write_buffer_size() <= 65536 // 4:
                    transport.send(endpoint.heard[0].flow, b"x" * 4096)
                await endpoint.lost.get()
            counters = transport.driver.counters
            assert (counters["tcp_too_slow"], counters["tcp_slow_reader"]) == (1, 0)

    run(loop, scenario)


@loops
def test_who_is_cut_off_while_its_clock_runs_out_is_counted_once(loop: Loop) -> None:
    async def scenario() -> None:
        async with listening(write_queue=65536, first_message_s=0.0) as (transport, endpoint), connected(transport):
            while not transport._watched:
                await asyncio.sleep(0)
            [connection] = transport._connections.values()
            connection.send(b"x" * (8 << 20))
            transport._sweep()
            await endpoint.lost.get()
            assert (transport.driver.counters["tcp_slow_reader"], transport.driver.counters["tcp_too_slow"]) == (1, 0)

    run(loop, scenario)


@loops
def test_one_address_has_a_bounded_number_of_connections(loop: Loop) -> None:
    async def scenario() -> None:
        async with listening(connections_per_ip=1) as (transport, _), connected(transport) as (reader, writer):
            writer.write(message())
            await reader.readexactly(len(message()))
            async with connected(transport) as (refused, _):
                with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                    await refused.readexactly(1)
            assert transport.driver.counters["tcp_refused"] == 1

    run(loop, scenario)


@loops
def test_a_stranger_makes_room_and_who_authenticated_stays(loop: Loop) -> None:
    async def scenario() -> None:
        async with listening(connections=2) as (transport, endpoint), connected(transport) as (reader, writer):
            writer.write(message())
            await reader.readexactly(len(message()))
            transport.driver.authenticated(endpoint.heard[0].flow)
            async with connected(transport) as (stranger, other), connected(transport) as (third, last):
                other.write(b"\r\n\r\n")
                last.write(message())
                assert await third.readexactly(len(message())) == message().lower()
                with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                    await stranger.readexactly(3)
            writer.write(message())
            assert await reader.readexactly(len(message())) == message().lower()
            assert transport.driver.counters["tcp_evicted"] == 1

    run(loop, scenario)


@pytest.mark.slow
@loops
@pytest.mark.parametrize("sent", [b"", b"OPTIONS sip:x", b"\r\n\r\n"])
def test_who_does_not_send_a_first_message_in_time_is_cut_off(loop: Loop, sent: bytes) -> None:
    async def scenario() -> None:
        async with listening(first_message_s=0.1) as (transport, endpoint), connected(transport) as (_, writer):
            writer.write(sent)
            await endpoint.lost.get()
            assert transport.driver.counters["tcp_too_slow"] == 1

    run(loop, scenario)


@pytest.mark.slow
@loops
def test_a_message_that_drips_is_cut_off_and_an_idle_connection_is_not(loop: Loop) -> None:
    async def scenario() -> None:
        async with (
            listening(message_s=0.1, first_message_s=0.1) as (transport, endpoint),
            connected(transport) as (idle, quiet),
            connected(transport) as (reader, writer),
        ):
            for each, other in ((quiet, idle), (writer, reader)):
                each.write(message())
                await other.readexactly(len(message()))
            writer.write(b"OPTIONS sip:")
            await endpoint.lost.get()
            assert transport.connection_count == 1
            quiet.write(message())
            assert await idle.readexactly(len(message())) == message().lower()

    run(loop, scenario)


@loops
@pytest.mark.rfc(
    "3261",
    "18.4",
    "If the transport user asks for a message to be sent over an unreliable transport, and the result is an ICMP "
    "error, the behavior depends on the type of ICMP error. Host, network, port or protocol unreachable errors, or "
    "parameter problem errors SHOULD cause the transport layer to inform the transport user of a failure in "
    "sending.",
)
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_endpoint_hears_what_did_not_arrive_and_other_datagrams_are_not_lost(loop: Loop, host: str) -> None:
    async def scenario() -> None:
        async with driver() as (made, endpoint):
            udp = await open_udp(made, Address(host, 0))
            wire, phone = await made.loop.create_datagram_endpoint(Phone, local_addr=(host, 0))
            name = wire.get_extra_info("sockname")
            good, closed = Flow("UDP", udp.local, Address(name[0], name[1])), Flow("UDP", udp.local, Address(host, 9))
            for turn in range(20):
                udp.send(closed, message("closed"))
                udp.send(good, message(str(turn)))
                assert await phone.got.get() == message(str(turn))
            flow, beginning = await endpoint.undelivered_to.get()
            assert flow == closed
            assert message("closed").startswith(beginning) and beginning
            wire.sendto(message("HELLO"), tuple(udp.local))
            assert await phone.got.get() == message("HELLO").lower()
            wire.close()

    run(loop, scenario)


@loops
def test_a_datagram_that_the_kernel_refuses_is_undelivered_too(loop: Loop) -> None:
    async def scenario() -> None:
        async with driver() as (made, endpoint):
            udp = await open_udp(made, ANY)
            nowhere = Flow("UDP", udp.local, Address("203.0.113.1", 9))
            udp.send(nowhere, b"x" * 70_000)
            assert await endpoint.undelivered_to.get() == (nowhere, b"x" * 70_000)
            assert made.counters["udp_not_sent"] == 1

    run(loop, scenario)
