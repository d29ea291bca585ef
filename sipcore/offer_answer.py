"""Offer and answer: RFC 3264, RFC 6337, for one audio stream; its keys are `sdp_security`.

Invariants. Streams keep their number and place for ever: what is not taken is answered with port 0 where it stands.
An answer's formats are a part of the offer's, in the offer's order, under the offer's numbers. Each side sends with
the payload type that the *other* side wrote. `o=` keeps its session id, and its version grows by one only when the
description changed. A stream that cannot be served raises NegotiationError, which is answered with 488.

`OfferAnswer` is the memory of one dialog; the functions below it are for a single exchange.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from ipaddress import ip_address
from typing import Final, NamedTuple

from sipcore.errors import NegotiationError, SecurityError
from sipcore.flow import Address
from sipcore.routing import UNSPECIFIED
from sipcore.sdp import Attribute, Direction, Line, MediaDescription, Origin, RtpFormat, SessionDescription, format_sdp
from sipcore.sdp_security import (
    PROTOS,
    Dtls,
    LocalSecurity,
    Security,
    answer_attributes,
    choose,
    keep_role,
    offer_security,
    offered_setup,
    read_answer_security,
)
from sipcore.values import value_object

PTIME_MS: Final = range(10, 121)
DYNAMIC: Final = range(96, 128)
PORTS: Final = range(1024, 65536)

# What format lists come to is remembered: phones of a model write the same ones in every call.
_REMEMBERED: Final = 256
_DIRECTION: Final = {each.value: Attribute(each.value) for each in Direction}

_FOR_EVER: Final = (Line("t", "0 0"),)

# These accompany a codec and make no stream by themselves.
_COMPANIONS: Final = frozenset(("telephone-event", "cn", "red"))
_TIME = re.compile(r"([0-9]{1,4})(?:\.[0-9]{1,6})?\s*")


@value_object(frozen=True, slots=True)
class LocalMedia:
    """What we can do: our address and port, our formats in order of preference, `ptime` in milliseconds.

    `rtcp_mux`: our offers say so; an offer that says so is always answered in kind (RFC 5761 §5.1.1).
    """

    address: str
    port: int
    formats: tuple[RtpFormat, ...]
    direction: Direction = Direction.SENDRECV
    ptime: int = 20
    security: LocalSecurity | None = None
    rtcp_mux: bool = False


class FormatPair(NamedTuple):
    """One encoding under both numbers: what we send with (theirs), what we receive (ours)."""

    send: RtpFormat
    receive: RtpFormat


@value_object(frozen=True, slots=True)
class NegotiatedAudio:
    """What offer and answer came to, seen from our side.

    `formats` has the codec to use first and no telephone-event; `telephone_event` is the one with the clock of
    that codec. `held`: the peer does not want to hear us (sendonly, inactive, or `c=0.0.0.0` of RFC 2543).
    `direction` is what we do: a peer that answered recvonly leaves us sendonly. `ptime` (ms) is the peer's wish.
    `security` None: plain RTP. `rtcp_mux`: RTCP comes and goes on the RTP ports.
    """

    remote: Address
    remote_rtcp: Address
    formats: tuple[FormatPair, ...]
    telephone_event: FormatPair | None
    direction: Direction
    held: bool
    ptime: int
    stream: int = 0
    security: Security | None = None
    rtcp_mux: bool = False


class OfferAnswer:
    """Our side of one dialog's descriptions: session id, version, the places of the streams, our standing offer."""

    def __init__(self, session_id: int) -> None:
        self._session_id = session_id
        self._version = session_id
        self._sent: SessionDescription | None = None
        self._places: tuple[MediaDescription, ...] = ()
        self._stream = 0
        self._offered: LocalMedia | None = None
        self._standing: LocalMedia | None = None
        self._security: Security | None = None
        self._is_muxed = False
        # What each dynamic number was ever said to be, by us or in an answer under the peer's numbers.
        self._numbers: dict[int, RtpFormat] = {}

    def make_offer(self, local: LocalMedia, beside: Sequence[MediaDescription] = ()) -> bytes:
        """Our offer, first or later, with the streams `beside` the audio, one of a kind.

        The other streams that were ever talked about stay, with port 0.
        """
        formats, muxes = self._numbered(local.formats), local.rtcp_mux or self._is_muxed
        if formats != local.formats or muxes is not local.rtcp_mux:
            local = replace(local, formats=formats, rtcp_mux=muxes)
        self._offered = local
        streams = [_rejected(stream) for stream in self._places]
        streams[self._stream : self._stream + 1] = [_offered_audio(local, self._security)]
        self._place(streams, beside)
        return self._send(_describe(local, self._session_id, self._version, streams))

    def make_offer_without_audio(self, local: LocalMedia, stream: MediaDescription, *, replaces: bool) -> bytes:
        """Our offer of this stream alone: where the audio was (RFC 3264 §8.3.3), or beside it at port 0.

        What was agreed on about the audio is kept for its return.
        """
        streams = [_rejected(each) for each in self._places]
        streams[self._stream : self._stream + 1] = [
            stream if replaces else MediaDescription("audio", 0, "RTP/AVP", ("0",))
        ]
        if not replaces:
            self._place(streams, [stream])
        return self._send(_describe(local, self._session_id, self._version, streams))

    def answer_without_audio(
        self, offer: SessionDescription, local: LocalMedia, taken: Mapping[int, MediaDescription]
    ) -> bytes:
        """Our answer to an offer of other streams alone, of which these are taken, by place."""
        streams = [taken.get(place) or _rejected(each) for place, each in enumerate(offer.media)]
        return self._send(_describe(local, self._session_id, self._version, streams))

    def repeat_offer(self, beside: Sequence[MediaDescription] = ()) -> bytes:
        """What we last said, as an offer: a refresh changes nothing, `o=` included (RFC 4028 §7.4)."""
        assert self._offered is not None, "there is no session to refresh before its description"
        return self.make_offer(self._offered, beside)

    def place_of(self, port: int) -> int | None:
        """Where the stream with this port of ours stands in what we last said."""
        return next((place for place, stream in enumerate(self._places) if stream.port == port), None)

    def _place(self, streams: list[MediaDescription], beside: Sequence[MediaDescription]) -> None:
        """Each where its kind has stood before, or behind all others."""
        for stream in beside:
            same = (
                place
                for place, each in enumerate(streams)
                if each.media == stream.media and each.port == 0 and place != self._stream
            )
            place = next(same, None)
            if place is None:
                streams.append(stream)
            else:
                streams[place] = stream

    def offer_refused(self) -> None:
        """Our last offer came to nothing: what was agreed on before stands (RFC 3261 §14.1), and is what we repeat."""
        if self._standing is not None:
            self._offered = self._standing

    def make_answer(
        self,
        offer: SessionDescription,
        local: LocalMedia,
        beside: Callable[[], Mapping[int, MediaDescription]] | None = None,
    ) -> tuple[bytes, NegotiatedAudio]:
        """Our answer and what it means. `beside` says how other streams are taken, by their place in the offer; it is
        asked once the audio is settled.

        Raises: NegotiationError; the session then stays as it was.
        """
        description, negotiated = _answer(
            offer, local, self._session_id, self._version, self._stream, self._security, is_muxed=self._is_muxed
        )
        if beside is not None and (taken_beside := beside()):
            streams = [taken_beside.get(place, stream) for place, stream in enumerate(description.media)]
            description = replace(description, media=tuple(streams))
        self._stream = negotiated.stream
        events = negotiated.telephone_event
        pairs = negotiated.formats if events is None else (*negotiated.formats, events)
        taken = tuple([pair.receive for pair in pairs])
        # A peer that gives a number to another codec is followed: it hears what it writes.
        for each in taken:
            if each.payload_type in DYNAMIC:
                self._numbers[each.payload_type] = each
        self._offered = LocalMedia(
            local.address, local.port, taken, negotiated.direction, local.ptime, local.security, local.rtcp_mux
        )
        self._agreed(negotiated)
        return self._send(description), negotiated

    def preview(self, offer: SessionDescription, local: LocalMedia) -> NegotiatedAudio:
        """What an answer would mean; nothing changes. Raises: NegotiationError."""
        return _answer(offer, local, 0, 0, self._stream, self._security, is_muxed=self._is_muxed)[1]

    def read_answer(self, answer: SessionDescription) -> NegotiatedAudio:
        """What the answer to our last offer means. Raises: NegotiationError."""
        assert self._offered is not None, "an answer belongs to an offer of ours"
        negotiated = read_answer(
            self._offered, answer, stream=self._stream, before=self._security, is_muxed=self._is_muxed
        )
        self._agreed(negotiated)
        return negotiated

    def _numbered(self, formats: Sequence[RtpFormat]) -> tuple[RtpFormat, ...]:
        """The formats under numbers that never were another codec's (RFC 3264 §8.3.2)."""
        kept: list[RtpFormat] = []
        used = {each.payload_type for each in formats}
        for wanted in formats:
            each, before = wanted, self._numbers.get(wanted.payload_type)
            if before is not None and not before.matches(each):
                mine = (number for number, one in self._numbers.items() if one.matches(each) and number not in used)
                unused = (number for number in DYNAMIC if number not in used and number not in self._numbers)
                number = next(mine, None) or next(unused, None)
                if number is None:
                    continue
                used.add(number)
                each = each.numbered(number)
            if each.payload_type in DYNAMIC:
                self._numbers[each.payload_type] = each
            kept.append(each)
        return tuple(kept)

    def _agreed(self, negotiated: NegotiatedAudio) -> None:
        self._security = negotiated.security
        self._is_muxed = negotiated.rtcp_mux
        self._standing = self._offered

    def _send(self, description: SessionDescription) -> bytes:
        self._places = description.media
        if self._sent is not None and description != self._sent:
            self._version += 1
            assert description.origin is not None
            description = replace(description, origin=replace(description.origin, version=str(self._version)))
        self._sent = description
        return format_sdp(description)


