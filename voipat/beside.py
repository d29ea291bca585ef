"""Video, text and fax beside a leg's audio: ports that carry them untouched to the other leg's, or port 0.

A stream is there while both legs of a bridge have agreed to it. Nothing here raises for what a peer says: a stream that
cannot be carried is declined, and the audio goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from media import MediaError, Port, PortStats
from sipcore.beside import (
    Kind,
    has_all_of,
    is_fax,
    kind_of,
    limited_to,
    profile_of,
    remote_of,
    streams_beside,
    written_on,
)
from sipcore.errors import NegotiationError
from sipcore.flow import Address
from sipcore.routing import UNSPECIFIED
from sipcore.sdp import Attribute, Direction, MediaDescription, SessionDescription
from sipcore.sdp_security import (
    Dtls,
    LocalSecurity,
    Security,
    SrtpPolicy,
    answer_attributes,
    choose,
    keep_role,
    offer_security,
    offered_setup,
    read_answer_security,
)
from voipat.leg_security import LegSecurity

if TYPE_CHECKING:
    from voipat.media_leg import MediaLeg
    from voipat.media_plane import MediaPlane

logger: Final = logging.getLogger("voipat")

_MUX: Final = Attribute("rtcp-mux")
# Streams of one leg that its CDR tells of: each comes and goes by a re-INVITE.
_KEPT: Final = 8


class _Stream:
    """One stream of a leg, with its port."""

    __slots__ = (
        "_engine",
        "_remote",
        "_types",
        "agreed",
        "keys",
        "kind",
        "local",
        "muxes",
        "port",
        "said",
        "security",
        "towards",
        "was_used",
        "wish",
    )

    def __init__(self, plane: MediaPlane, port: Port, kind: Kind, local: LocalSecurity | None) -> None:
        self.kind: Final = kind
        self.port: Final = port
        self.local: Final = local
        self.keys: Final = LegSecurity(plane, port, self._failed)
        self._engine = plane.engine
        self.security: Security | None = None
        # What offer and answer have both, in the answer's words; None while nothing is agreed on.
        self.agreed: MediaDescription | None = None
        # What the peer was told last.
        self.said: MediaDescription | None = None
        # What the other leg's peer says, and what this one said last.
        self.wish = Direction.SENDRECV
        self.towards = Direction.SENDRECV
        self.muxes = False
        self.was_used = False
        self._remote: tuple[Address, Address] | None = None
        self._types: Sequence[int] | None = None
        plane.engine.carry(port, rtp=kind != "image")

    def offer(self, stream: MediaDescription, limit: Direction) -> MediaDescription | None:
        """Ours, of the same contents; None when our rules forbid it."""
        direction = self.wish.limited_to(limit)
        must_hide = self.local is not None and self.local.policy is SrtpPolicy.REQUIRED
        proto, extra = stream.proto, tuple[Attribute, ...]()
        if self.kind == "image":
            if must_hide:
                return None
        else:
            if must_hide and (self.local is None or self.local.offers is None) and self.security is None:
                return None
            proto, extra = offer_security(self.local, self.security)
            proto = profile_of(stream, proto)
            if self.muxes or isinstance(self.security, Dtls) or any(each.name == "fingerprint" for each in extra):
                extra = (*extra, _MUX)
        self.said = written_on(stream, port=self.port.rtp_port, proto=proto, extra=extra, direction=direction)
        return self.said

    def read_answer(self, answer: SessionDescription, stream: MediaDescription, signalling: Address | None) -> None:
        """The peer takes it. Raises: NegotiationError."""
        assert self.said is not None, "an answer belongs to an offer"
        left = limited_to(stream, self.said)
        if left is None:
            raise NegotiationError("none of the formats that were offered")
        if self.kind != "image":
            self._agree_on_keys(read_answer_security(self.local, self.security, answer, stream))
        self.muxes = _MUX in self.said.attributes and stream.attribute("rtcp-mux") is not None
        self._apply(answer, stream, self.said, signalling)
        self.agreed = left

    def answer(
        self, offer: SessionDescription, stream: MediaDescription, wanted: MediaDescription, signalling: Address | None
    ) -> MediaDescription:
        """Ours to the peer's offer, of the contents that the other leg agreed on. Raises: NegotiationError."""
        left = limited_to(wanted, stream)
        if left is None:
            raise NegotiationError("none of the formats that the other side takes")
        extra: tuple[Attribute, ...] = ()
        if self.kind != "image":
            security = keep_role(choose(offer, stream, self.local), self.security, offered_setup(offer, stream))
            self._agree_on_keys(security)
            extra = answer_attributes(security, self.local)
            self.muxes = self.muxes or stream.attribute("rtcp-mux") is not None
            extra = (*extra, _MUX) if self.muxes else extra
        elif self.local is not None and self.local.policy is SrtpPolicy.REQUIRED:
            raise NegotiationError("secure media is required, and a fax has no keys")
        direction = self.wish.limited_to(offer.direction_of(stream).reversed)
        said = written_on(left, port=self.port.rtp_port, proto=stream.proto, extra=extra, direction=direction)
        self._apply(offer, stream, said, signalling)
        self.said, self.agreed = said, said
        return said

    def learn_anew(self, signalling: Address | None) -> None:
        """Let the port learn its source once more."""
        if self.agreed is not None and self._remote is not None:
            self._set_remote(self._remote, signalling)

    @property
    def name(self) -> str:
        """As the CDR says it: kind and codec."""
        stream = self.agreed or self.said
        codec = None if stream is None else next((each.name for each in stream.rtp_formats), None)
        return self.kind + ("" if stream is None else f" {codec or stream.formats[0]}")

    def _agree_on_keys(self, security: Security | None) -> None:
        if self.security is not None and security is None:
            raise NegotiationError("the stream was secure, and is not to be so any more")
        self.security = security

    def _apply(
        self, theirs: SessionDescription, stream: MediaDescription, said: MediaDescription, signalling: Address | None
    ) -> None:
        remote = remote_of(theirs, stream)
        self.towards = theirs.direction_of(stream)
        self._engine.hold(self.port, not self.towards.receives or remote[0].host in UNSPECIFIED)
        if self.kind != "image":
            self.keys.agreed(self.security, remote[0])
        if remote != self._remote or said.formats != (self.agreed and self.agreed.formats):
            self._types = [each.payload_type for each in said.rtp_formats] if self.kind != "image" else None
            self._set_remote(remote, signalling)
        self.was_used = True

    def _set_remote(self, remote: tuple[Address, Address], signalling: Address | None) -> None:
        self._remote = remote
        is_nowhere = remote[0].host in UNSPECIFIED
        self._engine.set_remote(
            self.port,
            None if is_nowhere else remote[0],
            remote_rtcp=None if is_nowhere or self.kind == "image" else remote[1],
            payload_types=self._types,
            signalling=signalling,
            rtcp_mux=self.muxes,
        )

    def _failed(self, cause: str) -> None:
        """Its handshake came to nothing: it stays silent, the call goes on."""
        logger.info("no %s: %s", self.kind, cause)


