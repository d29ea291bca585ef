"""Taps and speech: every frame with its time, bounded whatever the program does, and RTP untouched by it."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from audio_line import Phone, run, tone
from media_bench import Bench, rtp
from test_recordings import codes, power

from media import Port, StaleHandleError
from media._dsp import ulaw_decode
from media.codecs import PCMU, Format
from media.tap import AudioFrame, Tap

ALICE = ("192.0.2.1", 4000)
FORMAT = Format(PCMU, 0)


def opened(bench: Bench) -> Port:
    port = bench.open(ALICE)
    bench.engine.set_audio(port, rate=8000, receive=[FORMAT], told=[FORMAT], send=FORMAT)
    return port


def talk(bench: Bench, port: Port, seconds: float) -> None:
    run(bench, [Phone(port, ALICE, FORMAT, codes(tone(400, seconds)))], seconds)


def read_all(tap: Tap) -> list[AudioFrame]:
    found = []
    while (frame := tap.read()) is not None:
        found.append(frame)
    return found


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_frames_of_20_ms_come_at_the_rate_that_was_asked(bench: Bench, rate: int) -> None:
    port = opened(bench)
    tap = bench.engine.tap(port, rate=rate)
    talk(bench, port, 1.0)
    frames = read_all(tap)
    assert len(frames) == 50 and all(len(one.samples) == rate // 50 for one in frames)
    assert [round(one.at - frames[0].at, 3) for one in frames] == [round(n * 0.02, 3) for n in range(50)]
    assert len(frames[0].data) == 2 * rate // 50
    heard = np.concatenate([one.samples for one in frames[20:]])
    assert power(heard[:: rate // 8000], 400) > 0.97


def test_a_slow_reader_of_the_newest_has_the_latest_frames(bench: Bench) -> None:
    port = opened(bench)
    tap = bench.engine.tap(port, drop="oldest", frames=16)
    talk(bench, port, 1.0)
    frames = read_all(tap)
    assert len(frames) == 15 and frames[0].lost == 0 and tap.lost == 35
    talk(bench, port, 0.1)
    assert read_all(tap)[0].lost == 0


def test_a_slow_reader_of_the_oldest_knows_what_it_missed(bench: Bench) -> None:
    port = opened(bench)
    tap = bench.engine.tap(port, drop="newest", frames=16)
    talk(bench, port, 1.0)
    assert len(read_all(tap)) == 16 and tap.lost == 34
    talk(bench, port, 0.1)
    assert read_all(tap)[0].lost == 34


def test_a_tap_that_nobody_reads_costs_the_call_nothing(bench: Bench) -> None:
    a, b = opened(bench), bench.open(("192.0.2.2", 4000))
    bench.engine.connect(a, b, a_to_b={0: 0}, b_to_a={0: 0})
    bench.engine.tap(a, frames=2)
    talk(bench, a, 2.0)
    assert len([one for one in bench.sent() if one.port == b]) == 100


def test_a_tap_ends_with_its_port_or_when_it_is_told(bench: Bench) -> None:
    port = opened(bench)
    tap, other = bench.engine.tap(port), bench.engine.tap(port, side="mixed")
    talk(bench, port, 0.1)
    bench.engine.untap(port, other)
    assert other.tape.ended and not tap.tape.ended
    bench.engine.close_port(port)
    assert not tap.ended
    read_all(tap)
    assert tap.ended
    with pytest.raises(StaleHandleError):
        bench.engine.tap(port)


def said(bench: Bench) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.frombuffer(ulaw_decode(b"".join(one.packet[12:] for one in bench.sent())), np.int16)


def test_what_a_program_says_is_sent(bench: Bench) -> None:
    port = opened(bench)
    speaking = bench.engine.speak(port)
    samples, at = tone(500, 1.0), 0
    for _ in range(60):
        at += speaking.write(samples[at:])
        bench.wait(0.02)
    assert at == 8000
    speaking.finish()
    assert speaking.seconds_until(8000) <= 0.4
    run(bench, [], 0.5)
    heard = said(bench)
    assert speaking.seconds_until(8000) == 0.0 and len(heard) == 8000
    assert power(heard, 500) > 0.98


def test_a_burst_finds_a_bounded_room_and_is_over_half_a_second_later(bench: Bench) -> None:
    port = opened(bench)
    speaking = bench.engine.speak(port)
    samples = tone(500, 4.0)
    at = 0
    for _ in range(100):  # twice real time for two seconds
        at += speaking.write(samples[at : at + 320])
        bench.wait(0.02)
        assert speaking.waiting_seconds <= 0.4
    for _ in range(25):
        bench.wait(0.02)
    assert speaking.waiting_seconds <= 0.06


def test_a_flush_silences_at_the_next_tick(bench: Bench) -> None:
    port = opened(bench)
    speaking = bench.engine.speak(port)
    speaking.write(tone(500, 0.4))
    bench.wait(0.1)
    mark = speaking.position
    assert 0.25 < speaking.seconds_until(mark) < 0.35
    speaking.flush()
    run(bench, [], 0.06)
    bench.sent()
    run(bench, [], 0.2)
    assert speaking.seconds_until(mark) == 0.0 and bench.sent() == []


def test_a_writer_that_is_late_is_waited_for_so_that_there_is_one_gap_only(bench: Bench) -> None:
    port = opened(bench)
    speaking = bench.engine.speak(port)
    speaking.write(tone(500, 0.04))
    run(bench, [], 0.2)
    assert bench.sent() == []  # less than the lead
    speaking.write(tone(500, 0.04))
    run(bench, [], 0.2)
    assert len(bench.sent()) == 4 and speaking.speech.starved == 1  # dry once, at its end


def pressed(number: int, timestamp: int) -> list[bytes]:
    """A key of 100 ms that begins with this packet: five packets, and the end twice more."""
    durations = (160, 320, 480, 640, 800, 800, 800)
    return [
        rtp(number + at, timestamp, payload_type=101, payload=struct.pack("!BBH", 5, 0x8A if at >= 4 else 0x0A, each))
        for at, each in enumerate(durations)
    ]


def test_a_key_that_is_relayed_is_no_loss_in_what_is_said(bench: Bench) -> None:
    a, b = bench.open(("192.0.2.2", 4000), ssrc=1), opened(bench)
    bench.engine.set_remote(a, ("192.0.2.2", 4000), payload_types={0, 101}, telephone_event=101)
    bench.engine.connect(a, b, a_to_b={0: 0, 101: 101}, b_to_a={0: 0, 101: 101})
    bench.engine.tap(b, side="said")
    voice = codes(tone(400, 1.0))
    packets = [rtp(n, n * 160, payload=voice[n]) for n in range(20)] + pressed(20, 20 * 160)
    packets += [rtp(n, n * 160, payload=voice[n]) for n in range(27, 50)]
    for each in packets:
        bench.engine.feed(a, each, ("192.0.2.2", 4000))
        bench.wait(0.02)
    assert len([one for one in bench.sent() if one.port is b]) == 50
    said = bench.engine.audio_stats(b).said
    assert (said.concealed, said.garbage) == (0, 0) and said.decoded >= 41


def test_a_key_in_a_pause_does_not_delay_the_talk_behind_it(bench: Bench) -> None:
    port = opened(bench)
    bench.engine.set_remote(port, ALICE, payload_types={0, 101}, telephone_event=101)
    bench.engine.tap(port)
    voice = codes(tone(400, 1.0))
    talk = [(n * 0.02, rtp(n, n * 160, payload=voice[n])) for n in range(20)]
    at, again = 3.0, 3.8  # the key, and talk behind it
    keys = [(at + n * 0.02, each) for n, each in enumerate(pressed(20, round(at * 8000)))]
    after = [(again + n * 0.02, rtp(27 + n, round(again * 8000) + n * 160, payload=voice[n])) for n in range(40)]
    for due, packet in [*talk, *keys, *after]:
        while bench.now < due - 0.001:
            bench.wait(min(0.02, due - bench.now))
        bench.engine.feed(port, packet, ALICE)
    bench.wait(0.02)
    heard = bench.engine.audio_stats(port).heard
    assert heard.delay_ms < 100 and heard.concealed == 0 and heard.decoded > 55
