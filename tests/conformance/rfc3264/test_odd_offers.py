"""Offers as real programs send them, right or wrong: tests/vectors/sdp/odd_offers.toml says what becomes of each."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from sipcore.offer_answer import LocalMedia, NegotiatedAudio, OfferAnswer
from sipcore.sdp import SessionDescription
from sipcore.sdp_security import Sdes
from voipat import App, Call, SrtpRules
from voipat.testing import SimWorld

OFFERS: Final[list[dict[str, Any]]] = tomllib.loads(
    (Path(__file__).parents[2] / "vectors/sdp/odd_offers.toml").read_text()
)["offer"]
HEAD: Final = "v=0\no=- 1 1 IN IP4 192.0.2.7\ns=-\nc=IN IP4 192.0.2.7\nt=0 0\n"


class Odd(OfferAnswer):
    """Offers these bytes, whatever the phone would say."""

    def __init__(self, body: bytes) -> None:
        super().__init__(7)
        self._body = body

    def make_offer(self, local: LocalMedia, beside: object = ()) -> bytes:
        super().make_offer(local)
        return self._body

    def read_answer(self, answer: SessionDescription) -> NegotiatedAudio:
        """In the eyes of a phone that takes anything."""
        audio = next(stream for stream in answer.media if stream.port)
        plain = replace(answer, media=(replace(audio, proto="RTP/AVP", attributes=audio.attributes[:1]),))
        codecs = tuple(format_ for format_ in plain.media[0].rtp_formats)
        return OfferAnswer(9).make_answer(plain, LocalMedia("192.0.2.7", 4000, codecs))[1]


def body_of(offer: dict[str, Any]) -> bytes:
    text = str(offer.get("sdp") or HEAD + offer["media"])
    return text.replace("\n", offer.get("line_end", "\r\n")).encode(offer.get("encoding", "utf-8"))


def called(offer: dict[str, Any]) -> tuple[int, list[str], str, Call | None]:
    """Status, reason ids, our answer and the call, of an INVITE with that offer."""
    taken: list[Call] = []
    app = App(srtp=SrtpRules(sdes_over_plain=bool(offer.get("keys"))))

    @app.on_call("sip:echo@*", public=True)
    async def echo(call: Call) -> None:
        await call.answer()
        taken.append(call)
        await call.echo()

    with SimWorld(app) as world:
        phone = world.phone("sip:alice@example.com").dial("sip:echo@127.0.0.1", after=0.1)
        phone._offers = Odd(body_of(offer))
        world.run(until=1.0)
        answer = phone.responses[-1].body.decode()
        if taken:
            assert taken[0].media is not None
            offer["negotiated"] = taken[0].media.negotiated
        assert phone.status is not None
        return phone.status, phone.warning_ids, answer, taken[0] if taken else None


def test_there_are_enough_and_each_says_where_it_is_from() -> None:
    assert len(OFFERS) >= 40 and len({offer["name"] for offer in OFFERS}) == len(OFFERS)
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+#\d+", offer["from"]) for offer in OFFERS)


@pytest.mark.parametrize("given", OFFERS, ids=[offer["name"] for offer in OFFERS])
def test_an_odd_offer_gets_its_answer(given: dict[str, Any]) -> None:
    offer = dict(given)
    status, ids, answer, call = called(offer)
    if "id" in offer:
        assert (status, ids, call) == (488, [offer["id"]], None)
        return
    assert status == 200, ids
    found = [f"{kind}{'-' if port == '0' else '+'}" for kind, port in re.findall(r"^m=(\w+) (\d+)", answer, re.M)]
    negotiated = offer["negotiated"]
    assert found == offer["streams"].split()
    assert negotiated.formats[0].send.name == offer["codec"]
    assert negotiated.held is offer.get("held", False)
    event = negotiated.telephone_event
    assert (None if event is None else event.send.payload_type) == offer.get("dtmf")
    assert negotiated.ptime == offer.get("ptime", negotiated.ptime)
    security = negotiated.security
    assert (security.suite if isinstance(security, Sdes) else None) == offer.get("suite")
