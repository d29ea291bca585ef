"""Two phones with video, text or fax beside their audio, and the server between them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from sipcore.beside import KINDS
from sipcore.flow import Address
from sipcore.offer_answer import LocalMedia, NegotiatedAudio, OfferAnswer
from sipcore.sdp import STATIC_FORMATS, SessionDescription, format_sdp, parse_sdp
from voipat import App, Call, Registrar, SrtpRules
from voipat.events import CallEnded
from voipat.testing import PhoneCall, SimWorld

VIDEO = (
    "m=video {port} RTP/AVPF 96 97\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 profile-level-id=42e01f\r\n"
    "a=rtcp-fb:* nack pli\r\na=rtpmap:97 VP8/90000\r\na=rtcp-fb:97 ccm fir\r\n"
    "a=candidate:1 1 UDP 1 192.0.2.9 9 typ host\r\n"
)
H264 = "m=video {port} RTP/AVPF 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 profile-level-id=42e01f\r\n"
TEXT = "m=text {port} RTP/AVP 98\r\na=rtpmap:98 t140/1000\r\n"
FAX = "m=image {port} udptl t38\r\na=T38FaxVersion:0\r\na=T38FaxUdpEC:t38UDPRedundancy\r\n"
PASSWORD = "secret"
LOCAL = LocalMedia("192.0.2.99", 4000, (STATIC_FORMATS[0],))
Mode = Literal["audio", "beside", "fax", "fax beside"]


class Sees(OfferAnswer):
    """Its descriptions: `beside` follows the audio, or stands alone as a fax, after the mode."""

    def __init__(self, session_id: int, beside: str = "") -> None:
        super().__init__(session_id)
        self.beside = beside
        self.mode: Mode = "beside"
        self.takes = True
        self.told: list[str] = []  # the descriptions of the server
        self._audio: NegotiatedAudio | None = None

    def make_offer(self, local: LocalMedia, beside: object = ()) -> bytes:
        text = super().make_offer(local).decode()
        session, _, audio = text.partition("m=audio")
        if self.mode == "fax":
            return (session + self.beside).encode()
        if self.mode == "fax beside":
            return (session + "m=audio 0 RTP/AVP 0\r\n" + self.beside).encode()
        text = session + "m=audio" + re.split(r"(?=m=)", audio)[0]
        return (text + (self.beside if self.mode == "beside" else "")).encode()

    def make_answer(
        self, offer: SessionDescription, local: LocalMedia, beside: object = None
    ) -> tuple[bytes, NegotiatedAudio]:
        self.told.append(format_sdp(offer).decode())
        kinds = [stream.media for stream in offer.media if stream.port]
        if "audio" in kinds:
            body, self._audio = super().make_answer(offer, local)
        else:
            body = format_sdp(offer)  # its session part serves as ours
            self._audio = self._audio or silent(local)
        assert self._audio is not None
        session, *streams = re.split(r"(?=m=)", body.decode())
        for place, stream in enumerate(offer.media):
            if stream.media == "audio" or not stream.port:
                streams[place] = streams[place] if stream.port else "m=audio 0 RTP/AVP 0\r\n"
            elif self.takes and self.beside.startswith(f"m={stream.media} "):
                streams[place] = self.beside
            else:
                streams[place] = f"m={stream.media} 0 {stream.proto} {stream.formats[0]}\r\n"
        session = re.sub(r"c=IN IP4 \S+", f"c=IN IP4 {local.address}", session)
        return (session + "".join(streams)).encode(), self._audio

    def read_answer(self, answer: SessionDescription) -> NegotiatedAudio:
        self.told.append(format_sdp(answer).decode())
        if self.mode in ("fax", "fax beside"):
            self._audio = self._audio or silent(LOCAL)
            return self._audio
        self._audio = super().read_answer(answer)
        return self._audio


def silent(local: LocalMedia) -> NegotiatedAudio:
    """What a phone that never had audio goes by."""
    return OfferAnswer(1).make_answer(parse_sdp(OfferAnswer(2).make_offer(LOCAL)), local)[1]


class Side:
    """A phone's socket for what is beside its audio."""

    def __init__(self, world: SimWorld, host: str, port: int) -> None:
        self._world = world
        self.heard: list[bytes] = []
        self.feedback: list[bytes] = []
        self.address = Address(host, port)
        self.rtcp = Address(host, port + 1)
        world.network.bind(self.address, lambda data, source: self.heard.append(data))
        world.network.bind(self.rtcp, lambda data, source: self.feedback.append(data))

    def says(self, to: Address, data: bytes, *, rtcp: bool = False) -> None:
        source = self.rtcp if rtcp else self.address
        to = Address(to.host, to.port + 1) if rtcp else to
        self._world.network.send(source, to, data, media=True)


