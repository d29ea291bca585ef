"""Pauses in what is encoded here are comfort noise of RFC 3389, and talk begins with its first packet."""

from __future__ import annotations

import numpy as np
import pytest
from audio_line import Samples, packed_l16, tone
from media_bench import Bench, Sent, rtp

from media import Port
from media.codecs import L16, PCMU, Format

ALICE, BOB = ("192.0.2.1", 4000), ("192.0.2.2", 4000)
LINEAR, ULAW = Format(L16, 96), Format(PCMU, 0)
NOISE = 13


def said(bench: Bench, samples: Samples, *, comfort_noise: int | None = NOISE) -> list[Sent]:
    """What bob is sent while alice says that."""
    a, b = bench.open(ALICE, ssrc=1), bench.open(BOB, ssrc=2)
    bench.engine.set_audio(a, rate=8000, receive=[LINEAR])
    bench.engine.set_audio(b, rate=8000, send=ULAW, encodes=True, comfort_noise=comfort_noise)
    bench.engine.connect(a, b, a_to_b={}, b_to_a={})
    return spoken(bench, a, b, samples)


def spoken(bench: Bench, a: Port, b: Port, samples: Samples) -> list[Sent]:
    found: list[Sent] = []
    for number, payload in enumerate(packed_l16(samples, 160)):
        bench.engine.feed(a, rtp(number, number * 160, payload_type=96, payload=payload), ALICE)
        bench.wait(0.02)
        found += [one for one in bench.sent() if one.port is b]
    return found


def hiss(seconds: float, rms: float) -> Samples:
    return (np.random.default_rng(3).normal(0, rms, int(8000 * seconds))).astype(np.int16)


def talk(seconds: float) -> Samples:
    return tone(400, seconds)


@pytest.mark.parametrize("rms", [8, 40, 200])
def test_a_pause_is_a_level_now_and_then_and_costs_no_talk(bench: Bench, rms: int) -> None:
    samples = np.concatenate([talk(1), hiss(4, rms), talk(1)])
    found = said(bench, samples)
    noise = [one for one in found if one.payload_type == NOISE]
    voice = [one for one in found if one.payload_type == 0]
    assert 3 <= len(noise) <= 8 and 100 <= len(voice) < 125
    level = 20 * np.log10(32767 / np.sqrt(2) / rms)
    assert all(abs(one.packet[12] - level) < 3 and len(one.packet) == 13 for one in noise)
    sequences = [one.sequence for one in found]
    assert sequences == list(range(sequences[0], sequences[0] + len(found)))
    # RFC 3551 §4.1: the marker is on the first packet of talk, whose timestamp tells of the pause.
    begins = [one for one in voice if one.marker][-1]
    last = voice[voice.index(begins) - 1]
    assert 3.5 * 8000 < begins.timestamp - last.timestamp < 4.2 * 8000
    # Nothing of the talk behind the pause is cut off: 50 packets of it, but for what the jitter buffer still has.
    assert len(voice) - voice.index(begins) >= 46


def test_soft_talk_above_the_noise_is_sent(bench: Bench) -> None:
    soft = (talk(2).astype(float) / 30).astype(np.int16)  # -33 dB of what is loud
    found = said(bench, np.concatenate([talk(1), hiss(2, 15), soft]))
    assert sum(one.payload_type == 0 for one in found[-90:]) >= 85


def test_without_it_or_where_it_was_not_agreed_on_every_packet_is_sent(bench: Bench) -> None:
    found = said(bench, np.concatenate([talk(1), hiss(2, 8)]), comfort_noise=None)
    assert {one.payload_type for one in found} == {0} and len(found) >= 145


def test_a_number_that_is_none_is_refused(bench: Bench) -> None:
    port = bench.open(ALICE)
    with pytest.raises(ValueError, match="comfort noise"):
        bench.engine.set_audio(port, rate=8000, receive=[ULAW], send=ULAW, comfort_noise=200)
