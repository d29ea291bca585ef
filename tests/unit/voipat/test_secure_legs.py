"""Two legs that agree on SRTP, by keys in SDP and by a handshake: what one seals the other opens, plain legs beyond."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Literal, cast

import pytest

from media import Engine, FlightReceived, ManualClock
from sipcore.entropy import SeededEntropy
from sipcore.errors import SecurityError
from sipcore.sdp import parse_sdp
from sipcore.sdp_security import SrtpPolicy
from sipcore.uri import Uri
from voipat.call import Call
from voipat.media_leg import MediaLeg
from voipat.media_plane import MediaPlane
from voipat.security import SrtpRules
from voipat.testing.loop import VirtualLoop

PLAIN = SrtpRules(SrtpPolicy.OFF)
PHONES = {"left": ("192.0.2.1", 4000), "right": ("192.0.2.2", 4000)}
OFFER = (
    "v=0\r\no=- 1 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)


class Pair:
    """left phone (plain) ─ a ═ secure ═ b ─ right phone (plain), all ports in one engine."""

    def __init__(self, plane: MediaPlane, exchange: Literal["sdes", "dtls"]) -> None:
        self.plane = plane
        self.causes: list[str] = []
        secret = SrtpRules(SrtpPolicy.REQUIRED, exchange == "sdes", exchange)
        self.a, self.b = self.leg(secret), self.leg(secret)
        self.left, self.right = self.plain("left"), self.plain("right")

    def leg(self, rules: SrtpRules) -> MediaLeg:
        call = SimpleNamespace(
            to=Uri("sip", host="127.0.0.1"),
            srtp=rules,
            codecs=None,
            beside=None,
            comfort_noise=None,
            dtmf_info=None,
            on_insecure=self.causes.append,
        )
        return self.plane.open(cast(Call, call), None)

    def plain(self, name: str) -> MediaLeg:
        made = self.leg(PLAIN)
        made.answer(parse_sdp(OFFER.format(PHONES[name][0]).encode()), self.plane.formats)
        return made

    def agree(self) -> bytes:
        offer = self.a.offer()
        self.a.read_answer(self.b.answer(parse_sdp(offer), self.plane.formats))
        self.left.connect(self.a)
        self.right.connect(self.b)
        return offer

    def carry(self, until: float) -> dict[str, list[bytes]]:
        """Carry what the ports send, to ports and phones, with the handshakes' flights; what the phones got."""
        ports = {leg.port.rtp_port: leg for leg in (self.a, self.b)}
        heard: dict[str, list[bytes]] = {name: [] for name in PHONES}
        engine = self.plane.engine
        for _ in range(40):
            engine.step(until)
            sent = engine.take()
            for port, to, data, rtcp in sent:
                if rtcp and port.rtp_port != to[1]:
                    continue
                if to[1] in ports:
                    engine.feed(ports[to[1]].port, data, ("127.0.0.1", port.rtp_port))
                heard |= {name: [*heard[name], data] for name, phone in PHONES.items() if phone == to}
            for event in engine.drain():
                if isinstance(event, FlightReceived):
                    leg = next(each for each in ports.values() if each.port.id == event.port.id)
                    leg.receive_flight(event.port, event.data, event.source)
            if not sent:
                break
        return heard


@pytest.fixture
def plane() -> Iterator[MediaPlane]:
    loop = VirtualLoop()
    with Engine(clock=ManualClock(), port_range=(20000, 20019)) as engine:
        yield MediaPlane(engine, SeededEntropy(1), bind="127.0.0.1", loop=loop)
        engine.close()
    loop.close()


@pytest.mark.parametrize(("exchange", "proto"), [("sdes", b"RTP/SAVP"), ("dtls", b"UDP/TLS/RTP/SAVP")])
def test_what_one_leg_seals_the_other_opens_and_plain_phones_hear_each_other(
    plane: MediaPlane, exchange: Literal["sdes", "dtls"], proto: bytes
) -> None:
    pair = Pair(plane, exchange)
    assert proto in pair.agree()
    now = plane.engine._core.now()
    pair.carry(now)
    assert pair.a.crypto == pair.b.crypto == f"AEAD_AES_128_GCM {exchange.upper()}"
    payload = bytes(range(160))
    for number in range(1, 4):
        sample = struct.pack("!BBHII", 0x80, 0, number, number * 160, 7) + payload
        plane.engine.feed(pair.left.port, sample, PHONES["left"])
        heard = pair.carry(now + number * 0.02)
        assert [each[12:] for each in heard["right"]] == [payload]
    assert pair.causes == []
    assert plane.engine.srtp_contexts > 0
    crypto = [leg.close().crypto for leg in (pair.a, pair.b, pair.left, pair.right)]
    assert crypto == [f"AEAD_AES_128_GCM {exchange.upper()}"] * 2 + [None, None]
    assert plane.engine.srtp_contexts == 0 and plane.engine.open_ports == 0


def test_a_handshake_that_nobody_answers_is_told_once_after_five_seconds(plane: MediaPlane) -> None:
    pair = Pair(plane, "dtls")
    pair.agree()
    cast(VirtualLoop, plane.loop).run_until(plane.loop.time() + 20.0)
    assert pair.causes == ["no handshake within 5 s"] * 2


def test_without_a_way_for_keys_nothing_is_offered_where_they_are_required(plane: MediaPlane) -> None:
    pair = Pair(plane, "sdes")
    pair.agree()
    with pytest.raises(SecurityError, match="secure media is required"):
        pair.b.answer(parse_sdp(OFFER.format("192.0.2.1").encode()), plane.formats)
    assert pair.b.crypto is not None


def test_a_call_that_had_keys_in_sdp_may_go_on_with_a_handshake(plane: MediaPlane) -> None:
    """As when the gateway at the other end hands it to a browser."""
    pair = Pair(plane, "sdes")
    pair.agree()
    pair.a.close()
    pair.a = pair.leg(SrtpRules(SrtpPolicy.REQUIRED, False, "dtls"))
    assert b"UDP/TLS/RTP/SAVP" in pair.agree()
    now = plane.engine._core.now()
    pair.carry(now)
    assert pair.a.crypto == pair.b.crypto == "AEAD_AES_128_GCM DTLS"
    plane.engine.feed(pair.left.port, struct.pack("!BBHII", 0x80, 0, 1, 160, 7) + bytes(range(160)), PHONES["left"])
    assert [each[12:] for each in pair.carry(now + 0.02)["right"]] == [bytes(range(160))]
    assert pair.causes == []
