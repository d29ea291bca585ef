"""One leg's media: a port of the engine, and what offer and answer said about it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from media import (
    CodecMissingError,
    EncodedAudio,
    Port,
    StaleHandleError,
)
from media.codecs import encoder, prompt_codec
from media.recorder import Channels, OnFinished, Recording
from media.recording_file import RecordingFile
from media.sealed import Format
from media.tap import DropPolicy, Speaking, Tap, TapSide
from sipcore.beside import KINDS, is_fax, replaces_audio
from sipcore.errors import NegotiationError, SecurityError
from sipcore.flow import Address
from sipcore.offer_answer import FormatPair, LocalMedia, NegotiatedAudio, OfferAnswer, check_offer
from sipcore.routing import UNSPECIFIED
from sipcore.sdp import Direction, MediaDescription, RtpFormat, SessionDescription, parse_sdp
from sipcore.sdp_security import Dtls, LocalSecurity, SrtpPolicy
from voipat.beside import Beside
from voipat.events import LeftWhy, MediaFigures
from voipat.leg_audio import ALL_CODECS, COMFORT_NOISE, LegAudio, LegCodecs
from voipat.leg_pairing import event_map, media_figures, payload_map, shares_codec, translation
from voipat.leg_security import LegSecurity

if TYPE_CHECKING:
    from voipat.media_plane import MediaPlane

logger: Final = logging.getLogger("voipat")


class Seat(Protocol):
    """A leg's place in a conference."""

    def described(self, negotiated: NegotiatedAudio) -> None:
        """A new description is in force."""
        ...

    def spoke(self, speaking: bool) -> None:
        """The leg's peer began to speak, or ended."""
        ...

    def out(self, why: LeftWhy) -> None:
        """The leg is closed, or connected with something else."""
        ...


