"""When a leg's media becomes samples: who needs that, and in which codecs it is then decoded and encoded.

Nothing is decoded until somebody asks. Users are named ("transcode", "mixer", "recording" …): the audio of the port
goes with the last one. What a new offer and answer says takes effect at once for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from media import CodecMissingError, Engine, Port
from media.codecs import CODECS, FORMATS_MAX, Codec, Format, OpusSettings, maybe_codec
from sipcore.offer_answer import FormatPair, NegotiatedAudio
from sipcore.sdp import RtpFormat

DEFAULT_CODECS: Final = ("opus", "G722", "PCMU", "PCMA")
FRAME_RATES: Final = (8000, 16000, 48000)

COMFORT_NOISE: Final = RtpFormat(13, "CN", 8000)

# Who exchanges frames with others, which all have one rate: the first of them says it.
_EXCHANGES: Final = ("mixer", "overheard", "transcode")

_DYNAMIC: Final = range(96, 128)
# Format lists whose combination is remembered: phones of a model write the same ones in every call.
_REMEMBERED: Final = 256
_PREFERRED: Final = {"opus": 111, "telephone-event/8000": 101, "telephone-event/48000": 110}


def own_formats(codecs: Iterable[str] = DEFAULT_CODECS) -> tuple[RtpFormat, ...]:
    """What we take by ourselves, in this order of preference: those of `codecs` that this machine can encode.

    A telephone-event follows for each clock that they have (RFC 4733 §2.1). Raises: CodecMissingError for a name that
    is no codec of ours, or when none is left.
    """
    found: list[RtpFormat] = []
    for name in codecs:
        codec = next((each for each in CODECS if each.name.lower() == name.lower() and each.kind is not None), None)
        if codec is None:
            raise CodecMissingError(f"{name} is no codec of ours")
        if codec.is_available:
            number = _PREFERRED.get(codec.name, codec.payload_type or 0)
            found.append(RtpFormat(number, codec.name, codec.clock_rate, codec.channels, codec.fmtp))
    if not found:
        raise CodecMissingError("none of the codecs is available on this machine")
    for clock_rate in sorted({each.clock_rate for each in found}):
        number = _PREFERRED[f"telephone-event/{clock_rate}"]
        found.append(RtpFormat(number, "telephone-event", clock_rate, fmtp="0-16"))
    return tuple(found)


class LegCodecs:
    """What one leg may speak: what we take by ourselves and, where its codecs were named, nothing that is not named."""

    __slots__ = ("_order", "own")

    def __init__(self, names: Sequence[str] = (), *, comfort_noise: bool = False) -> None:
        """Raises: CodecMissingError when this machine can speak none of them."""
        self._order = {name.lower(): place for place, name in enumerate(names)}
        ours = {codec.name.lower() for codec in CODECS if codec.kind is not None}
        own = own_formats(name for name in names if name.lower() in ours) if names else own_formats()
        self.own: Final = (*own, COMFORT_NOISE) if comfort_noise else own

    def limited(self, formats: Sequence[RtpFormat]) -> tuple[RtpFormat, ...]:
        """Those of `formats` that the leg may have; nothing when no codec is left."""
        if not self._order:
            return tuple(formats)
        kept = tuple(each for each in formats if each.name.lower() in self._order or _accompanies(each))
        return () if all(map(_accompanies, kept)) else kept

    def offered(self, formats: Sequence[RtpFormat]) -> tuple[RtpFormat, ...]:
        """What its peer is offered when the other side has `formats`: the named codecs in their order."""
        if not self._order:
            return tuple(formats)
        found = with_own(formats, self.own)
        last = len(self._order)
        return self.limited(sorted(found, key=lambda each: self._order.get(each.name.lower(), last)))


def _accompanies(format_: RtpFormat) -> bool:
    return format_.name.lower() in ("telephone-event", "cn", "red")


ALL_CODECS: Final = LegCodecs()


@lru_cache(maxsize=1024)
def codecs_named(names: tuple[str, ...], *, comfort_noise: bool = False) -> LegCodecs:
    """As LegCodecs, made once."""
    return LegCodecs(names, comfort_noise=comfort_noise)


def with_own(formats: Sequence[RtpFormat], own: Sequence[RtpFormat]) -> tuple[RtpFormat, ...]:
    """The formats of one side and behind them those of ours that it lacks, under numbers that are free.

    What the other side takes of the first is relayed; of the others, transcoded. Nothing is added when we could not
    decode any of the first.
    """
    return _with_own(tuple(formats), tuple(own))


@lru_cache(maxsize=_REMEMBERED)
def _with_own(formats: tuple[RtpFormat, ...], own: tuple[RtpFormat, ...]) -> tuple[RtpFormat, ...]:
    if not any((codec := codec_of(each)) is not None and codec.is_available for each in formats):
        return tuple(formats)
    kept, used = list(formats), {each.payload_type for each in formats}
    for each in own:
        # Comfort noise that is relayed must be known to both.
        if each is COMFORT_NOISE or any(mine.matches(each) for mine in formats):
            continue
        free = next((number for number in (each.payload_type, *_DYNAMIC) if number not in used), None)
        if free is not None:
            used.add(free)
            kept.append(each.numbered(free))
    return tuple(kept)


def with_events(formats: Sequence[RtpFormat], own: Sequence[RtpFormat]) -> tuple[RtpFormat, ...]:
    """The formats of one side and, where it has no telephone-events, ours: its keys are pressed anew for it."""
    return _with_events(tuple(formats), tuple(own))


@lru_cache(maxsize=_REMEMBERED)
def _with_events(formats: tuple[RtpFormat, ...], own: tuple[RtpFormat, ...]) -> tuple[RtpFormat, ...]:
    if any(each.name.lower() == "telephone-event" for each in formats):
        return tuple(formats)
    used = {each.payload_type for each in formats}
    events = (each for each in own if each.name == "telephone-event" and each.payload_type not in used)
    return (*formats, *events)


def codec_of(format_: RtpFormat) -> Codec | None:
    """The engine's codec for a format of SDP, or None."""
    return maybe_codec(format_.name, format_.clock_rate, format_.channels)


