"""Digits of RFC 4733 as they pass: one event each, however their packets fare."""

from __future__ import annotations

import random
import struct

import pytest
from media_bench import Bench, rtp

from media import DigitReceived, Port

ALICE = ("192.0.2.1", 4000)


@pytest.fixture
def port(bench: Bench) -> Port:
    port = bench.open(ALICE)
    bench.engine.set_remote(port, ALICE, payload_types={0, 101}, telephone_event=101)
    return port


def event_packet(
    sequence: int, timestamp: int, event: int, duration: int, *, end: bool = False, marker: bool = False
) -> bytes:
    payload = struct.pack("!BBH", event, 0x8A if end else 0x0A, duration)
    packet = bytearray(rtp(sequence, timestamp, payload_type=101, payload=payload))
    packet[1] |= 0x80 if marker else 0
    return bytes(packet)


def key_press(sequence: int, timestamp: int, event: int, *, packets: int = 5) -> list[bytes]:
    """A start, updates, and the end three times."""
    updates = [event_packet(sequence + i, timestamp, event, 160 * (i + 1), marker=i == 0) for i in range(packets)]
    return updates + [event_packet(sequence + packets + i, timestamp, event, 160 * packets, end=True) for i in range(3)]


def press(bench: Bench, port: Port, packets: list[bytes]) -> list[DigitReceived]:
    for packet in packets:
        bench.engine.feed(port, packet, ALICE)
        bench.wait(0.02)
    return digits(bench)


def digits(bench: Bench) -> list[DigitReceived]:
    return [event for event in bench.engine.drain() if isinstance(event, DigitReceived)]


@pytest.mark.rfc("4733", "2.5.1.4")
def test_three_end_packets_are_one_digit_with_its_duration(bench: Bench, port: Port) -> None:
    assert press(bench, port, key_press(10, 1600, 5)) == [DigitReceived(port, "5", 0.1)]


@pytest.mark.parametrize(("event", "digit"), list(enumerate("0123456789*#ABCD")))
def test_each_event_code_is_its_key(bench: Bench, port: Port, event: int, digit: str) -> None:
    assert [one.digit for one in press(bench, port, key_press(10, 1600, event))] == [digit]


def test_a_start_without_marker_counts(bench: Bench, port: Port) -> None:
    assert [one.digit for one in press(bench, port, key_press(10, 1600, 1)[1:])] == ["1"]


def test_an_end_packet_alone_counts(bench: Bench, port: Port) -> None:
    assert [one.digit for one in press(bench, port, key_press(10, 1600, 1)[-1:])] == ["1"]


def test_the_same_digit_twice_is_two_events(bench: Bench, port: Port) -> None:
    packets = key_press(10, 1600, 1) + key_press(30, 4800, 1)
    assert [one.digit for one in press(bench, port, packets)] == ["1", "1"]


def test_when_every_end_packet_is_lost_silence_ends_the_digit(bench: Bench, port: Port) -> None:
    assert press(bench, port, key_press(10, 1600, 7)[:5]) == []
    bench.wait(0.3)
    assert digits(bench) == [DigitReceived(port, "7", 0.1)]


def test_when_every_end_packet_is_lost_the_next_digit_ends_the_one_before(bench: Bench, port: Port) -> None:
    packets = key_press(10, 1600, 1)[:5] + key_press(20, 3200, 2)
    assert [one.digit for one in press(bench, port, packets)] == ["1", "2"]


def test_an_end_repeated_after_the_next_digit_began_is_not_another(bench: Bench, port: Port) -> None:
    first, second = key_press(10, 1600, 1), key_press(18, 3200, 2)
    assert [one.digit for one in press(bench, port, first[:-1] + second[:2] + first[-1:] + second[2:])] == ["1", "2"]


@pytest.mark.rfc("4733", "2.5.1.3")
def test_a_long_event_in_segments_is_one_digit(bench: Bench, port: Port) -> None:
    first = [event_packet(i, 0, 9, duration) for i, duration in enumerate((160, 0x8000, 0xFFFF))]
    second = [event_packet(3, 0xFFFF, 9, 160), event_packet(4, 0xFFFF, 9, 320, end=True)]
    [digit] = press(bench, port, first + second)
    assert digit == DigitReceived(port, "9", (0xFFFF + 320) // 8 / 1000)


def test_flash_and_fax_events_and_short_payloads_are_no_digits(bench: Bench, port: Port) -> None:
    packets = [*key_press(10, 1600, 16), rtp(30, 3200, payload_type=101, payload=b"\x01\x8a")]
    assert press(bench, port, packets) == []


def test_a_muted_port_still_reports_digits(bench: Bench, port: Port) -> None:
    bench.engine.mute(port)
    assert [one.digit for one in press(bench, port, key_press(10, 1600, 3))] == ["3"]


def test_the_relay_passes_events_with_the_offset_of_the_stream(bench: Bench, port: Port) -> None:
    other = bench.open(("192.0.2.2", 4000), timestamp=1_000_000)
    bench.engine.connect(port, other, a_to_b={0: 0, 101: 96}, b_to_a={})
    bench.engine.feed(port, rtp(9, 1440), ALICE)
    press(bench, port, key_press(10, 1600, 4))
    speech, *events = bench.sent()
    assert {(one.payload_type, one.timestamp - speech.timestamp) for one in events} == {(96, 160)}
    assert {one.sequence - speech.sequence for one in events} == set(range(1, 9))


def test_digits_survive_loss_duplication_and_reordering_with_none_doubled(bench: Bench, port: Port) -> None:
    draw = random.Random(7)
    pressed, packets, sequence = [], [], 0
    for number in range(500):
        pressed.append(draw.randrange(12))
        packets += key_press(sequence, number * 1600, pressed[-1])
        sequence += 8
    line = [(index + draw.choice((0, 0, 0, 2.5)), packet) for index, packet in enumerate(packets)]
    line = [item for item in line if draw.random() > 0.05]
    line += [(index + draw.random() * 4, packet) for index, packet in line if draw.random() < 0.05]
    heard = press(bench, port, [packet for _, packet in sorted(line)])
    assert [one.digit for one in heard] == ["0123456789*#"[digit] for digit in pressed]