class MediaLeg:
    """A port with its session. Closed once; the verbs of a closed leg do nothing."""

    def __init__(
        self,
        plane: MediaPlane,
        port: Port,
        address: str,
        session_id: int,
        signalling: Address | None,
        security: LocalSecurity | None = None,
        codecs: LegCodecs | None = None,
        beside: Sequence[str] = KINDS,
    ) -> None:
        self._plane = plane
        self._engine = plane.engine
        self.port: Final = port
        self._address = address
        self._session = OfferAnswer(session_id)
        self._signalling = signalling
        self._security = security
        self.codecs: Final = codecs or ALL_CODECS
        self._keys = LegSecurity(plane, port, self._fail)
        self.beside: Final = Beside(self, plane, beside, signalling)
        # Told why there is no secure media: the call cannot go on.
        self.on_insecure: Callable[[str], None] | None = None
        self.negotiated: NegotiatedAudio | None = None
        # Of what was negotiated: the formats, the telephone-event last, the codec in use, and the one of prompts in it.
        self.pairs: tuple[FormatPair, ...] = ()
        self.codec: str | None = None
        self.prompt_codec = ""
        # What we want by ourselves: sendonly while we hold the peer.
        self.own_direction = Direction.SENDRECV
        self.audio: Final = LegAudio(plane.engine, port, comfort_noise=COMFORT_NOISE in self.codecs.own)
        self._is_open = True
        self._key_tones: int | None = None
        self._insists = False
        self.seat: Seat | None = None
        # Whether keys of its peer are looked at before the other side of a bridge gets them: then pressed anew there.
        self.keeps_keys = False
        # Whether digits that its peer sends in an INFO are taken.
        self.takes_info_digits = True

    def offer(
        self,
        formats: Sequence[RtpFormat] = (),
        direction: Direction = Direction.SENDRECV,
        beside: Sequence[MediaDescription] | None = None,
    ) -> bytes:
        """Our offer; without formats those in use, or our own; `beside` the audio the other leg's streams (None: those
        that are agreed on, and a fax stays one). Raises: NegotiationError.
        """
        if beside is None and self.beside.is_fax:
            return self.offer_unchanged()
        wanted = self.codecs.limited(formats or self.formats or self.codecs.own)
        if not wanted:
            raise NegotiationError("no codec in common")
        local = self._local(wanted, direction)
        if self.negotiated is None and self._must_hide and not self._can_hide:
            raise SecurityError("secure media is required, and there is no way to agree on keys")
        limit = local.direction
        return self._session.make_offer(
            local, self.beside.again(limit) if beside is None else self.beside.offer(beside, limit)
        )

    def offer_fax(self, stream: MediaDescription, *, replaces: bool) -> bytes:
        """Our offer to go on as a fax, which `replaces` the audio or stands beside it. Raises: NegotiationError."""
        return self._offer_fax(self.beside.offer([stream], Direction.SENDRECV), replaces=replaces)

    def _offer_fax(self, said: Sequence[MediaDescription], *, replaces: bool) -> bytes:
        if not said:
            raise NegotiationError("no fax over this leg")
        self.beside.offers_fax, self.beside.replaces = True, replaces
        return self._session.make_offer_without_audio(self._local((), Direction.SENDRECV), said[0], replaces=replaces)

    @property
    def _must_hide(self) -> bool:
        return self._security is not None and self._security.policy is SrtpPolicy.REQUIRED

    @property
    def _can_hide(self) -> bool:
        return self._security is not None and self._security.offers is not None

    def check(self, offer: SessionDescription) -> None:
        """Whether the offer can be answered at all, and is as secret as it has to be.

        Raises: SecurityError, NegotiationError.
        """
        if not is_fax(offer):
            check_offer(offer, self._security)
        elif not self.beside.wanted(offer):
            raise NegotiationError("no fax over this leg")

    @property
    def crypto(self) -> str | None:
        """How the media is secured, as the CDR says it: "AEAD_AES_128_GCM SDES"; None for plain RTP."""
        if self._keys.suite is None or self.negotiated is None:
            return None
        return f"{self._keys.suite} {'DTLS' if isinstance(self.negotiated.security, Dtls) else 'SDES'}"

    def receive_flight(self, port: Port, datagram: bytes, source: tuple[str, int]) -> None:
        """A datagram of DTLS came to a port of the leg."""
        if port is self.port:
            self._keys.receive_flight(datagram, source)
        else:
            self.beside.receive_flight(port, datagram, source)

    def answer(
        self,
        offer: SessionDescription,
        formats: Sequence[RtpFormat],
        direction: Direction = Direction.SENDRECV,
        beside: Beside | None = None,
    ) -> bytes:
        """Our answer, which takes effect; `beside` the audio what the other leg agreed on (None: what this one has).

        Raises: NegotiationError.
        """
        local = self._local(self.codecs.limited(formats), direction)
        if is_fax(offer):
            taken = self.beside.answer(offer, beside)
            if not taken:
                raise NegotiationError("no fax over this call")
            self._turn_to(fax=True, replaces=replaces_audio(offer))
            return self._session.answer_without_audio(offer, local, taken)
        body, negotiated = self._session.make_answer(offer, local, lambda: self.beside.answer(offer, beside))
        self._apply(negotiated)
        self._turn_to(fax=False)
        return body

    def _turn_to(self, *, fax: bool, replaces: bool = False) -> None:
        """The audio rests while the call is a fax: nothing is sent or expected there."""
        was_fax, self.beside.is_fax = self.beside.is_fax, fax
        self.beside.replaces = replaces
        if self._is_open and fax is not was_fax:
            self._engine.hold(self.port, fax or (self.negotiated is not None and self.negotiated.held))

    def offer_unchanged(self) -> bytes:
        """What we last said, as an offer."""
        said = self.beside.again(self.own_direction)
        if self.beside.is_fax:
            return self._offer_fax(said, replaces=self.beside.replaces)
        return self._session.repeat_offer(said)

    def offer_refused(self) -> None:
        """Our last offer was refused: what we offer unchanged is what stood before."""
        self._session.offer_refused()
        self.beside.refused()

    def preview(self, offer: SessionDescription) -> NegotiatedAudio:
        """What an answer to the offer would mean; nothing changes. Raises: NegotiationError."""
        local = self._local(self.formats or self.codecs.own, Direction.SENDRECV)
        return self._session.preview(offer, local)

    def read_answer(self, body: bytes) -> None:
        """The answer to our offer, which takes effect. Raises: ParseError, NegotiationError."""
        answer = parse_sdp(body)
        if self.beside.offers_fax:
            self.beside.read_answer(answer)
            if self.beside.agreed("image") is None:
                raise NegotiationError("the answer declines the fax")
            self._turn_to(fax=True, replaces=self.beside.replaces)
            return
        self._apply(self._session.read_answer(answer))
        self.beside.read_answer(answer)
        self._turn_to(fax=False)

    def place_of(self, port: int) -> int | None:
        """Where the stream with this port of ours stands in our last description."""
        return self._session.place_of(port)

    @property
    def security(self) -> LocalSecurity | None:
        """How secret the leg's media may and must be."""
        return self._security

    @property
    def formats(self) -> tuple[RtpFormat, ...]:
        """What the peer takes, under its numbers, the codec in use first."""
        return tuple([pair.send for pair in self.pairs])

    @property
    def expects_media(self) -> bool:
        """Whether silence means that the peer is gone."""
        return self.negotiated is not None and self.negotiated.direction.receives and not self.beside.is_fax

    def expect_anew(self) -> None:
        """The peer has shown that it is there: its silence counts from now on."""
        if self._is_open and self.expects_media and self.negotiated is not None:
            self._engine.hold(self.port, self.negotiated.held)

    def relearn(self) -> None:
        """Let the ports learn their sources anew: the call was answered."""
        self.beside.relearn()
        if self._is_open and self.negotiated is not None:
            self._set_remote(self.negotiated)

    def connect(self, other: MediaLeg) -> None:
        """Join the two: relayed when they share a codec, each under the number its receiver wrote; else transcoded."""
        if not (self._is_open and other._is_open):
            return
        for leg in (self, other):
            if leg.seat is not None:
                leg._stand_up("left")
        self.beside.connect(other.beside)
        if self.negotiated is None or other.negotiated is None:
            return  # a fax from its first INVITE on: there is no audio to join
        there, back = payload_map(self, other), payload_map(other, self)
        translated = translation(self, other), translation(other, self)
        if shares_codec(self, there) and shares_codec(other, back):
            self._relay_only(other)
        elif translated[0] and translated[1]:
            self._relay_only(other)
            there |= translated[0].types
            back |= translated[1].types
        else:
            self._transcode(other)
            translated = None, None
            there, back = {**there, **event_map(self, other)}, {**back, **event_map(other, self)}
        self._engine.connect(
            self.port,
            other.port,
            a_to_b=there,
            b_to_a=back,
            a_translated=translated[0] and translated[0].how,
            b_translated=translated[1] and translated[1].how,
        )

    def _relay_only(self, other: MediaLeg) -> None:
        self.audio.release("transcode")
        other.audio.release("transcode")

    def _transcode(self, other: MediaLeg) -> None:
        """Both exchange frames at the lower of their rates: the higher one's upper band would be empty."""
        try:
            rate = min(self.audio.natural_rate, other.audio.natural_rate)
            self.audio.want("transcode", rate)
            other.audio.want("transcode", rate)
        except CodecMissingError as error:
            logger.warning("no audio between %s and %s: %s", self.codec, other.codec, error)
            self._relay_only(other)

    def disconnect(self) -> None:
        """End the relay."""
        if self._is_open:
            self.audio.release("transcode")
            self._engine.disconnect(self.port)
            self.beside.disconnect()

    def echo(self) -> None:
        """Send back what comes."""
        if self._is_open:
            self._stand_up("left")
            self._engine.echo(self.port)

    def take_seat(self, seat: Seat, rate: int) -> None:
        """Have samples for a mixer of that rate until the seat is given back. Raises: CodecMissingError."""
        if not self._is_open:
            raise CodecMissingError("the leg is closed")
        self._stand_up("left")
        self.audio.want("mixer", rate)
        self.seat = seat

    def give_seat(self, seat: Seat) -> None:
        """No more."""
        if self.seat is seat:
            self.seat = None
            if self._is_open:
                self.audio.release("mixer")

    def be_overheard(self, rate: int) -> None:
        """Have samples for a mixer of that rate, and go on with its peer as before. Raises: CodecMissingError."""
        if not self._is_open:
            raise CodecMissingError("the leg is closed")
        self.audio.want("overheard", rate)

    def be_alone(self) -> None:
        """Nobody overhears it any more."""
        if self._is_open:
            self.audio.release("overheard")

    def _stand_up(self, why: LeftWhy) -> None:
        if self.seat is not None:
            self.seat.out(why)

    @property
    def is_open(self) -> bool:
        """Whether it has its port."""
        return self._is_open

    def play(self, prompts: Sequence[EncodedAudio], *, turns: int, start: float, stop_digits: str) -> int:
        """Play prompts in the codec in use; the number that the end has. Raises: CodecMissingError."""
        if not self._is_open or self.negotiated is None:
            raise CodecMissingError("nothing was negotiated to play in")
        codec = self.negotiated.formats[0].send
        silence = encoder(codec.name).silence
        return self._engine.play(
            self.port,
            prompts,
            payload_type=codec.payload_type,
            silence=silence,
            turns=turns,
            start=start,
            stop_digits=stop_digits,
        )

    def stop_play(self, number: int) -> None:
        """End that playback."""
        if self._is_open:
            self._engine.stop_play(self.port, number)

    def send_digits(self, digits: str, payload_type: int, duration: float, pause: float) -> int:
        """Send telephone-events; the number that their end has. Raises: CodecMissingError, ValueError."""
        if not self._is_open:
            raise CodecMissingError("nothing was negotiated to send digits in")
        return self._engine.send_digits(self.port, digits, payload_type=payload_type, duration=duration, pause=pause)

    # Samples

    def record(
        self,
        create: Callable[[Format], RecordingFile],
        *,
        channels: Channels,
        max_seconds: float | None,
        on_finished: OnFinished,
    ) -> Recording:
        """Record what is heard and said. Raises: CodecMissingError."""
        rate = self._listen()
        form = Format(rate, 2 if channels == "stereo" else 1)
        return self._engine.record(
            self.port,
            lambda: create(form),
            rate=rate,
            channels=channels,
            max_seconds=max_seconds,
            on_finished=on_finished,
        )

    def stop_recording(self, recording: Recording) -> None:
        """End it; the end of the leg does so too."""
        if self._is_open:
            self._engine.stop_recording(self.port, recording)

    def tap(self, *, rate: int, side: TapSide, drop: DropPolicy) -> Tap:
        """Samples for a program. Raises: CodecMissingError."""
        self._listen()
        return self._engine.tap(self.port, rate=rate, side=side, drop=drop)

    def speak(self, *, rate: int) -> Speaking:
        """Samples of a program. Raises: CodecMissingError."""
        self._listen()
        return self._engine.speak(self.port, rate=rate)

    def hear_keys(self, *, always: bool = False) -> None:
        """Take keys that are heard as tones for digits, where the peer has no telephone-events, or `always`."""
        if not self._is_open or self.negotiated is None or self._key_tones is not None:
            return
        if self.negotiated.telephone_event is not None and not always:
            return
        try:
            self.audio.want("keys")
        except CodecMissingError as error:
            logger.info("no keys are heard in %s: %s", self.codec, error)
            return
        self._key_tones = self._engine.hear_key_tones(self.port)
        self._insists = always

    def passes_digits(self, other: MediaLeg) -> bool:
        """Whether the keys of this leg's peer reach the other one with the media as it is relayed or transcoded."""
        mine = self.negotiated and self.negotiated.telephone_event
        theirs = other.negotiated and other.negotiated.telephone_event
        if mine and theirs:
            return not self.keeps_keys and (self.audio.transcodes or theirs.send.matches(mine.receive))
        return not mine and not theirs

    def _ignore_keys(self) -> None:
        """The peer has telephone-events now."""
        number, self._key_tones = self._key_tones, None
        if number is not None:
            self._engine.ignore_key_tones(self.port, number)
            self.audio.release("keys")

    def untap(self, one: Tap | Speaking) -> None:
        """End a tap or a speech."""
        if self._is_open:
            self._engine.untap(self.port, one)

    def _listen(self) -> int:
        """Have samples from now on, whatever is negotiated later; the rate that suits the codec."""
        if not self._is_open or self.negotiated is None:
            raise CodecMissingError("nothing was negotiated to listen to")
        self.audio.want("listening")
        return min(self.audio.natural_rate, 16000)

    def close(self) -> MediaFigures:
        """Give the port back; its last figures."""
        if not self._is_open:
            return MediaFigures()
        self._is_open = False
        self.on_insecure = None  # a way back to the call, which is freed without the collector
        self._keys.close()
        relayed = self.beside.close()
        self._plane.owners.pop(self.port.id, None)
        try:
            stats = self._engine.stats(self.port)
            self._engine.close_port(self.port)
        except StaleHandleError:
            logger.exception("bug: port %d was closed by another", self.port.id)
            return MediaFigures(codec=self.codec)
        finally:
            if self.seat is not None:
                self._stand_up("ended")
        return media_figures(stats, self.codec, crypto=self.crypto, beside=relayed)

    def _local(self, formats: Sequence[RtpFormat], direction: Direction) -> LocalMedia:
        wanted = direction.limited_to(self.own_direction)
        return LocalMedia(self._address, self.port.rtp_port, tuple(formats), wanted, security=self._security)

    def passed_pairs(self) -> tuple[FormatPair, ...]:
        """What goes through a bridge as it comes."""
        return self.negotiated.formats if self.keeps_keys and self.negotiated is not None else self.pairs

    def _apply(self, negotiated: NegotiatedAudio) -> None:
        if not self._is_open:
            return
        before = self.negotiated
        was_held = before is not None and before.held
        self.negotiated = negotiated
        if before is not None and before == negotiated:
            # A refresh: the stream goes on as it is (RFC 4028 §7.4).
            return
        digits = negotiated.telephone_event
        self.pairs = negotiated.formats if digits is None else (*negotiated.formats, digits)
        self.codec = negotiated.formats[0].send.name
        self.prompt_codec = prompt_codec(self.codec, negotiated.formats[0].send.fmtp)
        self._set_remote(negotiated)
        self._keys.agreed(negotiated.security, negotiated.remote)
        try:
            self.audio.negotiated(negotiated)
        except CodecMissingError as error:
            logger.warning("no samples of port %d any more: %s", self.port.rtp_port, error)
            self._stand_up("left")
        if digits is not None and self._key_tones is not None and not self._insists:
            self._ignore_keys()
        if negotiated.held or was_held:
            self._engine.hold(self.port, negotiated.held)
        if self.seat is not None:
            self.seat.described(negotiated)

    def _set_remote(self, negotiated: NegotiatedAudio) -> None:
        """Send where the peer is, and learn its source anew."""
        digits = negotiated.telephone_event
        # RFC 3264 §8.4: c=0.0.0.0 is hold in the manner of RFC 2543, and no place to send to.
        is_nowhere = negotiated.remote.host in UNSPECIFIED
        self._engine.set_remote(
            self.port,
            None if is_nowhere else negotiated.remote,
            remote_rtcp=None if is_nowhere else negotiated.remote_rtcp,
            payload_types=[pair.receive.payload_type for pair in self.pairs],
            telephone_event=None if digits is None else digits.receive.payload_type,
            event_rate=None if digits is None else digits.receive.clock_rate,
            clock_rate=negotiated.formats[0].receive.clock_rate,
            signalling=self._signalling,
            rtcp_mux=negotiated.rtcp_mux,
        )

    def _fail(self, cause: str) -> None:
        if self.on_insecure is not None and self._is_open:
            self.on_insecure(cause)
