"""What a far side gets is one stream, whatever rests meanwhile: numbers without holes where nothing was lost.

A hole of more than 32768 numbers is the worst: SRTP (RFC 3711 §3.3.1) then guesses another rollover counter, and
nothing that follows can be opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from audio_line import Phone, Samples, longest_step, packed_l16, run, tone
from media_bench import Bench, Sent, rtp
from test_srtp import Phone as SecurePhone
from test_srtp import keys_of

from media import Port
from media._dsp import ulaw_decode
from media.codecs import L16, OPUS, PCMU, Format, OpusSettings

ALICE, BOB = ("192.0.2.1", 4000), ("192.0.2.2", 4000)
LINEAR, ULAW = Format(L16, 96), Format(PCMU, 0)
# More than half the sequence numbers: what a hold of eleven minutes passes over.
LONG = 33000


def connected(bench: Bench, *relayed: int) -> tuple[Port, Port]:
    a, b = bench.open(ALICE, ssrc=1), bench.open(BOB, ssrc=2)
    types = {number: number for number in relayed}
    bench.engine.connect(a, b, a_to_b=types, b_to_a=types)
    return a, b


def numbers(sent: list[Sent]) -> list[int]:
    return [one.sequence - sent[0].sequence & 0xFFFF for one in sent]


def say(bench: Bench, port: Port, first: int, count: int) -> None:
    """As `Bench.talk`, without the ticks between: the clock is moved at the end."""
    for number in range(first, first + count):
        bench.engine.feed(port, rtp(number, number * 160), ALICE)
        bench.engine.step(bench.now + (number - first + 1) * 0.02)
    bench.now += count * 0.02


def rest(bench: Bench, a: Port, b: Port, how: str, on: bool) -> None:
    if how == "held":
        bench.engine.hold(b, on)
    elif how == "muted":
        bench.engine.mute(a, on)
    elif how == "parted" and on:
        bench.engine.disconnect(a)
    else:
        types = {} if on else {0: 0}
        bench.engine.connect(a, b, a_to_b=types, b_to_a=types)


@pytest.mark.parametrize("how", ["held", "muted", "parted", "unmapped"])
def test_a_long_rest_of_a_relay_leaves_no_hole_and_secure_media_goes_on(bench: Bench, how: str) -> None:
    keys = keys_of()
    phone = SecurePhone(keys)
    a, b = connected(bench, 0)
    bench.engine.secure(b, keys)
    say(bench, a, 0, 5)
    rest(bench, a, b, how, True)
    say(bench, a, 5, LONG)
    rest(bench, a, b, how, False)
    say(bench, a, LONG + 5, 5)
    sent = [one for one in bench.sent() if one.port is b]
    assert numbers(sent) == list(range(10))
    assert [one.marker for one in sent] == [True, *[False] * 4, True, *[False] * 4]
    assert sent[5].timestamp - sent[4].timestamp == (LONG + 1) * 160
    assert [phone.open(one.packet)[12:] for one in sent] == [b"\xd5" * 160] * 10
    assert bench.drops(b) == {}


def spoken_while_held(bench: Bench, phone: Phone, ear: Port) -> Iterator[None]:
    """Three seconds of the phone, in the second of which the ear is held."""
    arrivals = phone.arrivals(bench.now + 0.003)
    for second in range(3):
        bench.engine.hold(ear, second == 1)
        for due, packet in arrivals[second * 50 : second * 50 + 50]:
            bench.wait(due - bench.now)
            bench.engine.feed(phone.port, packet, phone.address)
        yield


def test_a_rest_of_what_is_encoded_leaves_no_hole(bench: Bench) -> None:
    a, b = connected(bench)
    for port, form in ((a, LINEAR), (b, ULAW)):
        bench.engine.set_audio(port, rate=8000, receive=[form], send=form, encodes=True)
    phone = Phone(a, ALICE, LINEAR, packed_l16(tone(400, 3), 160))
    frames = [[one for one in bench.sent() if one.port is b] for _ in spoken_while_held(bench, phone, b)]
    before, meanwhile, after = frames
    assert (len(before) > 40, meanwhile, len(after) > 40) == (True, [], True)
    assert numbers(before + after) == list(range(len(before + after)))
    assert after[0].marker and after[0].timestamp - before[-1].timestamp == 51 * 160


def test_a_recording_that_begins_in_a_transcoded_call_is_not_heard(bench: Bench) -> None:
    a, b = connected(bench)
    for port, form in ((a, LINEAR), (b, ULAW)):
        bench.engine.set_audio(port, rate=8000, receive=[form], send=form, encodes=True)
    phone = Phone(a, ALICE, LINEAR, packed_l16(tone(400, 3), 160))
    for number, (due, packet) in enumerate(phone.arrivals(bench.now + 0.003)):
        bench.wait(due - bench.now)
        if number in (50, 100):  # as who wants samples of one leg, and of the other
            port, form = ((a, LINEAR), (b, ULAW))[number // 50 - 1]
            bench.engine.set_audio(port, rate=8000, receive=[form], told=[form], send=form, encodes=True)
        bench.engine.feed(a, packet, ALICE)
    sent = [one for one in bench.sent() if one.port is b]
    assert numbers(sent) == list(range(len(sent))) and len(sent) >= 145
    assert [one.marker for one in sent] == [True] + [False] * (len(sent) - 1)
    assert {later.timestamp - one.timestamp for one, later in pairwise(sent)} == {160}
    samples = np.frombuffer(ulaw_decode(b"".join(one.packet[12:] for one in sent)), np.int16)
    assert longest_step(samples) < 3000
    loud = np.flatnonzero(np.abs(samples.astype(int)) > 2000)
    assert np.diff(loud).max() < 8


def room_of_two(bench: Bench, listener: Port, speaker: Port, samples: Samples, seconds: float) -> list[Sent]:
    mixer = bench.engine.mixer(8000)
    bench.engine.set_audio(listener, rate=8000, receive=[ULAW], send=ULAW)
    for port in (listener, speaker):
        mixer.add(port)
    run(bench, [Phone(speaker, ALICE, LINEAR, packed_l16(samples, 160))], seconds)
    mixer.remove(listener)
    bench.engine.drop_audio(listener)
    return [one for one in bench.sent() if one.port is listener]


def test_who_goes_from_room_to_room_hears_one_stream(bench: Bench) -> None:
    keys = keys_of()
    phone = SecurePhone(keys)
    speaker, listener = bench.open(ALICE, ssrc=1), bench.open(BOB, ssrc=2)
    bench.engine.secure(listener, keys)
    bench.engine.set_audio(speaker, rate=8000, receive=[LINEAR], send=LINEAR)
    rooms = [room_of_two(bench, listener, speaker, tone(400, 1), 1) for _ in range(3)]
    sent = [one for room in rooms for one in room]
    assert numbers(sent) == list(range(len(sent))) and len(sent) >= 145
    assert [room[0].marker for room in rooms] == [True] * 3
    assert all(phone.open(one.packet) for one in sent) and bench.drops(listener) == {}
    steps = {later.timestamp - one.timestamp for one, later in pairwise(sent)}
    assert min(steps) == 160 and max(steps) <= 480


@pytest.mark.skipif(not OPUS.is_available, reason="no libopus")
def test_short_packets_that_silence_leaves_out_do_not_pile_up(bench: Bench) -> None:
    """Two packets in a tick: the first may be silence, and the second is due all the same."""
    a, b = connected(bench)
    opus = Format(OPUS, 111, 10, OpusSettings(dtx=True))
    bench.engine.set_audio(a, rate=48000, receive=[ULAW], send=ULAW, encodes=True)
    bench.engine.set_audio(b, rate=48000, receive=[opus], send=opus, encodes=True)
    bench.engine.set_remote(b, BOB, clock_rate=48000)
    frames = [b"\xff" * 160] * 150 + [bytes([0x80 + index % 64]) * 160 for index in range(100)]
    phone = Phone(a, ALICE, ULAW, frames)
    at: list[tuple[float, Sent]] = []
    start = bench.now + 0.003
    for due, packet in phone.arrivals(start):
        bench.wait(due - bench.now)
        bench.engine.feed(a, packet, ALICE)
        at += [(bench.now, one) for one in bench.sent() if one.port is b]
    counts = np.unique([moment for moment, _ in at], return_counts=True)[1]
    assert counts.max() <= 2
    late = [moment - one.timestamp / 48000 for moment, one in at]
    assert max(late) - min(late) < 0.025