class Beside:
    """The streams of one leg, by kind. Closed with it."""

    __slots__ = (
        "_allowed",
        "_declined",
        "_figures",
        "_leg",
        "_offered",
        "_plane",
        "_signalling",
        "_streams",
        "is_fax",
        "offers_fax",
        "replaces",
    )

    def __init__(self, leg: MediaLeg, plane: MediaPlane, allowed: Sequence[str], signalling: Address | None) -> None:
        # Let go of at the end, so that a closed leg is in no cycle.
        self._leg: MediaLeg | None = leg
        self._plane = plane
        self._allowed = allowed
        self._signalling = signalling
        self._streams: dict[Kind, _Stream] = {}
        self._offered: frozenset[Kind] = frozenset()
        # What the peer offered in vain: said again it is nothing new.
        self._declined: dict[Kind, tuple[str, ...]] = {}
        self._figures: list[str] = []
        # Whether the call is a fax now, its audio at rest, and where that stands; whether our last offer asks for one.
        self.is_fax = False
        self.replaces = False
        self.offers_fax = False

    # What the leg says

    def offer(self, wanted: Sequence[MediaDescription], limit: Direction) -> list[MediaDescription]:
        """Ours, for an offer: contents and directions of the other leg's streams."""
        asked: list[tuple[_Stream, MediaDescription]] = []
        for stream in wanted:
            kind = kind_of(stream)
            found = None if kind is None else self._open(kind)
            if found is not None:
                found.wish = stream.direction or Direction.SENDRECV
                asked.append((found, stream))
        return self._say(asked, limit)

    def again(self, limit: Direction) -> list[MediaDescription]:
        """What is agreed on, for an offer of ours that is about something else."""
        return self._say([(each, each.agreed) for each in self._streams.values() if each.agreed is not None], limit)

    def _say(self, asked: Sequence[tuple[_Stream, MediaDescription]], limit: Direction) -> list[MediaDescription]:
        said = [(each.kind, found) for each, stream in asked if (found := each.offer(stream, limit)) is not None]
        self._offered = frozenset(kind for kind, _ in said)
        self.offers_fax = False
        return [stream for _, stream in said]

    def read_answer(self, answer: SessionDescription) -> None:
        """What the peer made of our offer. What was not in it is over."""
        for kind, stream in list(self._streams.items()):
            if kind not in self._offered:
                self._close(kind)
                continue
            place = self._place_of(stream.port)
            theirs = answer.media[place] if place is not None and place < len(answer.media) else None
            if theirs is None or kind_of(theirs) != kind:
                self._decline(stream)
                continue
            try:
                stream.read_answer(answer, theirs, self._signalling)
            except NegotiationError as error:
                logger.info("no %s: %s", kind, error)
                self._decline(stream)
            else:
                self._plane.counters["streams_relayed"] += 1

    def _place_of(self, port: Port) -> int | None:
        return None if self._leg is None else self._leg.place_of(port.rtp_port)

    def refused(self) -> None:
        """Our offer came to nothing: what it would have added goes, what was there stays."""
        for kind, stream in list(self._streams.items()):
            if stream.agreed is None:
                self._close(kind)
        self.offers_fax = False

    def answer(self, offer: SessionDescription, other: Beside | None) -> dict[int, MediaDescription]:
        """Ours to the peer's offer, by place: what the `other` leg agreed on; None: what this one has already."""
        found: dict[int, MediaDescription] = {}
        places = streams_beside(offer)
        if not places and not self._streams and not self._declined:
            return found
        for kind, place in places.items():
            source = (self if other is None else other)._streams.get(kind)
            wanted = None if source is None else source.agreed
            wish = None if source is None or other is None else source.towards
            said = None if wanted is None else self._answer(kind, offer, offer.media[place], wanted, wish)
            if said is None:
                self._declined[kind] = _contents(offer, place)
                self._plane.counters["streams_declined"] += 1
            else:
                self._declined.pop(kind, None)
                found[place] = said
        for kind in [kind for kind in self._streams if places.get(kind) not in found]:
            self._close(kind)
        for kind in [kind for kind in self._declined if kind not in places]:
            del self._declined[kind]
        return found

    def _answer(
        self,
        kind: Kind,
        offer: SessionDescription,
        stream: MediaDescription,
        wanted: MediaDescription,
        wish: Direction | None,
    ) -> MediaDescription | None:
        is_new = kind not in self._streams
        found = self._open(kind)
        if found is None:
            return None
        found.wish = found.wish if wish is None else wish
        try:
            said = found.answer(offer, stream, wanted, self._signalling)
        except NegotiationError as error:
            logger.info("no %s: %s", kind, error)
            return None
        self._plane.counters["streams_relayed"] += is_new
        return said

    def agreed(self, kind: Kind) -> MediaDescription | None:
        """What stands for this kind."""
        found = self._streams.get(kind)
        return None if found is None else found.agreed

    def wants_change(self, offer: SessionDescription, other: Beside | None = None) -> bool:
        """Whether the offer says of these streams what concerns the `other` leg, or what that was not asked yet."""
        places = streams_beside(offer)
        if is_fax(offer) is not self.is_fax:
            return True
        for kind, stream in self._streams.items():
            if stream.agreed is None:
                continue
            theirs = offer.media[places[kind]] if kind in places else None
            if other is not None and other.agreed(kind) is None:
                return True
            if theirs is None or not has_all_of(theirs, stream.agreed):
                return True
            if kind != "image" and offer.direction_of(theirs) is not stream.towards:
                return True
        fresh = (kind for kind in places if kind in self._allowed and self.agreed(kind) is None)
        return any(self._declined.get(kind) != _contents(offer, places[kind]) for kind in fresh)

    def wanted(self, offer: SessionDescription) -> list[MediaDescription]:
        """The streams of the peer's offer that the other leg may be offered."""
        found = []
        for kind, place in streams_beside(offer).items():
            stream = offer.media[place]
            if kind not in self._allowed or not self._can_answer(kind, offer, stream):
                continue
            # With its direction, wherever it was written.
            direction = offer.direction_of(stream)
            found.append(written_on(stream, port=stream.port, proto=stream.proto, extra=(), direction=direction))
        return found

    def _can_answer(self, kind: Kind, offer: SessionDescription, stream: MediaDescription) -> bool:
        local = None if self._leg is None else self._leg.security
        try:
            remote_of(offer, stream)
            if kind != "image":
                choose(offer, stream, local)
        except NegotiationError as error:
            logger.info("no %s: %s", kind, error)
            return False
        return kind != "image" or local is None or local.policy is not SrtpPolicy.REQUIRED

    # Media

    def connect(self, other: Beside) -> None:
        """Join what both legs have."""
        for kind, mine in self._streams.items():
            theirs = other._streams.get(kind)
            if mine.agreed is not None and theirs is not None and theirs.agreed is not None:
                self._plane.engine.connect(mine.port, theirs.port, a_to_b={}, b_to_a={})

    def disconnect(self) -> None:
        """Part them."""
        for stream in self._streams.values():
            self._plane.engine.disconnect(stream.port)

    def relearn(self) -> None:
        """Let the ports learn their sources anew."""
        for stream in self._streams.values():
            stream.learn_anew(self._signalling)

    def receive_flight(self, port: Port, datagram: bytes, source: tuple[str, int]) -> None:
        """A datagram of DTLS came to the port of a stream."""
        for stream in self._streams.values():
            if stream.port is port:
                stream.keys.receive_flight(datagram, source)

    def close(self) -> str | None:
        """Give all ports back; what was relayed, for the CDR: "video H264 812/790", packets from and to the peer."""
        for kind in list(self._streams):
            self._close(kind)
        self._leg = None
        return ", ".join(self._figures) or None

    @property
    def stats(self) -> Mapping[str, PortStats]:
        """The figures of the streams that are there, by kind."""
        return {kind: self._plane.engine.stats(stream.port) for kind, stream in self._streams.items()}

    def _open(self, kind: Kind) -> _Stream | None:
        found = self._streams.get(kind)
        if found is not None or kind not in self._allowed or self._leg is None:
            return found
        try:
            port, local = self._plane.open_beside(self._leg)
        except (MediaError, OSError) as error:
            logger.info("no %s: %s", kind, error)
            self._plane.counters["streams_without_port"] += 1
            return None
        found = self._streams[kind] = _Stream(self._plane, port, kind, local)
        return found

    def _decline(self, stream: _Stream) -> None:
        """The port stays until the next offer: a later answer to the same offer may take it."""
        stream.agreed = None
        self._plane.counters["streams_declined"] += 1
        self._plane.engine.disconnect(stream.port)

    def _close(self, kind: Kind) -> None:
        stream = self._streams.pop(kind)
        stream.keys.close()
        if stream.was_used and len(self._figures) < _KEPT:
            stats = self._plane.engine.stats(stream.port)
            self._figures.append(f"{stream.name} {stats.packets_in}/{stats.packets_out}")
        self._plane.close_beside(stream.port)


def _contents(offer: SessionDescription, place: int) -> tuple[str, ...]:
    """By what an offer is the same one as before."""
    stream = offer.media[place]
    return (stream.proto, offer.direction_of(stream).value, *stream.formats)