def make_offer(local: LocalMedia, *, session_id: int, version: int) -> bytes:
    """An offer of one audio stream."""
    return format_sdp(_describe(local, session_id, version, [_offered_audio(local, None)]))


def make_answer(
    offer: SessionDescription, local: LocalMedia, *, session_id: int, version: int
) -> tuple[bytes, NegotiatedAudio]:
    """The answer to `offer` and what it means to us. Raises: NegotiationError."""
    description, negotiated = _answer(offer, local, session_id, version, 0, None, is_muxed=False)
    return format_sdp(description), negotiated


def read_answer(
    offered: LocalMedia,
    answer: SessionDescription,
    *,
    stream: int = 0,
    before: Security | None = None,
    is_muxed: bool = False,
) -> NegotiatedAudio:
    """What `answer` to the offer made from `offered` means to us. Raises: NegotiationError.

    `stream` is the place of the audio stream in that offer; `before` and `is_muxed` are what the session had agreed on.
    """
    if stream >= len(answer.media):
        raise NegotiationError("the answer has fewer streams than the offer")
    theirs = answer.media[stream]
    if theirs.port == 0 or theirs.media != "audio":
        raise NegotiationError("the answer rejects the audio stream")
    pairs = _pairs_of_answer(offered.formats, _checked_formats(theirs))
    security = read_answer_security(offered.security, before, answer, theirs)
    muxes = is_muxed or ("rtcp-mux" in theirs.said.first and _offers_mux(offered, before))
    return _negotiated(answer, stream, offered, pairs, security, muxes=muxes)


