"""The worker threads with real sockets on loopback: what the manual clock cannot show."""

from __future__ import annotations

import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from media import DigitReceived, Engine, EngineClosedError, MediaTimeout, NoPortsLeftError, Port, SourceLatched
from media.stats import AudioStats, PortStats

LOOPBACK = "127.0.0.1"
RANGE = (30000, 30999)  # below the range that the kernel gives to anyone
PASS = {0: 0, 101: 101}


def rtp(number: int, *, ssrc: int = 7, payload_type: int = 0, payload: bytes = b"\xd5" * 160) -> bytes:
    return struct.pack("!BBHII", 0x80, payload_type, number & 0xFFFF, number * 160, ssrc) + payload


@pytest.fixture
def phone() -> Iterator[Callable[[], socket.socket]]:
    sockets: list[socket.socket] = []

    def make() -> socket.socket:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind((LOOPBACK, 0))
        one.settimeout(5.0)
        sockets.append(one)
        return one

    yield make
    for one in sockets:
        one.close()


def open_port(engine: Engine, remote: socket.socket | None = None) -> Port:
    port = engine.open_port(LOOPBACK, ssrc=99, sequence=1, timestamp=1)
    if remote:
        engine.set_remote(port, remote.getsockname(), payload_types={0, 101}, telephone_event=101)
    return port


def exchange(sender: socket.socket, port: Port, receiver: socket.socket, number: int) -> bytes:
    sender.sendto(rtp(number), (LOOPBACK, port.rtp_port))
    return receiver.recv(2048)


def settle(sender: socket.socket, port: Port, receiver: socket.socket) -> None:
    """Send one packet until it arrives: the ports may still be on their way between two workers."""

    def arrives() -> bool:
        sender.sendto(rtp(0), (LOOPBACK, port.rtp_port))
        return bool(select.select([receiver], [], [], 0.02)[0])

    until(arrives)
    while select.select([receiver], [], [], 0.05)[0]:
        receiver.recv(2048)


def until(fact: Callable[[], object], seconds: float = 60.0) -> None:
    """The worker reads commands in its own time: look until it has."""
    end = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < end, "the worker has not done it"
        select.select([], [], [], 0.002)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_call_is_relayed_both_ways_whichever_workers_its_ports_began_on(
    phone: Callable[[], socket.socket], workers: int
) -> None:
    with Engine(port_range=RANGE, workers=workers) as engine:
        for _ in range(4):
            alice, bob = phone(), phone()
            a, b = open_port(engine, alice), open_port(engine, bob)
            engine.connect(a, b, a_to_b=PASS, b_to_a=PASS)
            settle(alice, a, bob)
            settle(bob, b, alice)
            began = engine.stats(a).packets_in
            for number in range(1, 11):
                assert exchange(alice, a, bob, number)[12:] == rtp(number)[12:]
                assert exchange(bob, b, alice, number)[12:] == rtp(number)[12:]
            assert engine.stats(a).packets_in - began == 10
            assert engine.stats(a).dropped.keys() <= {"no_route"}


