"""Digits that a port sends (RFC 4733): their packets, their place in the stream, our own detector reads them."""

from __future__ import annotations

import pytest
from media_bench import Bench, Sent, rtp

from media import DigitReceived, DigitsSent, EncodedAudio, PlaybackFinished, Port
from media.codecs import PCMA, PCMU, Format

ALICE, BOB = ("192.0.2.1", 4000), ("192.0.2.2", 4000)


def opened(bench: Bench) -> Port:
    port = bench.open(ALICE)
    bench.engine.set_remote(port, ALICE, payload_types={0, 101}, telephone_event=101)
    return port


def parsed(one: Sent) -> tuple[int, bool, int]:
    """Event, end bit, duration."""
    assert len(one.packet) == 16 and one.payload_type == 101 and one.packet[13] & 0x7F == 10
    return one.packet[12], one.packet[13] >= 0x80, int.from_bytes(one.packet[14:16], "big")


@pytest.mark.rfc("4733", "2.5.1.4")
def test_a_digit_grows_by_20_ms_and_its_end_is_sent_three_times(bench: Bench) -> None:
    port = opened(bench)
    number = bench.engine.send_digits(port, "5", payload_type=101)
    bench.wait(0.3)
    sent = bench.sent()
    assert [parsed(one) for one in sent] == [
        *((5, False, units) for units in (160, 320, 480, 640)),
        *((5, True, 800),) * 3,
    ]
    assert len({one.timestamp for one in sent}) == 1
    assert [one.marker for one in sent] == [True] + [False] * 6
    assert [one.sequence - sent[0].sequence for one in sent] == list(range(7))
    assert bench.engine.drain() == [DigitsSent(port, number)]


@pytest.mark.rfc("4733", "2.5.1.2")
def test_the_next_digit_starts_with_its_own_timestamp_after_the_pause(bench: Bench) -> None:
    port = opened(bench)
    bench.engine.send_digits(port, "12", payload_type=101, duration=0.1, pause=0.1)
    bench.wait(0.5)
    sent = bench.sent()
    first, second = (sorted({one.timestamp for one in sent})[index] for index in (0, 1))
    assert second - first == 1600  # 200 ms
    assert [one.marker for one in sent].count(True) == 2


def test_a_prompt_rests_for_the_digits_and_the_clock_of_the_stream_runs_on(bench: Bench) -> None:
    port = opened(bench)
    number = bench.engine.play(port, [EncodedAudio(bytes([1, 2, 3, 4]) * 160)], payload_type=0, silence=0xFF)
    bench.wait(0.04)
    bench.engine.send_digits(port, "9", payload_type=101)
    bench.wait(0.5)
    sent = bench.sent()
    kinds = [one.payload_type for one in sent]
    assert kinds == [0, 0, *[101] * 7, 0, 0]
    assert [one.sequence - sent[0].sequence for one in sent] == list(range(11))
    key, after = sent[2], sent[9]
    assert key.timestamp - sent[1].timestamp == 160
    assert after.timestamp - key.timestamp == 160 * 11  # ten ticks of digit and pause, and the one that told its end
    assert after.marker
    assert PlaybackFinished(port, number, "finished", 640) in bench.engine.drain()


def test_every_digit_that_one_port_sends_another_reads_once(bench: Bench) -> None:
    sender, receiver = opened(bench), bench.open(BOB)
    bench.engine.set_remote(receiver, BOB, payload_types={0, 101}, telephone_event=101)
    digits = "0123456789*#ABCD1122"
    bench.engine.send_digits(sender, digits, payload_type=101, duration=0.06, pause=0.06)
    read = ""
    for _ in range(len(digits) * 6 + 20):
        bench.wait(0.02)
        for one in bench.sent():
            bench.engine.feed(receiver, one.packet, BOB)
        read += "".join(event.digit for event in bench.engine.drain() if isinstance(event, DigitReceived))
    assert read == digits


def test_another_run_of_digits_ends_the_one_before(bench: Bench) -> None:
    port = opened(bench)
    first = bench.engine.send_digits(port, "123", payload_type=101)
    bench.wait(0.1)
    second = bench.engine.send_digits(port, "4", payload_type=101)
    bench.wait(1.0)
    assert bench.engine.drain() == [DigitsSent(port, first), DigitsSent(port, second)]
    assert {parsed(one)[0] for one in bench.sent()} == {1, 4}


def test_digits_without_a_listener_take_their_time_too(bench: Bench) -> None:
    port = bench.open()
    number = bench.engine.send_digits(port, "1", payload_type=101)
    bench.wait(0.2)
    assert bench.engine.drain() == []
    bench.wait(0.1)
    assert bench.engine.drain() == [DigitsSent(port, number)] and bench.sent() == []


@pytest.mark.parametrize(
    ("digits", "duration", "pause"),
    [("", 0.1, 0.1), ("1" * 33, 0.1, 0.1), ("1", 0.01, 0.1), ("1", 9.0, 0.1), ("1", 0.1, 0)],
)
def test_impossible_digits_are_refused(bench: Bench, digits: str, duration: float, pause: float) -> None:
    with pytest.raises(ValueError, match="digits of"):
        bench.engine.send_digits(opened(bench), digits, payload_type=101, duration=duration, pause=pause)


def test_the_same_key_twice_in_silence_is_two_keys_to_a_transcoded_peer(bench: Bench) -> None:
    """With nothing between them that moves the sender's clock: the far side tells keys by their timestamps."""
    a, b = opened(bench), bench.open(BOB, ssrc=2)
    for port, form in ((a, Format(PCMU, 0)), (b, Format(PCMA, 8))):
        bench.engine.set_audio(port, rate=8000, receive=[form], send=form, encodes=True)
    bench.engine.connect(a, b, a_to_b={101: 101}, b_to_a={})
    ear = opened(bench)
    for number in range(3):
        for at in range(3):
            end = rtp(3 * number + at, number * 8000, payload_type=101, payload=b"\x05\x8a\x03\x20")
            bench.engine.feed(a, end, ALICE)
        bench.wait(1.0)
    sent = [one for one in bench.sent() if one.port is b]
    assert len(sent) == 21 and [one.marker for one in sent].count(True) == 3
    for one in sent:
        bench.engine.feed(ear, one.packet, ALICE)
    read = [event for event in bench.engine.drain() if isinstance(event, DigitReceived) and event.port is ear]
    assert [event.digit for event in read] == ["5"] * 3
    steps = [sent[at + 7].timestamp - sent[at].timestamp for at in (0, 7)]
    assert steps == [8000, 8000]