@lru_cache(maxsize=_REMEMBERED)
def _pairs_of_answer(ours: tuple[RtpFormat, ...], answer: tuple[RtpFormat, ...]) -> tuple[FormatPair, ...]:
    found = ((each, _offered_as(ours, each)) for each in answer)
    return tuple(FormatPair(send=each, receive=mine) for each, mine in found if mine is not None)


@lru_cache(maxsize=_REMEMBERED)
def _pairs_of_offer(ours: tuple[RtpFormat, ...], offer: tuple[RtpFormat, ...]) -> tuple[FormatPair, ...]:
    """RFC 3264 §6.1: the answer should use the offer's numbers, so that both directions have the same."""
    pairs: dict[int, FormatPair] = {}
    for theirs in offer:
        mine = find_format(ours, theirs)
        if mine is not None and theirs.payload_type not in pairs:
            pairs[theirs.payload_type] = FormatPair(theirs, mine.numbered(theirs.payload_type))
    return tuple(pairs.values())


def check_offer(offer: SessionDescription, local: LocalSecurity | None) -> None:
    """Whether the offer has audio that somebody could answer, and that is as secret as it has to be: no answer is made.

    Raises: SecurityError, NegotiationError.
    """
    index, _ = _choose_stream(offer, 0, local)
    stream = offer.media[index]
    _checked_formats(stream)
    stream_rtcp(stream, stream_address(offer, stream))
    first = stream.said.first
    _packet_time(first.get("ptime"), first.get("maxptime"), PTIME_MS[0])


