"""Two legs of a call by their descriptions: relayed when they share a codec, transcoded when they do not."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from media import CodecMissingError, Engine, ManualClock
from media._dsp import Decoder, Encoder, alaw_decode, ulaw_encode
from media.codecs import OPUS
from media.opus import maybe_opus
from sipcore.entropy import SeededEntropy
from sipcore.sdp import RtpFormat, parse_sdp
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


def leg(plane: MediaPlane, address: tuple[str, int], *described: str) -> MediaLeg:
    """One that has answered this offer with our own formats."""
    numbers = " ".join(each.split()[0] for each in described)
    lines = [f"v=0\r\no=- 1 1 IN IP4 {address[0]}\r\ns=-\r\nc=IN IP4 {address[0]}\r\nt=0 0"]
    lines += [f"m=audio {address[1]} RTP/AVP {numbers}", *(f"a=rtpmap:{each}" for each in described)]
    made = plane.open(
        cast(
            Call,
            SimpleNamespace(
                to=Uri("sip", host=address[0]),
                srtp=None,
                codecs=None,
                beside=None,
                comfort_noise=None,
                on_insecure=None,
            ),
        ),
        None,
    )
    made.answer(parse_sdp(("\r\n".join(lines) + "\r\n").encode()), plane.formats)
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
    from media.tones import Tone

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
