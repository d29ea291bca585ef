"""Prompts and digits from the worker's thread, on real sockets: pace, sharing, barge-in, and that nothing is kept."""

from __future__ import annotations

import gc
import select
import socket
import struct
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from media import DigitReceived, DigitsSent, EncodedAudio, Engine, PlaybackFinished, Port

LOOPBACK = "127.0.0.1"
RANGE = (31000, 31999)  # below the range that the kernel gives to anyone
SECOND = EncodedAudio(b"\x11" * 8000)


@pytest.fixture
def alice() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind((LOOPBACK, 0))
        one.settimeout(5.0)
        yield one


def opened(engine: Engine, remote: socket.socket) -> Port:
    port = engine.open_port(LOOPBACK, ssrc=99, sequence=1, timestamp=1)
    engine.set_remote(port, remote.getsockname(), payload_types={0, 101}, telephone_event=101)
    return port


def play(engine: Engine, port: Port, *prompts: EncodedAudio, turns: int = 1, stop: str = "") -> int:
    return engine.play(port, prompts or (SECOND,), payload_type=0, silence=0xFF, turns=turns, stop_digits=stop)


def until_event(engine: Engine, kind: type, seconds: float = 60.0) -> object:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for event in engine.drain():
            if isinstance(event, kind):
                return event
        select.select([engine.fileno()], [], [], 0.1)
    raise AssertionError(f"no {kind.__name__}")


def waiting(one: socket.socket) -> list[bytes]:
    found = []
    while select.select([one], [], [], 0.05)[0]:
        found.append(one.recv(2048))
    return found


@pytest.mark.slow
def test_a_second_of_prompt_takes_a_second(alice: socket.socket) -> None:
    with Engine(port_range=RANGE) as engine:
        port = opened(engine, alice)
        began = time.monotonic()
        number = play(engine, port)
        assert until_event(engine, PlaybackFinished) == PlaybackFinished(port, number, "finished", 8000)
        assert time.monotonic() - began > 0.9
        packets = waiting(alice)
        assert len(packets) == 50 and all(one[12:] == b"\x11" * 160 for one in packets)
        numbers = [struct.unpack_from("!HI", one, 2) for one in packets]
        assert all((b[0] - a[0], b[1] - a[1]) == (1, 160) for a, b in pairwise(numbers))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_hundred_listeners_share_one_prompt(alice: socket.socket, workers: int) -> None:
    prompt = EncodedAudio(b"\x22" * 800)
    with Engine(port_range=RANGE, workers=workers) as engine:
        ports = [opened(engine, alice) for _ in range(100)]
        for port in ports:
            play(engine, port, prompt)
        del prompt
        gc.collect()  # the lists hold it now
        ended: list[object] = []
        end = time.monotonic() + 60
        while len(ended) < 100 and time.monotonic() < end:
            select.select([engine.fileno()], [], [], 0.1)
            ended += [event.reason for event in engine.drain() if isinstance(event, PlaybackFinished)]
        assert ended == ["finished"] * 100
        assert all(engine.stats(port).packets_out == 5 for port in ports)


def test_a_digit_is_quiet_within_60_ms(alice: socket.socket) -> None:
    with Engine(port_range=RANGE) as engine:
        port = opened(engine, alice)
        number = play(engine, port, turns=0, stop="5")
        alice.recv(2048)
        pressed = time.monotonic()
        for step in range(1, 4):
            payload = struct.pack("!BBH", 5, 10, 160 * step)
            alice.sendto(struct.pack("!BBHII", 0x80, 101, step, 160, 7) + payload, (LOOPBACK, port.rtp_port))
        event = until_event(engine, PlaybackFinished)
        assert isinstance(event, PlaybackFinished) and (event.number, event.reason) == (number, "digit")
        waited = time.monotonic() - pressed  # this thread may have waited for the machine: so may the worker
        late = engine.stats(port).packets_out
        assert isinstance(until_event(engine, DigitReceived), DigitReceived)
        assert engine.stats(port).packets_out - late == 0
        assert len(waiting(alice)) <= 4 + 50 * waited


def test_digits_are_sent_at_their_pace(alice: socket.socket) -> None:
    with Engine(port_range=RANGE) as engine:
        port = opened(engine, alice)
        number = engine.send_digits(port, "12", payload_type=101, duration=0.06, pause=0.06)
        assert until_event(engine, DigitsSent) == DigitsSent(port, number)
        packets = waiting(alice)
        assert [one[12] for one in packets] == [1] * 5 + [2] * 5
        assert [one[13] >> 7 for one in packets] == [0, 0, 1, 1, 1] * 2


def test_a_port_that_plays_moves_to_its_peers_worker_and_closes_in_the_middle(alice: socket.socket) -> None:
    prompt = EncodedAudio(b"\x33" * 80_000)
    with Engine(port_range=RANGE, workers=2) as engine:
        for _ in range(20):
            a, b = opened(engine, alice), opened(engine, alice)
            play(engine, a, prompt)
            play(engine, b, prompt)
            engine.connect(a, b, a_to_b={0: 0}, b_to_a={0: 0})
            alice.recv(2048)
            engine.close_port(a)
            engine.close_port(b)
        port = opened(engine, alice)
        play(engine, port, prompt, turns=0)
        alice.recv(2048)
    assert engine.open_ports == 0  # closed while it played


@pytest.mark.slow
def test_a_thread_of_python_that_does_not_let_go_is_not_heard(alice: socket.socket) -> None:
    with Engine(port_range=RANGE) as engine:
        port = opened(engine, alice)
        play(engine, port, turns=0)
        alice.recv(2048)
        began, before = time.monotonic(), engine.stats(port).packets_out
        while time.monotonic() < began + 0.5:  # holds the GIL but for its switches
            pass
        sent = engine.stats(port).packets_out - before
        due = 50 * (time.monotonic() - began)
        assert 0.8 * due <= sent <= 1.2 * due