def stream_address(description: SessionDescription, stream: MediaDescription) -> Address:
    """Where the stream is to be sent. Raises: NegotiationError."""
    return _remote(description.connection_of(stream), stream.port)


def find_format(formats: Sequence[RtpFormat], wanted: RtpFormat) -> RtpFormat | None:
    """The first of `formats` with the encoding of `wanted`."""
    return next((format_ for format_ in formats if format_.matches(wanted)), None)


def offered_formats(offer: SessionDescription, supported: Sequence[RtpFormat] | None = None) -> tuple[RtpFormat, ...]:
    """The formats of the offer's audio stream that are `supported` (None: all), in its order, with its numbers.

    A B2BUA offers these to the other side. Raises: NegotiationError when there is no usable audio or codec.
    """
    formats = _checked_formats(offer.media[_audio_streams(offer)[0]])
    kept = formats if supported is None else [each for each in formats if find_format(supported, each) is not None]
    if not any(_is_codec(format_) for format_ in kept):
        raise NegotiationError("no codec in common")
    return tuple(kept)


def chosen_formats(negotiated: NegotiatedAudio) -> tuple[RtpFormat, ...]:
    """The one codec that the answer chose, and telephone-event when it was taken.

    A B2BUA answers the first side with these as its own formats, so that neither side sends what the other cannot
    hear.
    """
    chosen = (negotiated.formats[0].send,)
    return chosen if negotiated.telephone_event is None else (*chosen, negotiated.telephone_event.send)


def _offered_as(formats: Sequence[RtpFormat], theirs: RtpFormat) -> RtpFormat | None:
    """Ours under the same number when it is the same encoding: two fmtp of one codec are two formats."""
    same = (format_ for format_ in formats if format_.payload_type == theirs.payload_type and format_.matches(theirs))
    return next(same, None) or find_format(formats, theirs)


def _answer(  # both sides, and what the session was before
    offer: SessionDescription,
    local: LocalMedia,
    session_id: int,
    version: int,
    preferred: int,
    before: Security | None,
    *,
    is_muxed: bool,
) -> tuple[SessionDescription, NegotiatedAudio]:
    stream, security = _choose_stream(offer, preferred, local.security)
    if before is not None and security is None:
        raise SecurityError("the stream was secure, and is not to be so any more")
    asks = offer.media[stream]
    if security is not None or offer.attributes or "setup" in asks.said.first:
        security = keep_role(security, before, offered_setup(offer, asks))
    pairs = _pairs_of_offer(local.formats, _checked_formats(asks))
    # RFC 5761 §5.1.1: what was multiplexed once stays so.
    muxes = is_muxed or "rtcp-mux" in asks.said.first
    negotiated = _negotiated(offer, stream, local, pairs, security, muxes=muxes)
    streams = [_rejected(each) for each in offer.media]
    streams[stream] = _audio(
        local,
        tuple([pair.receive for pair in pairs]),
        negotiated.direction,
        proto=asks.proto,
        extra=(*answer_attributes(security, local.security), *_rtcp_attributes(asks, muxes=negotiated.rtcp_mux)),
    )
    return _describe(local, session_id, version, streams), negotiated


