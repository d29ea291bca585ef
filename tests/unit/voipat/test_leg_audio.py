"""Two legs of a call by their descriptions: relayed when they share a codec, transcoded when they do not."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from media import CodecMissingError, Engine, ManualClock
from media._dsp import Decoder, Encoder, alaw_decode, ulaw_encode
from media.codecs import OPUS, OpusSettings, encoder
from media.opus import maybe_opus
from media.tones import Tone
from sipcore.entropy import SeededEntropy
from sipcore.sdp import RtpFormat, SessionDescription, parse_sdp
from sipcore.uri import Uri
from voipat.call import Call
from voipat.leg_audio import own_formats, with_own
from voipat.media_leg import MediaLeg
from voipat.media_plane import MediaPlane
from voipat.testing.loop import VirtualLoop

PCMU, PCMA, G722 = "0 PCMU/8000", "8 PCMA/8000", "9 G722/8000"
SOFT = "111 opus/48000/2"
EVENT, WIDE_EVENT = "101 telephone-event/8000", "110 telephone-event/48000"
needs_opus = pytest.mark.skipif(not OPUS.is_available, reason="no libopus")
ALICE, BOB = ("192.0.2.1", 4000), ("192.0.2.2", 4000)


@pytest.fixture
def plane() -> Iterator[MediaPlane]:
    with Engine(clock=ManualClock(), port_range=(20000, 20019)) as engine:
        loop = VirtualLoop()
        yield MediaPlane(engine, SeededEntropy(1), bind="127.0.0.1", loop=loop)
        loop.close()


def offer(address: tuple[str, int], *described: str, also: Sequence[str] = ()) -> SessionDescription:
    numbers = " ".join(each.split()[0] for each in described)
    lines = [f"v=0\r\no=- 1 1 IN IP4 {address[0]}\r\ns=-\r\nc=IN IP4 {address[0]}\r\nt=0 0"]
    lines += [f"m=audio {address[1]} RTP/AVP {numbers}", *(f"a=rtpmap:{each}" for each in described), *also]
    return parse_sdp(("\r\n".join(lines) + "\r\n").encode())


def leg(plane: MediaPlane, address: tuple[str, int], *described: str, also: Sequence[str] = ()) -> MediaLeg:
    """One that has answered this offer with our own formats."""
    made = plane.open(
        cast(
            Call,
            SimpleNamespace(
                to=Uri("sip", host=address[0]),
                srtp=None,
                codecs=None,
                beside=None,
                comfort_noise=None,
                dtmf_info=None,
                on_insecure=None,
            ),
        ),
        None,
    )
    made.answer(offer(address, *described, also=also), plane.formats)
    return made


def packet(number: int, payload_type: int, payload: bytes, step: int) -> bytes:
    return struct.pack("!BBHII", 0x80, payload_type, number, number * step, 7) + payload


def tone(hertz: int, rate: int, seconds: float = 1.0) -> np.ndarray:
    return np.rint(np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate) * 8000).astype(np.int16)


def say(plane: MediaPlane, source: MediaLeg, address: tuple[str, int], packets: list[bytes]) -> list[bytes]:
    """What left the engine meanwhile, without RTCP."""
    sent: list[bytes] = []
    now = plane.engine._core.now()
    for number, each in enumerate(packets):
        plane.engine.feed(source.port, each, address)
        plane.engine.step(now + 0.02 * (number + 1))
        sent += [data for _, _, data, rtcp in plane.engine.take() if not rtcp]
    return sent


def loudest(samples: np.ndarray, rate: int) -> int:
    return int(np.abs(np.fft.rfft(samples[-rate // 2 :].astype(float), rate)).argmax())


def test_legs_that_share_their_codec_are_relayed(plane: MediaPlane) -> None:
    alice, bob = leg(plane, ALICE, PCMU, EVENT), leg(plane, BOB, PCMU, EVENT)
    alice.connect(bob)
    sent = say(plane, alice, ALICE, [packet(1, 0, b"\x55" * 160, 160)])
    assert [each[12:] for each in sent] == [b"\x55" * 160] and not plane.engine.is_producing


def test_the_two_laws_of_g711_are_translated_in_the_relay(plane: MediaPlane) -> None:
    alice, bob = leg(plane, ALICE, PCMU), leg(plane, BOB, PCMA)
    alice.connect(bob)
    [sent] = say(plane, alice, ALICE, [packet(1, 0, b"\x55" * 160, 160)])
    assert sent[1] & 0x7F == 8 and sent[12:] != b"\x55" * 160 and not plane.engine.is_producing


@needs_opus
@pytest.mark.parametrize("wide", [SOFT, G722])
def test_legs_that_share_none_are_transcoded_until_they_part(plane: MediaPlane, wide: str) -> None:
    alice, bob = leg(plane, ALICE, wide), leg(plane, BOB, PCMA)
    assert (alice.codec, bob.codec) == (wide.split()[1].split("/")[0], "PCMA")
    alice.connect(bob)
    rate, step, kind = (48000, 960, 4) if wide == SOFT else (16000, 160, 3)
    stream, samples = Encoder(kind, rate, maybe_opus() or ()), tone(700, rate)
    payloads = [stream.encode(samples[at : at + rate // 50]) for at in range(0, len(samples), rate // 50)]
    sent = say(plane, alice, ALICE, [packet(n, int(wide.split()[0]), each, step) for n, each in enumerate(payloads)])
    heard = np.frombuffer(alaw_decode(b"".join(each[12:] for each in sent)), np.int16)
    assert {each[1] & 0x7F for each in sent} == {8} and loudest(heard, 8000) == 700
    alice.disconnect()
    assert bob.close() and alice.close()


def test_another_packet_time_within_a_call_is_followed(plane: MediaPlane) -> None:
    alice, bob = leg(plane, ALICE, G722), leg(plane, BOB, PCMA)
    alice.connect(bob)
    stream, samples = Encoder(3, 16000), tone(700, 16000)
    payloads = [stream.encode(samples[at : at + 320]) for at in range(0, len(samples), 320)]
    packets = [packet(n, 9, each, 160) for n, each in enumerate(payloads)]
    assert {len(each) for each in say(plane, alice, ALICE, packets[:25])} == {12 + 160}
    bob.answer(offer(BOB, PCMA, also=["a=ptime:40"]), plane.formats)
    assert {len(each) for each in say(plane, alice, ALICE, packets[25:])} == {12 + 320}


def opus_payloads(plane: MediaPlane, fmtp: str) -> list[bytes]:
    """What a phone that writes so is sent of two seconds of noise, in the band of a wide codec."""
    alice, bob = leg(plane, ALICE, G722), leg(plane, BOB, SOFT, also=[f"a=fmtp:111 {fmtp}"] if fmtp else [])
    alice.connect(bob)
    noise = np.random.default_rng(5).normal(0, 4000, 32000).astype(np.int16)
    stream = Encoder(3, 16000)
    payloads = [stream.encode(noise[at : at + 320]) for at in range(0, len(noise), 320)]
    sent = say(plane, alice, ALICE, [packet(n, 9, each, 160) for n, each in enumerate(payloads)])
    bob.close()
    alice.close()
    return [each[12:] for each in sent if each[1] & 0x7F == 111][10:]


@needs_opus
def test_an_opus_phone_gets_no_more_than_it_asked_for(plane: MediaPlane) -> None:
    def rate(payloads: list[bytes]) -> float:
        return 8 * 50 * sum(map(len, payloads)) / len(payloads)

    plain = opus_payloads(plane, "")
    slow = opus_payloads(plane, "stereo=0; maxaveragebitrate=8000")
    assert rate(slow) < 8800 < 14000 < rate(plain)
    assert len({len(each) for each in plain}) > 1
    assert len({len(each) for each in opus_payloads(plane, "cbr=1")}) == 1
    # RFC 6716 §3.1: configurations 0-3 are narrow band by SILK, 16-19 by CELT.
    narrow = {each[0] >> 3 for each in opus_payloads(plane, "maxplaybackrate=8000;sprop-maxcapturerate=8000")}
    assert narrow <= {0, 1, 2, 3, 16, 17, 18, 19} and not {each[0] >> 3 for each in plain} & narrow


@needs_opus
@pytest.mark.parametrize(("most", "rate"), [(32000, 32000), (20000, 16000), (15999, 6000), (6000, 6000)])
def test_a_slow_opus_phone_has_prompts_of_its_own(plane: MediaPlane, most: int, rate: int) -> None:
    one = leg(plane, ALICE, SOFT, also=[f"a=fmtp:111 maxaveragebitrate={most}"])
    noise = np.random.default_rng(5).normal(0, 4000, 16000).astype(np.int16)
    payloads = encoder(one.prompt_codec).encode(np.repeat(noise, 6))[1]
    assert payloads is not None and 0.6 * rate < 50 * 8 * sum(payloads) / len(payloads) < 1.15 * rate
    [prompt] = plane.prompts.load([Tone(600, 0.5)], one.prompt_codec, 0.0)
    assert one.play([prompt], turns=1, start=0.0, stop_digits="") > 0


@pytest.mark.parametrize(
    ("fmtp", "asked"),
    [
        ("", OpusSettings(fec=False)),
        ("useinbandfec=1; usedtx=1", OpusSettings(dtx=True)),
        ("UseInBandFec=1;maxaveragebitrate=20000", OpusSettings(bitrate_max=20000)),
        ("useinbandfec=1;maxaveragebitrate=5999;maxplaybackrate=7999", OpusSettings()),
        ("useinbandfec=1;maxaveragebitrate=510001;maxplaybackrate=48001", OpusSettings()),
        ("useinbandfec=1;maxaveragebitrate=-1;maxplaybackrate=1e4;=;;cbr", OpusSettings()),
        ("useinbandfec=1;maxaveragebitrate=" + "9" * 5000, OpusSettings()),
        ("useinbandfec=1;cbr=1;maxplaybackrate=16000", OpusSettings(cbr=True, playback_rate=16000)),
    ],
)
def test_what_an_opus_phone_writes_is_what_is_encoded(fmtp: str, asked: OpusSettings) -> None:
    assert OpusSettings().asked_by(fmtp) == asked


@needs_opus
def test_a_digit_crosses_a_transcoded_call_in_the_clock_of_the_other_side(plane: MediaPlane) -> None:
    alice, bob = leg(plane, ALICE, PCMU, EVENT), leg(plane, BOB, SOFT, WIDE_EVENT)
    alice.connect(bob)
    codes = ulaw_encode(tone(500, 8000))
    packets = [packet(n, 0, codes[n * 160 : n * 160 + 160], 160) for n in range(50)]
    for n in range(10, 18):
        event = struct.pack("!BBH", 5, 0x8A if n >= 15 else 0x0A, min(n - 9, 5) * 160)
        packets[n] = struct.pack("!BBHII", 0x80, 101, n, 1600, 7) + event
    sent = say(plane, alice, ALICE, packets)
    events = [each for each in sent if each[1] & 0x7F == 110]
    assert len(events) == 7 and {each[12] for each in events} == {5}
    assert len({each[4:8] for each in events}) == 1
    assert [struct.unpack_from("!H", each, 14)[0] for each in events] == [960, 1920, 2880, 3840, 4800, 4800, 4800]
    stamps = [struct.unpack_from("!I", each, 4)[0] for each in sent]
    assert all((after - before) % 2**32 < 960 * 12 for before, after in pairwise(stamps))
    decoder = Decoder(4, 8000, maybe_opus() or ())
    parts = [decoder.decode(each[12:]) or b"" for each in sent if each[1] & 0x7F == 111]
    assert loudest(np.frombuffer(b"".join(parts), np.int16), 8000) == 500


@needs_opus
def test_a_prompt_is_played_in_opus_and_in_g722(plane: MediaPlane) -> None:
    for address, form, kind, rate in ((ALICE, SOFT, 4, 48000), (BOB, G722, 3, 16000)):
        one = leg(plane, address, form)
        prompts = plane.prompts.load([Tone(600, 0.5), Tone(900, 1.0)], one.codec or "", 0.0)
        one.play(prompts, turns=1, start=0.0, stop_digits="")
        sent: list[bytes] = []
        now = plane.engine._core.now()
        for number in range(80):
            plane.engine.step(now + 0.02 * (number + 1))
            sent += [data for _, _, data, rtcp in plane.engine.take() if not rtcp]
        assert len(sent) == 75
        step = 960 if form == SOFT else 160
        stamps = [struct.unpack_from("!I", each, 4)[0] for each in sent]
        assert all((after - before) % 2**32 == step for before, after in pairwise(stamps))
        decoder = Decoder(kind, rate, maybe_opus() or ())
        heard = np.frombuffer(b"".join(decoder.decode(each[12:]) or b"" for each in sent), np.int16)
        assert abs(loudest(heard, rate) - 900) <= 2


def test_what_a_phone_offers_is_offered_on_with_ours_behind_it(plane: MediaPlane) -> None:
    own = own_formats(("PCMU", "PCMA", "G722"))
    offered = with_own([RtpFormat(8, "PCMA", 8000), RtpFormat(0, "speex", 8000), RtpFormat(101, "AMR", 8000)], own)
    assert [(each.payload_type, each.name) for each in offered] == [
        (8, "PCMA"),
        (0, "speex"),
        (101, "AMR"),
        (96, "PCMU"),
        (9, "G722"),
        (97, "telephone-event"),
    ]
    only_passed = (RtpFormat(97, "AMR", 8000),)
    assert with_own(only_passed, own) == only_passed


def test_a_codec_that_we_have_not_is_refused_by_name() -> None:
    with pytest.raises(CodecMissingError, match="G723"):
        own_formats(("PCMU", "G723"))