def test_ports_change_partners_between_workers(phone: Callable[[], socket.socket]) -> None:
    with Engine(port_range=RANGE, workers=2) as engine:
        phones = [phone() for _ in range(4)]
        ports = [open_port(engine, one) for one in phones]
        for turn in range(12):
            first, second = turn % 4, (turn + 1 + turn // 4) % 4
            if first == second:
                continue
            engine.connect(ports[first], ports[second], a_to_b=PASS, b_to_a=PASS)
            settle(phones[first], ports[first], phones[second])


def test_a_socket_that_is_connected_after_the_latch_keeps_strangers_out(phone: Callable[[], socket.socket]) -> None:
    with Engine(port_range=RANGE) as engine:
        alice, stranger = phone(), phone()
        port = open_port(engine, alice)
        engine.echo(port)
        exchange(alice, port, alice, 0)
        table = Path("/proc/net/udp")
        connected = f":{port.rtp_port:04X} 0100007F:{alice.getsockname()[1]:04X}"
        until(lambda: connected in table.read_text())
        for number in range(20):
            stranger.sendto(rtp(number, ssrc=666), (LOOPBACK, port.rtp_port))
        exchange(alice, port, alice, 1)
        assert not select.select([stranger], [], [], 0)[0]
        assert engine.stats(port).packets_in == 2


def test_a_new_offer_moves_a_connected_port(phone: Callable[[], socket.socket]) -> None:
    with Engine(port_range=RANGE) as engine:
        alice, moved = phone(), phone()
        port = open_port(engine, alice)
        engine.echo(port)
        exchange(alice, port, alice, 0)
        until(
            lambda: f":{port.rtp_port:04X} 0100007F:{alice.getsockname()[1]:04X}" in Path("/proc/net/udp").read_text()
        )
        engine.set_remote(port, moved.getsockname(), payload_types={0})
        until(lambda: f":{port.rtp_port:04X} 00000000:0000" in Path("/proc/net/udp").read_text())
        assert exchange(moved, port, moved, 1)


def worker_wakes() -> int:
    """How often the engine's one worker has slept until now."""
    tasks = Path("/proc/self/task").iterdir()
    (worker,) = (task for task in tasks if (task / "comm").read_text().strip() == "voipat-media")
    (line,) = (line for line in (worker / "status").read_text().splitlines() if line.startswith("voluntary"))
    return int(line.split()[1])


def test_a_port_that_passes_nothing_on_is_read_at_the_tick(phone: Callable[[], socket.socket]) -> None:
    packets = 300
    with Engine(port_range=RANGE) as engine:
        alice = phone()
        port = open_port(engine, alice)
        alice.sendto(rtp(0), (LOOPBACK, port.rtp_port))
        until(lambda: engine.stats(port).packets_in)
        time.sleep(0.3)  # the worker looks at each port every 160 ms
        before, began = worker_wakes(), time.monotonic()
        for number in range(1, packets + 1):
            alice.sendto(rtp(number), (LOOPBACK, port.rtp_port))
            time.sleep(0.001)
        until(lambda: engine.stats(port).packets_in == packets + 1)
        ticks = (time.monotonic() - began) / 0.02
        assert worker_wakes() - before < ticks + packets / 2


def test_what_lay_until_the_tick_came_when_it_came(phone: Callable[[], socket.socket]) -> None:
    with Engine(port_range=RANGE) as engine:
        alice = phone()
        port = open_port(engine, alice)
        number = 0

        def is_steady() -> bool:
            nonlocal number
            number += 1
            stamp = int(time.monotonic() * 8000) & 0xFFFFFFFF
            alice.sendto(struct.pack("!BBHII", 0x80, 0, number, stamp, 7) + b"\xd5" * 160, (LOOPBACK, port.rtp_port))
            time.sleep(0.007)  # of which a tick sees two or three at once: some 9 ms of jitter, were it asked
            return number > 200 and engine.stats(port).jitter_ms < 3.0

        until(is_steady)


def test_a_port_that_waited_for_the_tick_relays_at_once(phone: Callable[[], socket.socket]) -> None:
    with Engine(port_range=RANGE) as engine:
        alice, bob = phone(), phone()
        a, b = open_port(engine, alice), open_port(engine, bob)
        for one, port in ((alice, a), (bob, b)):
            one.sendto(rtp(0), (LOOPBACK, port.rtp_port))
        time.sleep(0.3)
        engine.connect(a, b, a_to_b=PASS, b_to_a=PASS)
        settle(alice, a, bob)

        def is_quick() -> bool:
            began = time.monotonic()
            exchange(alice, a, bob, 1)
            exchange(bob, b, alice, 1)  # at once after what a tick has brought: a whole one, if it waited
            return time.monotonic() - began < 0.01

        until(is_quick)


def test_a_port_that_was_just_opened_has_counted_nothing(phone: Callable[[], socket.socket]) -> None:
    """Its slot had another call before, and the worker may not have opened it yet: a call that ends at once says so."""
    with Engine(port_range=RANGE) as engine:
        alice, slots = phone(), set[int]()
        for _ in range(20):
            port = engine.open_port(LOOPBACK, ssrc=99, sequence=1, timestamp=1)
            slots.add(port.id & 0xFFFFF)
            assert engine.stats(port) == PortStats() and engine.audio_stats(port) == AudioStats()
            engine.set_remote(port, alice.getsockname())
            engine.echo(port)
            settle(alice, port, alice)
            assert engine.stats(port).packets_out > 0
            engine.close_port(port)
            time.sleep(0.05)  # the worker frees the slot, most times
        assert len(slots) < 20, "no slot was taken again"


LISTENS = """
import time
from media import Engine
from media.codecs import PCMU, Format

with Engine(port_range=(31000, 31009)) as engine:
    port, form = engine.open_port("127.0.0.1", ssrc=1, sequence=1, timestamp=1), Format(PCMU, 0)
    engine.set_audio(port, rate=8000, receive=[form], told=[form], send=form)
    tap, frames = engine.tap(port, side="mixed", drop="newest"), []
    end = time.monotonic() + 2.0
    print("ready", flush=True)
    while time.monotonic() < end:
        while (frame := tap.read()) is not None:
            frames.append((time.monotonic(), frame.at, frame.lost))
        time.sleep(0.005)
print(frames[-1][0] - frames[0][0], frames[-1][1] - frames[0][1], sum(lost for _, _, lost in frames))
"""


def test_a_machine_that_stood_still_is_a_gap_on_the_time_line_of_who_listens() -> None:
    with subprocess.Popen([sys.executable, "-c", LISTENS], stdout=subprocess.PIPE, text=True) as listener:
        assert listener.stdout is not None
        listener.stdout.readline()
        time.sleep(0.3)
        listener.send_signal(signal.SIGSTOP)
        time.sleep(0.6)
        listener.send_signal(signal.SIGCONT)
        passed, heard, lost = (float(word) for word in listener.stdout.read().split())
    assert passed == pytest.approx(heard, abs=0.12)
    assert lost >= 20


def test_events_make_the_descriptor_readable(phone: Callable[[], socket.socket]) -> None:
    with Engine(port_range=RANGE, media_timeout=0.3) as engine:
        alice = phone()
        port = open_port(engine, alice)
        engine.echo(port)
        exchange(alice, port, alice, 0)
        digit = struct.pack("!BBH", 5, 0x8A, 800)
        alice.sendto(rtp(1, payload_type=101, payload=digit), (LOOPBACK, port.rtp_port))
        events: list[object] = []
        while not any(isinstance(event, MediaTimeout) for event in events):
            assert select.select([engine.fileno()], [], [], 5.0)[0], events
            events += engine.drain()
        assert events == [SourceLatched(port, alice.getsockname()), DigitReceived(port, "5", 0.1), MediaTimeout(port)]
        assert not select.select([engine.fileno()], [], [], 0)[0]


def test_a_vanished_phone_costs_no_other_packet(phone: Callable[[], socket.socket]) -> None:
    with Engine(port_range=RANGE) as engine:
        alice, bob = phone(), phone()
        a, b = open_port(engine, alice), open_port(engine, bob)
        engine.connect(a, b, a_to_b=PASS, b_to_a=PASS)
        exchange(alice, a, bob, 0)
        exchange(bob, b, alice, 0)
        address = bob.getsockname()
        bob.close()
        for number in range(1, 20):
            alice.sendto(rtp(number), (LOOPBACK, a.rtp_port))
        until(lambda: engine.stats(a).packets_in == 20)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
            again.bind(address)
            again.settimeout(5.0)
            again.sendto(rtp(1), (LOOPBACK, b.rtp_port))
            assert alice.recv(2048)


EXPEDITED = 0xB8  # RFC 3246: DSCP 46, and no ECN


@pytest.mark.parametrize("is_relayed", [False, True], ids=["echoed", "relayed"])
@pytest.mark.parametrize("host", [LOOPBACK, "::1"])
def test_media_is_marked_as_expedited_forwarding(host: str, is_relayed: bool) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with (
        socket.socket(family, socket.SOCK_DGRAM) as alice,
        socket.socket(family, socket.SOCK_DGRAM) as bob,
        Engine(port_range=RANGE) as engine,
    ):
        for phone in (alice, bob):
            phone.bind((host, 0))
            phone.settimeout(5.0)
        hearer = bob if is_relayed else alice
        if family == socket.AF_INET6:
            hearer.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
        else:
            hearer.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        a, b = [
            engine.open_port(host, remote=phone.getsockname()[:2], ssrc=99, sequence=1, timestamp=1)
            for phone in (alice, bob)
        ]
        if is_relayed:
            engine.connect(a, b, a_to_b=PASS, b_to_a=PASS)
        else:
            engine.echo(a)

        def arrives() -> bool:
            alice.sendto(rtp(0), (host, a.rtp_port))
            return bool(select.select([hearer], [], [], 0.05)[0])

        until(arrives)
        _, [(_, _, mark)], _, _ = hearer.recvmsg(2048, 64)
        assert mark[0] == EXPEDITED


def test_a_number_taken_by_another_program_is_passed_over() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((LOOPBACK, RANGE[0]))
        with Engine(port_range=(RANGE[0], RANGE[0] + 3)) as engine:
            assert open_port(engine).rtp_port == RANGE[0] + 2
            with pytest.raises(NoPortsLeftError):
                open_port(engine)


def test_an_address_that_is_not_ours_is_an_error_and_leaks_nothing() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with Engine(port_range=RANGE) as engine:
        for _ in range(10):
            with pytest.raises(OSError, match="assign"):
                engine.open_port("203.0.113.1", ssrc=1, sequence=1, timestamp=1)
        assert engine.open_ports == 0
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_churn_leaks_no_descriptor_no_port_and_no_thread() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with Engine(port_range=RANGE, workers=2) as engine:
        idle = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(4):
            ports = [open_port(engine) for _ in range(50)]
            for a, b in zip(ports[::2], ports[1::2], strict=True):
                engine.connect(a, b, a_to_b=PASS, b_to_a=PASS)
            for port in ports:
                engine.close_port(port)
        until(lambda: len(list(Path("/proc/self/fd").iterdir())) == idle)
        open_port(engine)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    with pytest.raises(EngineClosedError):
        open_port(engine)


def test_ipv6_media_is_relayed_alike() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as alice, Engine(port_range=RANGE) as engine:
        alice.bind(("::1", 0))
        alice.settimeout(5.0)
        address = alice.getsockname()[:2]
        port = engine.open_port("::1", remote=address, ssrc=1, sequence=1, timestamp=1)
        engine.echo(port)
        alice.sendto(rtp(0), ("::1", port.rtp_port))
        assert alice.recv(2048)[12:] == rtp(0)[12:]
        assert engine.stats(port).source == address


def test_a_sprayer_that_starts_first_hears_nothing_and_is_not_heard(phone: Callable[[], socket.socket]) -> None:
    with Engine(port_range=(RANGE[0], RANGE[0] + 39)) as engine, socket.socket(type=socket.SOCK_DGRAM) as sprayer:
        sprayer.bind(("127.0.0.9", 0))
        phones = [phone() for _ in range(20)]
        ports = [open_port(engine) for _ in phones]
        for one, port in zip(phones, ports, strict=True):
            engine.set_remote(port, one.getsockname(), payload_types={0}, signalling=(LOOPBACK, 5060))
            engine.echo(port)
        for number in range(30):
            for one, port in zip(phones, ports, strict=True):
                sprayer.sendto(rtp(number, ssrc=666, payload=b"evil" * 40), (LOOPBACK, port.rtp_port))
                if number >= 10:
                    assert exchange(one, port, one, number)[12:] == rtp(number)[12:]
        assert not select.select([sprayer], [], [], 0)[0]
        assert all(engine.stats(port).packets_in == 20 for port in ports)


def test_what_is_carried_arrives_as_it_was_sent_whichever_workers_its_ports_began_on(
    phone: Callable[[], socket.socket],
) -> None:
    with Engine(port_range=RANGE, workers=2) as engine:
        alice, bob, alice_rtcp, bob_rtcp = (phone() for _ in range(4))
        ports = []
        for one, rtcp in ((alice, alice_rtcp), (bob, bob_rtcp)):
            port = engine.open_port(LOOPBACK, ssrc=0, sequence=0, timestamp=0)
            engine.carry(port, rtp=True)
            engine.set_remote(port, one.getsockname(), remote_rtcp=rtcp.getsockname(), payload_types={96})
            ports.append(port)
        a, b = ports
        engine.connect(a, b, a_to_b={}, b_to_a={})

        def arrives() -> bool:
            alice.sendto(rtp(0, payload_type=96), (LOOPBACK, a.rtp_port))
            return bool(select.select([bob], [], [], 0.02)[0])

        until(arrives)
        while select.select([bob], [], [], 0.05)[0]:
            bob.recv(2048)
        for number in range(1, 200):
            packet = rtp(number, ssrc=number % 3, payload_type=96, payload=bytes(1200))
            alice.sendto(packet, (LOOPBACK, a.rtp_port))
            assert bob.recv(2048) == packet
        pli = bytes.fromhex("81ce0002") + bytes(8)
        bob_rtcp.sendto(pli, (LOOPBACK, b.rtcp_port))
        assert alice_rtcp.recv(2048) == pli
        until(lambda: engine.stats(a).rtcp.packets_out == 1)