def _audio_streams(offer: SessionDescription) -> list[int]:
    """The places of audio that we could serve."""
    found: list[int] = []
    for index, stream in enumerate(offer.media):
        if stream.media == "audio" and stream.port and stream.proto in PROTOS:
            found.append(index)
    if not found:
        raise NegotiationError("no audio stream over RTP")
    return found


def _choose_stream(
    offer: SessionDescription, preferred: int, local: LocalSecurity | None
) -> tuple[int, Security | None]:
    """The audio stream in use, or else the first secure one that we can serve, or else the first."""
    places = _audio_streams(offer)
    if len(places) == 1:
        return places[0], choose(offer, offer.media[places[0]], local)
    served: list[tuple[int, Security | None]] = []
    problem: SecurityError | None = None
    for index in places:
        try:
            served.append((index, choose(offer, offer.media[index], local)))
        except SecurityError as error:
            problem = problem or error
    if not served:
        assert problem is not None, "there is a stream, and it cannot be served"
        raise problem
    found = next((each for each in served if each[0] == preferred and preferred), None)
    return found or next((each for each in served if each[1] is not None), served[0])


def _checked_formats(stream: MediaDescription) -> tuple[RtpFormat, ...]:
    said = stream.said
    if said.is_odd:
        raise NegotiationError("a clock rate or channel count that no codec has")
    return said.formats


def _negotiated(
    theirs: SessionDescription,
    index: int,
    local: LocalMedia,
    pairs: tuple[FormatPair, ...],
    security: Security | None,
    *,
    muxes: bool,
) -> NegotiatedAudio:
    stream = theirs.media[index]
    first = stream.said.first
    formats, telephone_event = _sorted(pairs)
    remote = stream_address(theirs, stream)
    direction = theirs.direction_of(stream)
    if remote.host in UNSPECIFIED:
        direction = direction.on_hold
    return NegotiatedAudio(
        remote=remote,
        remote_rtcp=stream_rtcp(stream, remote),
        formats=formats,
        telephone_event=telephone_event,
        direction=local.direction.limited_to(direction.reversed),
        held=not direction.receives,
        ptime=_packet_time(first.get("ptime"), first.get("maxptime"), local.ptime),
        stream=index,
        security=security,
        rtcp_mux=muxes,
    )


@lru_cache(maxsize=_REMEMBERED)
def _sorted(pairs: tuple[FormatPair, ...]) -> tuple[tuple[FormatPair, ...], FormatPair | None]:
    """Codecs with what accompanies them behind, and the telephone-event. Raises: NegotiationError."""
    codecs = [pair for pair in pairs if _is_codec(pair.send)]
    if not codecs:
        raise NegotiationError("no codec in common")
    companions = [pair for pair in pairs if pair.send.name.lower() in ("cn", "red")]
    return (*codecs, *companions), _telephone_event(pairs, codecs[0].send.clock_rate)


def _is_codec(format_: RtpFormat) -> bool:
    return format_.name.lower() not in _COMPANIONS


def _telephone_event(pairs: Sequence[FormatPair], clock_rate: int) -> FormatPair | None:
    """RFC 4733 §2.1: its clock is that of the audio beside it; some phones offer only 8000 with any codec."""
    events = [pair for pair in pairs if pair.send.name.lower() == "telephone-event"]
    return next((pair for pair in events if pair.send.clock_rate == clock_rate), events[0] if events else None)


def _remote(host: str | None, port: int) -> Address:
    if host is None:
        raise NegotiationError("no c= line")
    if port not in PORTS:
        raise NegotiationError("a port outside 1024-65535")
    if not _is_unicast(host):
        raise NegotiationError("the connection address is not that of one host")
    return Address(host, port)


