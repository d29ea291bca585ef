"""Prompts as a port plays them: pacing, order, continuity with what was sent before, ends and barge-in."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from media_bench import Bench, Sent, rtp

from media import DigitReceived, EncodedAudio, MediaTimeout, PlaybackFinished, Port, SourceLatched, StaleHandleError

ALICE, BOB = ("192.0.2.1", 4000), ("192.0.2.2", 4000)
SILENCE = 0xFF


def frames(*codes: int) -> EncodedAudio:
    """One frame of 20 ms for each code."""
    return EncodedAudio(b"".join(bytes([code]) * 160 for code in codes))


def opened(bench: Bench, **numbers: int) -> Port:
    port = bench.open(ALICE, **numbers)
    bench.engine.set_remote(port, ALICE, payload_types={0, 101}, telephone_event=101)
    return port


def play(bench: Bench, port: Port, *prompts: EncodedAudio, turns: int = 1, start: float = 0.0, stop: str = "") -> int:
    return bench.engine.play(port, prompts, payload_type=0, silence=SILENCE, turns=turns, start=start, stop_digits=stop)


def codes(sent: list[Sent]) -> list[int]:
    """The code of each frame, all of whose octets are the same."""
    assert all(len(set(one.packet[12:])) == 1 and len(one.packet) == 172 for one in sent)
    return [one.packet[12] for one in sent]


def finished(bench: Bench) -> list[PlaybackFinished]:
    return [event for event in bench.engine.drain() if isinstance(event, PlaybackFinished)]


def key(bench: Bench, port: Port, digit: int, *, end: bool = False, number: int = 500) -> None:
    payload = struct.pack("!BBH", digit, 0x8A if end else 0x0A, 800 if end else 160)
    packet = rtp(number + end, number * 160, payload_type=101, payload=payload)
    bench.engine.feed(port, packet, ALICE)


def test_a_prompt_leaves_a_frame_each_tick_with_the_ports_own_numbers(bench: Bench) -> None:
    port = opened(bench, ssrc=5, sequence=65535, timestamp=2**32 - 160)
    number = play(bench, port, frames(1, 2, 3))
    assert bench.sent() == []
    bench.wait(0.02)
    bench.wait(0.06)
    sent = bench.sent()
    assert codes(sent) == [1, 2, 3] and {(one.ssrc, one.payload_type, one.to) for one in sent} == {(5, 0, ALICE)}
    assert [one.sequence for one in sent] == [65535, 0, 1]
    assert [one.timestamp for one in sent] == [2**32 - 160, 0, 160]
    assert [one.marker for one in sent] == [True, False, False]
    assert bench.engine.drain() == [PlaybackFinished(port, number, "finished", 480)]
    assert not bench.engine.is_producing
    assert bench.engine.stats(port).packets_out == 3 and bench.engine.stats(port).octets_out == 480


def test_the_end_is_told_one_tick_after_the_last_frame(bench: Bench) -> None:
    port = opened(bench)
    play(bench, port, frames(1, 2))
    bench.wait(0.04)
    assert len(bench.sent()) == 2 and finished(bench) == []
    bench.wait(0.02)
    assert bench.sent() == [] and len(finished(bench)) == 1


def test_prompts_follow_each_other_without_a_gap_and_the_last_frame_is_filled_with_silence(bench: Bench) -> None:
    port = opened(bench)
    play(bench, port, EncodedAudio(b"\x01" * 80), EncodedAudio(b"\x02" * 100))
    bench.wait(0.1)
    payloads = [one.packet[12:] for one in bench.sent()]
    assert payloads == [b"\x01" * 80 + b"\x02" * 80, b"\x02" * 20 + bytes([SILENCE]) * 140]
    assert [event.samples for event in finished(bench)] == [180]


def test_turns_repeat_the_list_and_zero_repeats_it_until_it_is_stopped(bench: Bench) -> None:
    port = opened(bench)
    play(bench, port, frames(1), frames(2), turns=2)
    bench.wait(0.2)
    assert codes(bench.sent()) == [1, 2, 1, 2] and finished(bench)[0].reason == "finished"
    number = play(bench, port, frames(3), turns=0)
    bench.wait(20.0)
    assert codes(bench.sent()) == [3] * 1000 and finished(bench) == []
    bench.engine.stop_play(port, number + 1)  # another one: nothing
    assert finished(bench) == []
    bench.engine.stop_play(port, number)
    bench.wait(0.1)
    assert bench.sent() == [] and finished(bench) == [PlaybackFinished(port, number, "stopped", 160_000)]
    bench.engine.stop_play(port, number)
    assert finished(bench) == []


def test_a_start_is_sought_and_one_beyond_the_end_plays_nothing(bench: Bench) -> None:
    port = opened(bench)
    play(bench, port, frames(1, 2), frames(3, 4), start=0.06)
    bench.wait(0.1)
    assert codes(bench.sent()) == [4]
    play(bench, port, frames(1, 2), start=5.0)
    bench.wait(0.1)
    assert bench.sent() == [] and [event.samples for event in finished(bench)] == [160, 0]
    play(bench, port, frames(1, 2), start=0.06, turns=0)
    bench.wait(0.04)
    assert codes(bench.sent()) == [2, 1]


def test_a_new_playback_replaces_the_one_before(bench: Bench) -> None:
    port = opened(bench)
    first = play(bench, port, frames(1), turns=0)
    bench.wait(0.04)
    second = play(bench, port, frames(2))
    bench.wait(0.04)
    sent = bench.sent()
    assert codes(sent) == [1, 1, 2] and [one.marker for one in sent] == [True, False, True]
    assert [one.sequence - sent[0].sequence for one in sent] == [0, 1, 2]
    assert [(event.number, event.reason) for event in finished(bench)] == [(first, "replaced"), (second, "finished")]


def test_relay_prompt_and_relay_are_one_stream_to_the_listener(bench: Bench) -> None:
    port, other = opened(bench), bench.open(BOB)
    bench.engine.connect(other, port, a_to_b={0: 0}, b_to_a={0: 0})
    bench.talk(other, BOB, 5)
    play(bench, port, frames(1, 2, 3, 4, 5))
    bench.talk(other, BOB, 10)
    bench.talk(other, BOB, 5)
    sent = [one for one in bench.sent() if one.port is port]
    assert [one.sequence - sent[0].sequence for one in sent] == list(range(len(sent)))
    steps = [(after.timestamp - before.timestamp) for before, after in pairwise(sent)]
    assert max(steps) <= 320 and min(steps) == 160  # no gap over 40 ms
    assert [index for index, one in enumerate(sent) if one.marker] == [0, 5, 10]
    assert [one.packet[12] for one in sent[5:10]] == [1, 2, 3, 4, 5]
    assert bench.drops(other)["playing"] == 6


def test_echo_rests_while_a_prompt_is_played(bench: Bench) -> None:
    port = opened(bench)
    bench.engine.echo(port)
    play(bench, port, frames(1, 2))
    bench.talk(port, ALICE, 6)
    assert [one.packet[12] for one in bench.sent()] == [1, 2, 0xD5, 0xD5, 0xD5]
    assert bench.drops(port) == {"playing": 3}


def test_a_digit_ends_the_prompt_at_its_first_packet(bench: Bench) -> None:
    port = opened(bench)
    number = play(bench, port, frames(1), turns=0, stop="123")
    bench.wait(1.0)
    assert len(bench.sent()) == 50
    key(bench, port, 2)
    bench.wait(1.0)
    assert bench.sent() == []  # not one more frame
    events = [event for event in bench.engine.drain() if not isinstance(event, SourceLatched)]
    assert events[0] == PlaybackFinished(port, number, "digit", 8000)
    assert isinstance(events[1], DigitReceived) and events[1].digit == "2"


def test_other_digits_and_their_later_packets_leave_the_prompt_alone(bench: Bench) -> None:
    port = opened(bench)
    play(bench, port, frames(1), turns=0, stop="123")
    key(bench, port, 7)
    key(bench, port, 7, end=True)
    key(bench, port, 2, number=600)
    assert finished(bench)[0].reason == "digit"
    play(bench, port, frames(1), turns=0, stop="123")
    key(bench, port, 2, end=True, number=600)  # the end of the digit that was there before
    bench.wait(0.1)
    assert len(bench.sent()) == 5 and finished(bench) == []


def test_a_prompt_goes_on_unheard_while_the_far_side_holds_us(bench: Bench) -> None:
    port = opened(bench)
    bench.engine.hold(port)
    play(bench, port, frames(1, 2, 3, 4))
    bench.wait(0.04)
    bench.engine.hold(port, False)
    bench.wait(0.06)
    assert codes(bench.sent()) == [3, 4]
    assert bench.drops(port) == {"held": 2} and finished(bench)[0].samples == 640


def test_without_a_known_far_side_nothing_leaves_and_the_prompt_still_ends(bench: Bench) -> None:
    port = bench.open()
    play(bench, port, frames(1, 2))
    bench.wait(0.1)
    assert bench.sent() == [] and finished(bench)[0].samples == 320
    assert bench.drops(port) == {"no_destination": 2}


def test_a_listener_who_vanishes_is_noticed(bench: Bench) -> None:
    port = opened(bench)
    play(bench, port, frames(1), turns=0)
    bench.talk(port, ALICE, 50)
    bench.wait(29.0)
    bench.engine.drain()
    bench.wait(1.0)
    bench.wait(1.0)
    assert bench.engine.drain() == [MediaTimeout(port)]


def test_after_a_prompt_silence_is_no_fault(bench: Bench) -> None:
    port = opened(bench)
    bench.wait(100.0)
    play(bench, port, frames(1))
    bench.wait(0.1)
    bench.wait(100.0)
    assert not any(isinstance(event, MediaTimeout) for event in bench.engine.drain())


def test_closing_a_port_that_plays_leaves_the_others_playing(bench: Bench) -> None:
    ports = [opened(bench, ssrc=index) for index in range(4)]
    prompt = frames(1)
    for port in ports:
        play(bench, port, prompt, turns=0)
    bench.wait(0.02)
    bench.sent()
    bench.engine.close_port(ports[1])
    bench.engine.close_port(ports[3])
    bench.wait(0.02)
    assert {one.ssrc for one in bench.sent()} == {0, 2}
    with pytest.raises(StaleHandleError):
        play(bench, ports[1], prompt)
    with pytest.raises(StaleHandleError):
        bench.engine.stop_play(ports[1], 1)


def test_nothing_is_no_prompt(bench: Bench) -> None:
    port = opened(bench)
    with pytest.raises(ValueError, match="no prompt"):
        EncodedAudio(b"")
    with pytest.raises(ValueError, match="prompts"):
        play(bench, port)
    with pytest.raises(TypeError, match="EncodedAudio"):
        play(bench, port, b"abc")  # type: ignore[arg-type]
    assert len(frames(1, 2)) == 320