class Pair:
    """alice calls bob, who takes `bob_takes`."""

    def __init__(
        self,
        alice_offers: str,
        bob_takes: str,
        *,
        seed: int = 1,
        mode: Mode = "beside",
        srtp: SrtpRules = SrtpRules(),  # noqa: B008  # frozen
        beside: Sequence[str] = KINDS,
        is_answered: bool = True,
    ) -> None:
        registrar = Registrar("example.com", password_of=lambda user: PASSWORD, digest=["MD5"])
        self.app = App(registrar=registrar, srtp=srtp, beside=beside)
        self.legs: list[Call] = []
        self.ended: list[CallEnded] = []
        self.app.subscribe(lambda event: self.ended.append(event) if isinstance(event, CallEnded) else None)

        @self.app.on_call("*")
        async def connect(call: Call) -> None:
            other = await call.dial(call.to.user or "")
            self.legs = [call, other]
            await call.bridge(other)

        self.world = SimWorld(self.app, seed=seed)
        self._texts = alice_offers, bob_takes
        self._mode: Mode = mode
        self._is_answered = is_answered

    def __enter__(self) -> Pair:
        world = self.world.__enter__()
        alice, bob = (
            world.phone(f"sip:{user}@example.com", password=PASSWORD).register(refresh=False) for user in ("a", "b")
        )
        world.run(until=1.0)
        self.a = Side(world, alice.address.host, 5004)
        self.b = Side(world, bob.address.host, 6004)
        self.alice = Sees(7, self._texts[0].format(port=5004))
        self.bob = Sees(8, self._texts[1].format(port=6004))
        self.alice.mode = self._mode
        bob.answers(after=0.5).on_call(lambda call: setattr(call, "_offers", self.bob))
        self.call: PhoneCall = alice.dial("b", after=0.1)
        self.call._offers = self.alice
        self.after(2.0)
        if self._is_answered:
            self.answered: PhoneCall = bob.received[0]
        return self

    def __exit__(self, *exception: object) -> None:
        self.world.__exit__(*exception)  # type: ignore[arg-type]

    def after(self, seconds: float) -> Pair:
        self.world.run(until=self.world.now + seconds)
        return self

    def hang_up(self) -> None:
        self.call.hangs_up()
        self.world.run()
        assert self.world.leaks() == []

    def towards(self, sees: Sees, kind: str) -> Address:
        """Where the server wants what that phone sends."""
        description = parse_sdp(sees.told[-1].encode())
        stream = next(stream for stream in description.media if stream.media == kind)
        return Address(description.connection_of(stream) or "", stream.port)

    def exchange(self, kind: str, there: bytes, back: bytes) -> bool:
        """Whether both get what the other one sends, byte for byte."""
        self.a.heard.clear()
        self.b.heard.clear()
        self.a.says(self.towards(self.alice, kind), there)
        self.b.says(self.towards(self.bob, kind), back)
        self.after(0.5)
        return self.b.heard == [there] and self.a.heard == [back]


def streams(text: str) -> list[tuple[str, bool]]:
    """Kind of each stream of a description, and whether it has a port."""
    return [(kind, port != "0") for kind, port in re.findall(r"^m=(\w+) (\d+)", text, re.M)]