@lru_cache(maxsize=1024)  # the phones and gateways of an hour; reading one takes 5 µs
def _is_unicast(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        # Never resolved: a name here would let a stranger make us ask DNS.
        raise NegotiationError("the connection address is no IP literal") from None
    return not (address.is_multicast or "%" in host or host == "255.255.255.255")


def stream_rtcp(stream: MediaDescription, remote: Address) -> Address:
    """Where its RTCP is to be sent: RFC 3605, without the attribute the next port. Raises: NegotiationError."""
    value = stream.said.first.get("rtcp")
    if value is None:
        return Address(remote.host, min(remote.port + 1, 65535))
    parts = value.split()
    if not parts or not (parts[0].isascii() and parts[0].isdigit() and len(parts[0]) <= 5):
        raise NegotiationError("a=rtcp has no port")
    return _remote(parts[3] if len(parts) == 4 else remote.host, int(parts[0]))


@lru_cache(maxsize=_REMEMBERED)
def _packet_time(ptime: str | None, maxptime: str | None, own: int) -> int:
    """The milliseconds to send with: ptime and maxptime are the wish and the limit of the side that writes them."""
    wish = None if ptime is None else _time("ptime", ptime)
    limit = None if maxptime is None else _time("maxptime", maxptime)
    if wish is not None and wish not in PTIME_MS:
        raise NegotiationError("ptime outside 10-120 ms")
    if limit is not None and limit < PTIME_MS[0]:
        raise NegotiationError("maxptime below 10 ms")
    chosen = own if wish is None else wish
    return chosen if limit is None else min(chosen, limit)


def _time(name: str, value: str) -> int:
    match = _TIME.fullmatch(value)
    if match is None:
        raise NegotiationError(f"{name} is no number of milliseconds")
    return int(match[1])


def _describe(
    local: LocalMedia, session_id: int, version: int, streams: Sequence[MediaDescription]
) -> SessionDescription:
    return SessionDescription(
        origin=Origin("-", str(session_id), str(version), local.address),
        name="-",
        connection=local.address,
        attributes=(),
        media=tuple(streams),
        lines=_FOR_EVER,
    )


def _offered_audio(local: LocalMedia, before: Security | None) -> MediaDescription:
    proto, extra = offer_security(local.security, before)
    if _offers_mux(local, before):
        extra = (*extra, Attribute("rtcp-mux"))
    return _audio(local, local.formats, local.direction, proto=proto, extra=extra)


def _offers_mux(local: LocalMedia, before: Security | None) -> bool:
    """With DTLS always: RTCP on a port of its own would need a handshake of its own (RFC 5764 §4.1)."""
    if local.rtcp_mux or isinstance(before, Dtls):
        return True
    return before is None and local.security is not None and local.security.offers == "dtls"


def _rtcp_attributes(offered: MediaDescription, *, muxes: bool) -> tuple[Attribute, ...]:
    """RFC 5761, and RFC 5506: we take RTCP of reduced size, and write none."""
    rsize = "rtcp-rsize" in offered.said.first
    return ((Attribute("rtcp-mux"),) if muxes else ()) + ((Attribute("rtcp-rsize"),) if rsize else ())


def _audio(
    local: LocalMedia,
    formats: tuple[RtpFormat, ...],
    direction: Direction,
    *,
    proto: str,
    extra: tuple[Attribute, ...],
) -> MediaDescription:
    numbers, described = _described(formats, local.ptime)
    return MediaDescription(
        "audio", local.port, proto, numbers, attributes=(*described, *extra, _DIRECTION[direction.word])
    )


@lru_cache(maxsize=_REMEMBERED)
def _described(formats: tuple[RtpFormat, ...], ptime: int) -> tuple[tuple[str, ...], tuple[Attribute, ...]]:
    """The numbers of the formats, and what they are."""
    attributes = [Attribute("rtpmap", f"{each.payload_type} {each.rtpmap}") for each in formats]
    attributes += [Attribute("fmtp", f"{each.payload_type} {each.fmtp}") for each in formats if each.fmtp]
    return tuple([str(each.payload_type) for each in formats]), (*attributes, Attribute("ptime", str(ptime)))


def _rejected(stream: MediaDescription) -> MediaDescription:
    """RFC 3264 §6: port 0, same place, same media and transport; the formats are without meaning but must be there."""
    return MediaDescription(stream.media, 0, stream.proto, stream.formats)
