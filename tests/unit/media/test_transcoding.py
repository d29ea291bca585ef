"""Two legs that share no codec: what one says is decoded, and encoded for the other."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest
from audio_line import Phone, Samples, jittered, longest_step, packed_l16, run, sinad_db, snr_db, tone
from media_bench import Bench, Sent, rtp

from media import CodecMissingError, Port
from media._dsp import Decoder, Encoder, alaw_decode, alaw_encode, ulaw_decode, ulaw_encode
from media.codecs import COMFORT_NOISE, G722, G729, L16, OPUS, PCMA, PCMU, TELEPHONE_EVENT, Format, OpusSettings
from media.quality import quality

ALICE, BOB = ("192.0.2.1", 4000), ("192.0.2.2", 4000)
ULAW, ALAW, LINEAR = Format(PCMU, 0), Format(PCMA, 8), Format(L16, 96)


def pair(bench: Bench, alice: Format, bob: Format, *, rate: int = 8000) -> tuple[Port, Port]:
    a, b = bench.open(ALICE, ssrc=1), bench.open(BOB, ssrc=2)
    for port, form in ((a, alice), (b, bob)):
        bench.engine.set_audio(port, rate=rate, receive=[form], send=form, encodes=True)
    bench.engine.connect(a, b, a_to_b={}, b_to_a={})
    return a, b


def heard(bench: Bench, port: Port) -> list[Sent]:
    return [one for one in bench.sent() if one.port is port]


def ulaw_frames(samples: Samples, frame: int = 160) -> list[bytes]:
    codes = ulaw_encode(samples)
    return [codes[at : at + frame] for at in range(0, len(codes), frame)]


def linear(sent: list[Sent]) -> Samples:
    data = b"".join(one.packet[12:] for one in sent)
    return np.frombuffer(data, ">i2").astype(np.int16)


def test_mu_law_becomes_a_law_octet_by_octet_without_any_delay(bench: Bench) -> None:
    a, b = bench.open(ALICE), bench.open(BOB)
    bench.engine.connect(a, b, a_to_b={0: 8}, b_to_a={8: 0}, a_translated=(0, "to_alaw"), b_translated=(8, "to_ulaw"))
    said = bytes(range(256))
    bench.engine.feed(a, rtp(1, 160, payload=said), ALICE)
    bench.engine.feed(b, rtp(1, 160, payload_type=8, payload=said), BOB)
    to_bob, to_alice = bench.sent()
    assert (to_bob.port, to_bob.payload_type, to_alice.payload_type) == (b, 8, 0)
    assert to_bob.packet[12:] == alaw_encode(np.frombuffer(ulaw_decode(said), np.int16))
    assert to_alice.packet[12:] == ulaw_encode(np.frombuffer(alaw_decode(said), np.int16))


def test_a_call_is_transcoded_through_frames_of_samples(bench: Bench) -> None:
    a, b = pair(bench, ULAW, LINEAR)
    said = tone(1000, 2)
    run(bench, [Phone(a, ALICE, ULAW, ulaw_frames(said))], 2)
    got = heard(bench, b)
    assert [one.sequence for one in got] == list(range(1000, 1000 + len(got))) and len(got) >= 94
    assert {one.timestamp - got[0].timestamp - 160 * index for index, one in enumerate(got)} == {0}
    assert got[0].marker and not any(one.marker for one in got[1:])
    assert snr_db(said, linear(got)) > 35
    assert bench.drops(a) == {}


def test_both_directions_are_transcoded_at_once(bench: Bench) -> None:
    a, b = pair(bench, ULAW, LINEAR)
    run(
        bench,
        [
            Phone(a, ALICE, ULAW, ulaw_frames(tone(500, 1))),
            Phone(b, BOB, LINEAR, packed_l16(tone(900, 1), 160)),
        ],
        1,
    )
    sent = bench.sent()
    assert {(one.port, one.payload_type) for one in sent} == {(a, 0), (b, 96)}


@pytest.mark.parametrize(("ptime_in", "ptime_out"), [(0.01, 20), (0.03, 10), (0.06, 30), (0.04, 40), (0.02, 60)])
def test_packets_may_be_longer_and_shorter_than_a_tick_either_way(
    bench: Bench, ptime_in: float, ptime_out: int
) -> None:
    a, b = pair(bench, ULAW, Format(L16, 96, ptime_ms=ptime_out))
    said = tone(700, 3)
    frames = ulaw_frames(said, round(ptime_in * 8000))
    run(bench, [Phone(a, ALICE, ULAW, frames, ptime=ptime_in)], 3)
    got = heard(bench, b)
    assert {len(one.packet) for one in got} == {12 + 16 * ptime_out}
    assert {one.timestamp - got[0].timestamp - 8 * ptime_out * index for index, one in enumerate(got)} == {0}
    assert snr_db(said, linear(got)) > 30


def test_jitter_is_smoothed_and_the_sound_stays_whole(bench: Bench) -> None:
    a, b = pair(bench, ULAW, LINEAR)
    said = tone(1000, 20)
    run(bench, [Phone(a, ALICE, ULAW, ulaw_frames(said), delay=jittered(1, 0.06))], 20)
    got = linear(heard(bench, b))
    stats = bench.engine.audio_stats(a).heard
    assert stats.duplicate + stats.garbage == 0 and stats.late == stats.concealed + 1 <= 25  # of 1000
    assert 60 <= stats.target_ms <= 90 and stats.delay_ms < 130
    settled = got[8000 * 5 :]
    assert longest_step(settled) < 1.3 * longest_step(said)  # a tone without a click
    assert stats.starved <= 20


def test_the_delay_returns_after_a_spike(bench: Bench) -> None:
    a, _ = pair(bench, ULAW, LINEAR)
    spike = lambda index: max(0.0, 0.4 - 0.02 * (index - 100)) if 100 <= index < 120 else 0.002  # noqa: E731
    run(bench, [Phone(a, ALICE, ULAW, ulaw_frames(tone(600, 6)), delay=spike)], 5)
    after = bench.engine.audio_stats(a).heard
    assert after.late == after.concealed == 0 and after.delay_ms < after.target_ms + 60


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_line_over_a_mobile_network_sounds_good(bench: Bench, seed: int) -> None:
    """A heavy tail, and each 8 s a spike of 180 ms that falls in 0.2 s; rated by what was too late and the delay."""
    draw = random.Random(seed)
    late = lambda index: 0.04 + draw.gammavariate(1.5, 0.008) + max(0.0, 0.18 - 0.018 * (index % 400))  # noqa: E731
    a, _ = pair(bench, ULAW, LINEAR)
    run(bench, [Phone(a, ALICE, ULAW, ulaw_frames(tone(400, 60)), delay=late)], 60)
    got = bench.engine.audio_stats(a).heard
    lost = got.late + got.overflow
    found = quality("PCMU", loss=lost / (got.decoded + lost), jitter_ms=got.delay_ms / 2, round_trip_ms=80.0)
    assert lost < 30 and got.delay_ms < 120 and found.mos > 4.2


def test_what_was_learnt_about_a_line_stays_when_its_codec_changes(bench: Bench) -> None:
    a, _ = pair(bench, ULAW, LINEAR)
    run(bench, [Phone(a, ALICE, ULAW, ulaw_frames(tone(400, 6), 160), delay=jittered(3, 0.12))], 6)
    before = bench.engine.audio_stats(a).heard.target_ms
    bench.engine.set_audio(a, rate=8000, receive=[ULAW, LINEAR], send=ULAW, encodes=True)
    run(bench, [Phone(a, ALICE, ULAW, ulaw_frames(tone(400, 1), 160), delay=jittered(4, 0.12))], 0.3)
    assert before >= 100 and abs(bench.engine.audio_stats(a).heard.target_ms - before) <= 20


def test_duplicates_and_late_packets_are_dropped_and_counted(bench: Bench) -> None:
    a, _ = pair(bench, ULAW, LINEAR)
    for index in range(20):
        packet = rtp(index, index * 160, payload=b"\x10" * 160)
        bench.engine.feed(a, packet, ALICE)
        bench.engine.feed(a, packet, ALICE)
        bench.wait(0.02)
    bench.engine.feed(a, rtp(3, 3 * 160), ALICE)
    stats = bench.engine.audio_stats(a).heard
    assert stats.duplicate + stats.late == 21 and stats.concealed == 0


def test_a_pause_of_the_far_side_is_no_loss(bench: Bench) -> None:
    a, b = pair(bench, ULAW, LINEAR)
    said = ulaw_frames(tone(800, 2))
    run(bench, [Phone(a, ALICE, ULAW, said, pauses={50: 8 * 700})], 3)
    stats = bench.engine.audio_stats(a).heard
    assert (stats.concealed, stats.decoded) == (0, 100)
    got = linear(heard(bench, b)).astype(float)
    levels = [np.abs(got[at : at + 160]).max() for at in range(0, 160 * 120, 160)]
    assert 27 <= sum(level == 0 for level in levels) <= 35


def test_a_lost_packet_is_concealed_without_a_click_and_a_long_gap_fades_to_silence(bench: Bench) -> None:
    a, b = pair(bench, ULAW, LINEAR)
    said = tone(440, 4)
    lost = lambda index: None if index in (60, 90) or 120 <= index < 140 else 0.0  # noqa: E731
    run(bench, [Phone(a, ALICE, ULAW, ulaw_frames(said), delay=lost)], 4)
    got = linear(heard(bench, b))
    assert bench.engine.audio_stats(a).heard.concealed == 22
    assert longest_step(got) < 1.5 * longest_step(said)
    levels = [int(np.abs(got[at : at + 160].astype(int)).max()) for at in range(0, len(got) - 160, 160)]
    assert 14 <= levels.count(0) <= 18
    assert min(levels[10:100]) > 6000


def test_another_ssrc_and_a_restarted_sequence_go_on_within_60_ms(bench: Bench) -> None:
    a, b = pair(bench, ULAW, LINEAR)
    for index in range(200):
        first, number = index < 100, index if index < 100 else index + 30000
        packet = rtp(number, number * 160, ssrc=7 if first else 8, payload=b"\x10" * 160)
        bench.engine.feed(a, packet, ALICE)
        bench.wait(0.02)
    got = heard(bench, b)
    assert [one.sequence for one in got] == list(range(1000, 1000 + len(got)))
    levels = [int(np.abs(linear([one])).max()) for one in got]
    assert sum(level < 100 for level in levels) <= 3


def test_a_muted_side_is_silence_to_the_other(bench: Bench) -> None:
    a, b = pair(bench, ULAW, LINEAR)
    bench.engine.mute(a)
    run(bench, [Phone(a, ALICE, ULAW, ulaw_frames(tone(800, 1)))], 1)
    assert all(not linear([one]).any() for one in heard(bench, b))


def test_what_is_not_decoded_is_dropped_and_counted(bench: Bench) -> None:
    a, _ = pair(bench, ULAW, LINEAR)
    bench.engine.feed(a, rtp(1, 160, payload_type=18), ALICE)
    assert bench.drops(a) == {"unmapped": 1}


def test_a_codec_that_is_only_passed_cannot_be_decoded(bench: Bench) -> None:
    port = bench.open(ALICE)
    with pytest.raises(CodecMissingError):
        bench.engine.set_audio(port, rate=8000, receive=[Format(TELEPHONE_EVENT, 101)])
    with pytest.raises(ValueError, match="8000, 16000 or 48000"):
        bench.engine.set_audio(port, rate=11025, receive=[ULAW])


WIDE, SOFT, SMALL = Format(G722, 9), Format(OPUS, 111), Format(G729, 18)
needs_opus = pytest.mark.skipif(not OPUS.is_available, reason="no libopus")


def encoded(form: Format, samples: Samples) -> list[bytes]:
    """Payloads of 20 ms."""
    assert form.codec.kind is not None
    encoder = Encoder(form.codec.kind, form.codec.rate, form.codec.functions, (0, 5, 10, True, False))
    step = form.codec.rate // 50
    return [encoder.encode(samples[at : at + step]) for at in range(0, len(samples) - step + 1, step)]


def decoded(form: Format, sent: list[Sent]) -> Samples:
    assert form.codec.kind is not None
    decoder = Decoder(form.codec.kind, form.codec.rate, form.codec.functions)
    return np.frombuffer(b"".join(decoder.decode(one.packet[12:]) or b"" for one in sent), np.int16)


FORMS = [ULAW, ALAW, LINEAR, WIDE, SMALL, pytest.param(SOFT, marks=needs_opus)]


@pytest.mark.parametrize("alice", FORMS)
@pytest.mark.parametrize("bob", FORMS)
def test_any_codec_becomes_any_other(bench: Bench, alice: Format, bob: Format) -> None:
    narrow = min(alice.codec.rate, bob.codec.rate)
    a, b = pair(bench, alice, bob, rate=narrow if narrow < 48000 else 48000)
    said = tone(1000, 2, alice.codec.rate)
    run(bench, [Phone(a, ALICE, alice, encoded(alice, said))], 2)
    got = heard(bench, b)
    step = bob.codec.clock_rate // 50
    assert {one.timestamp - got[0].timestamp - step * index for index, one in enumerate(got)} == {0}
    least = 15 if SMALL in (alice, bob) else 20  # eight kilobits a second are no waveform codec
    assert sinad_db(decoded(bob, got)[bob.codec.rate // 2 :], 1000, bob.codec.rate) > least


@needs_opus
def test_opus_redundancy_recovers_what_the_line_lost(bench: Bench) -> None:
    a, _ = pair(bench, SOFT, ULAW)
    run(bench, [Phone(a, ALICE, SOFT, encoded(SOFT, tone(300, 6, 48000)), delay=jittered(3, 0.0, loss=0.1))], 6)
    stats = bench.engine.audio_stats(a).heard
    assert stats.concealed > 15 and stats.recovered >= stats.concealed - 2


@needs_opus
@pytest.mark.parametrize("junk", [b"\xff", b"\xff\xff\xff", bytes(range(200)), b"\x03\x3f", b"\x7b" * 1275])
def test_garbage_for_opus_is_concealed_and_never_more(bench: Bench, junk: bytes) -> None:
    a, _ = pair(bench, SOFT, ULAW)
    payloads = encoded(SOFT, tone(300, 2, 48000))
    payloads[20:60:3] = [junk] * len(payloads[20:60:3])
    run(bench, [Phone(a, ALICE, SOFT, payloads)], 2)
    stats = bench.engine.audio_stats(a).heard
    assert stats.decoded + stats.garbage + stats.overflow >= 98


def test_comfort_noise_fills_the_pause_that_it_announces_and_is_no_loss(bench: Bench) -> None:
    a, b = bench.open(ALICE, ssrc=1), bench.open(BOB, ssrc=2)
    bench.engine.set_audio(a, rate=8000, receive=[ULAW, Format(COMFORT_NOISE, 13)])
    bench.engine.set_audio(b, rate=8000, send=LINEAR, encodes=True)
    bench.engine.connect(a, b, a_to_b={}, b_to_a={})
    frames = ulaw_frames(tone(800, 1))
    for index, payload in enumerate(frames):
        bench.engine.feed(a, rtp(index, index * 160, payload=payload), ALICE)
        bench.wait(0.02)
    bench.engine.feed(a, rtp(50, 50 * 160, payload_type=13, payload=bytes([50])), ALICE)
    bench.sent()
    for _ in range(200):  # four seconds: longer than a silence that is none
        bench.wait(0.02)
    noise = linear(heard(bench, b))[8000:].astype(float)
    level = 20 * np.log10(np.sqrt(np.mean(noise**2)) / (32767 / np.sqrt(2)))
    assert -53 < level < -47 and len(noise) == 24000
    for index, payload in enumerate(frames):
        bench.engine.feed(a, rtp(51 + index, (251 + index) * 160, payload=payload), ALICE)
        bench.wait(0.02)
    stats = bench.engine.audio_stats(a).heard
    assert stats.concealed == 0 and stats.decoded >= 95 and stats.delay_ms < 150
    assert np.abs(linear(heard(bench, b))[-160:]).max() > 6000


@needs_opus
def test_an_encoder_that_hears_silence_sends_next_to_nothing(bench: Bench) -> None:
    a, b = bench.open(ALICE, ssrc=1), bench.open(BOB, ssrc=2)
    quiet = Format(OPUS, 111, opus=OpusSettings(dtx=True))
    bench.engine.set_audio(a, rate=8000, receive=[ULAW])
    bench.engine.set_audio(b, rate=8000, send=quiet, encodes=True)
    bench.engine.connect(a, b, a_to_b={}, b_to_a={})
    said = np.concatenate([tone(440, 1), np.zeros(8000 * 4, np.int16), tone(440, 1)])
    run(bench, [Phone(a, ALICE, ULAW, ulaw_frames(said))], 6)
    got = heard(bench, b)
    assert 100 < len(got) < 180
    assert {(one.timestamp - got[0].timestamp) % 960 for one in got} == {0}
    gaps = [after.timestamp - before.timestamp for before, after in pairwise(got)]
    assert max(gaps) >= 960 * 10 and [one.marker for one in got[1:]] == [gap > 960 for gap in gaps]
