"""Offers with video, text, fax and bundles beside the audio: declined in their place, and the audio goes on."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from sipcore.flow import Address
from sipcore.offer_answer import LocalMedia, OfferAnswer
from voipat import App, Call
from voipat.testing import PhoneCall, SimWorld

VIDEO = "m=video 5004 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 profile-level-id=42e01f\r\na=rtcp-fb:96 pli\r\n"
TEXT = "m=text 5006 RTP/AVP 98\r\na=rtpmap:98 t140/1000\r\n"
FAX = "m=image 5008 udptl t38\r\na=T38FaxVersion:0\r\na=T38FaxUdpEC:t38UDPRedundancy\r\n"
CHAT = "m=message 5010 TCP/MSRP *\r\na=path:msrp://192.0.2.1:5010/x;tcp\r\n"
SCREEN = "m=application 5012 UDP/DTLS/SCTP webrtc-datachannel\r\na=sctp-port:5000\r\n"


class Rewriting(OfferAnswer):
    """A phone's descriptions, its offers with something added or changed."""

    def __init__(self, session_id: int, rewrite: Callable[[str], str]) -> None:
        super().__init__(session_id)
        self._rewrite = rewrite

    def make_offer(self, local: LocalMedia) -> bytes:
        return self._rewrite(super().make_offer(local).decode()).encode()


def make_app() -> App:
    app = App()

    @app.on_call("sip:echo@*", public=True)
    async def echo(call: Call) -> None:
        await call.answer()
        await call.echo()

    return app


def dial(world: SimWorld, rewrite: Callable[[str], str]) -> PhoneCall:
    call = world.phone("sip:alice@example.com").dial("sip:echo@127.0.0.1", after=0.1)
    call._offers = Rewriting(7, rewrite)
    return call


def answers(world: SimWorld) -> list[str]:
    """The descriptions of the server's 200s, oldest first."""
    found = [rung.data.decode() for rung in world.network.ladder if rung.data.startswith(b"SIP/2.0 200")]
    return [text.partition("\r\n\r\n")[2] for text in found if "m=audio" in text]


def places(sdp: str) -> list[tuple[str, bool]]:
    """Kind of each stream, and whether it was taken."""
    return [(kind, port != "0") for kind, port in re.findall(r"^m=(\w+) (\d+)", sdp, re.M)]


@pytest.mark.rfc(
    "3264",
    "6",
    "To reject an offered stream, the port number in the corresponding stream in the answer MUST be set to zero.",
)
@pytest.mark.parametrize("other", [VIDEO, TEXT, FAX, CHAT, SCREEN, VIDEO + TEXT + FAX])
def test_what_is_no_audio_is_declined_where_it_stands_and_the_audio_is_heard(other: str) -> None:
    kinds = re.findall(r"m=(\w+)", other)
    with SimWorld(make_app()) as world:
        call = dial(world, lambda sdp: sdp + other).hears(call_tone(world))
        call.hangs_up()
        world.run()
        assert places(answers(world)[0]) == [("audio", True), *((kind, False) for kind in kinds)]
        assert world.leaks() == []


def test_a_bundle_is_not_taken_and_its_audio_is() -> None:
    def bundled(sdp: str) -> str:
        audio = sdp.replace("t=0 0\r\n", "t=0 0\r\na=group:BUNDLE a v\r\n") + "a=mid:a\r\n"
        return audio + VIDEO + "a=mid:v\r\na=bundle-only\r\n"

    with SimWorld(make_app()) as world:
        dial(world, bundled).hears(call_tone(world)).hangs_up()
        world.run()
        (answer,) = answers(world)
        assert "BUNDLE" not in answer and places(answer) == [("audio", True), ("video", False)]


@pytest.mark.parametrize("other", [VIDEO, FAX])
def test_media_that_a_call_adds_is_declined_and_the_call_goes_on(other: str) -> None:
    with SimWorld(make_app()) as world:
        added = [""]
        call = dial(world, lambda sdp: sdp + added[0])
        world.run(until=2.0)
        added[0] = other
        call.refresh(method="INVITE")
        world.run(until=4.0)
        assert places(answers(world)[-1]) == [("audio", True), (other[2:].split()[0], False)]
        call.hears(call_tone(world)).hangs_up()
        world.run()
        assert world.leaks() == []


def test_a_fax_that_takes_the_place_of_the_audio_is_refused_and_the_call_goes_on() -> None:
    with SimWorld(make_app()) as world:
        is_fax = [False]
        call = dial(world, lambda sdp: re.sub(r"m=audio \d+", "m=audio 0", sdp) + FAX if is_fax[0] else sdp)
        world.run(until=2.0)
        is_fax[0] = True
        call.refresh(method="INVITE")
        world.run(until=4.0)
        assert any(rung.data.startswith(b"SIP/2.0 488") for rung in world.network.ladder)
        assert not call.is_over
        call.hears(call_tone(world)).hangs_up()
        world.run()
        assert world.leaks() == []


def call_tone(world: SimWorld) -> int:
    """What the phone says, and therefore hears."""
    return world.phones[0].tone


@pytest.mark.parametrize("is_on", [True, False])
def test_pauses_of_a_program_are_comfort_noise_where_both_want_it(is_on: bool) -> None:
    app = App(comfort_noise=is_on)

    @app.on_call("sip:bot@*", public=True)
    async def bot(call: Call) -> None:
        await call.answer()
        await call.speak(bytes(2 * 8000 * 3), rate=8000)

    with SimWorld(app) as world:
        heard: list[int] = []
        call = world.phone("sip:alice@example.com").dial("sip:bot@127.0.0.1", after=0.1)
        call._offers = Rewriting(7, lambda sdp: re.sub(r"RTP/AVP 0 8", "RTP/AVP 0 8 13", sdp))
        send = world.network.send

        def listen(source: Address, destination: Address, data: bytes, *, media: bool = False) -> None:
            if media and source.host == "127.0.0.1":
                heard.append(data[1] & 0x7F)
            send(source, destination, data, media=media)

        world.network.send = listen  # type: ignore[method-assign]
        world.run(until=3.0)
        assert re.search(r"m=audio \d+ RTP/AVP 0 8 13", answers(world)[0]) if is_on else "13" not in formats(world)
        assert (13 in heard) is is_on and heard.count(0) < 30 if is_on else heard.count(0) > 100
        call.hangs_up()
        world.run()


def formats(world: SimWorld) -> list[str]:
    """The payload types of the server's answer."""
    found = re.search(r"m=audio \d+ RTP/AVP ([\d ]+)", answers(world)[0])
    assert found is not None
    return found[1].split()