class LegAudio:
    """The samples of one port."""

    def __init__(
        self, engine: Engine, port: Port, opus: OpusSettings | None = None, *, comfort_noise: bool = False
    ) -> None:
        """`comfort_noise`: pauses of what is encoded here are RFC 3389's, where the peer has agreed to that."""
        self._makes_noise = comfort_noise
        self._engine = engine
        self._port = port
        self._opus = opus or OpusSettings()
        self._negotiated: NegotiatedAudio | None = None
        self._users: dict[str, int] = {}

    @property
    def natural_rate(self) -> int:
        """The samples a second that the codec in use has. Raises: CodecMissingError."""
        return min(max(self._sent().codec.rate, FRAME_RATES[0]), FRAME_RATES[-1])

    @property
    def transcodes(self) -> bool:
        """Whether the frames of a peer are encoded for it."""
        return "transcode" in self._users

    def negotiated(self, negotiated: NegotiatedAudio) -> None:
        """A new description is in force."""
        before = self._negotiated
        changed = before is None or (before.formats, before.ptime) != (negotiated.formats, negotiated.ptime)
        self._negotiated = negotiated
        if self._users and changed:
            self._apply()

    def want(self, user: str, rate: int | None = None) -> None:
        """The port has samples for `user`, at `rate` or at the codec's own. Raises: CodecMissingError."""
        before = dict(self._users)
        self._users[user] = rate or self.natural_rate
        if self._users == before:
            return
        try:
            self._apply()
        except CodecMissingError:
            self._users = before
            raise

    def release(self, user: str) -> None:
        """`user` needs them no more."""
        if self._users.pop(user, None) is None:
            return
        if self._users:
            self._apply()
        else:
            self._engine.drop_audio(self._port)

    def _apply(self) -> None:
        encodes = "transcode" in self._users
        # What is exchanged with a peer or a mixer has its rate; who only listens resamples.
        rates = (self._users.get(user) for user in _EXCHANGES)
        rate = next(filter(None, rates), None) or max(self._users.values())
        listens = any(user not in _EXCHANGES for user in self._users)
        self._engine.set_audio(
            self._port,
            rate=rate,
            receive=self._formats(pair.receive for pair in self._pairs()),
            told=self._formats(pair.send for pair in self._pairs()) if listens else (),
            send=self._sent(),
            encodes=encodes,
            comfort_noise=self._noise() if self._makes_noise else None,
        )

    def _noise(self) -> int | None:
        """The peer's number of comfort noise with the clock of the codec in use."""
        pairs = self._pairs()
        wanted = (each.send for each in pairs if each.send.name.lower() == "cn")
        return next((each.payload_type for each in wanted if each.clock_rate == pairs[0].send.clock_rate), None)

    def _pairs(self) -> tuple[FormatPair, ...]:
        return () if self._negotiated is None else self._negotiated.formats

    def _formats(self, described: Iterable[RtpFormat]) -> list[Format]:
        found: list[Format] = []
        for each in described:
            codec = codec_of(each)
            if codec is not None and codec.is_available and all(one.payload_type != each.payload_type for one in found):
                found.append(Format(codec, each.payload_type))
        return found[:FORMATS_MAX]

    def _sent(self) -> Format:
        pairs = self._pairs()
        codec = codec_of(pairs[0].send) if pairs else None
        if codec is None or not codec.is_available or self._negotiated is None:
            raise CodecMissingError("the codec in use can be passed on only")
        # Opus frames are of 10, 20, 40 and 60 ms; a tick makes no more than is asked for at once.
        ptime = min(max(self._negotiated.ptime // 10 * 10, 10), 60)
        if codec.name == "opus" and ptime in (30, 50):
            ptime = 20
        return Format(codec, pairs[0].send.payload_type, ptime, self._opus.asked_by(pairs[0].send.fmtp))
