"""Streams beside the audio (video, text, fax), as one dialog's description says them in another's.

Their contents concern only the two far sides: payload types, formats and their parameters are written on as they came;
addresses, keys and whatever names a transport are ours. One stream of each kind; a second one is declined.
"""

from __future__ import annotations

from typing import Final, Literal

from sipcore.flow import Address
from sipcore.offer_answer import stream_address, stream_rtcp
from sipcore.sdp import Attribute, Direction, MediaDescription, SessionDescription
from sipcore.sdp_security import PROTOS

Kind = Literal["video", "text", "image"]
KINDS: Final[tuple[Kind, ...]] = ("video", "text", "image")

# What says how a stream is coded and shown. All else (candidates, SSRCs, header extensions, bundles, keys) belongs to a
# transport that ends here.
_CARRIED: Final = frozenset(
    (
        *("rtpmap", "fmtp", "rtcp-fb", "ptime", "maxptime", "framerate", "framesize", "imageattr"),
        *("content", "quality", "orient", "lang", "sdplang", "udpmaxmtu"),
    )
)
_FAX: Final = "t38"


def is_udptl(stream: MediaDescription) -> bool:
    """Whether it is UDPTL (T.38 annex D), which has no payload types, directions, RTCP or keys."""
    return stream.proto.lower() == "udptl"


def kind_of(stream: MediaDescription) -> Kind | None:
    """What it is, when it can be carried at all: RTP, or T.38 over UDPTL, with a port."""
    if not stream.port or stream.port_count != 1:
        return None
    if stream.media == "video" and stream.proto in PROTOS:
        return "video"
    if stream.media == "text" and stream.proto in PROTOS:
        return "text"
    if stream.media == "image" and is_udptl(stream) and stream.formats[0].lower() == _FAX:
        return "image"
    return None


def streams_beside(description: SessionDescription) -> dict[Kind, int]:
    """The place of the first stream of each kind."""
    found: dict[Kind, int] = {}
    for place, stream in enumerate(description.media):
        kind = kind_of(stream)
        if kind is not None:
            found.setdefault(kind, place)
    return found


def is_fax(description: SessionDescription) -> bool:
    """Whether it has T.38 and no audio: a call that becomes a fax (T.38 annex D.2.2.4)."""
    for stream in description.media:
        if stream.media == "audio" and stream.port:
            return False
    return "image" in streams_beside(description)


def replaces_audio(description: SessionDescription) -> bool:
    """Whether the fax stands where the audio was (RFC 3264 §8.3.3), and not beside one with port 0."""
    return all(stream.media != "audio" for stream in description.media)


def written_on(
    stream: MediaDescription, *, port: int, proto: str, extra: tuple[Attribute, ...], direction: Direction
) -> MediaDescription:
    """The other dialog's stream, with our port, transport and keys."""
    carried = [each for each in stream.attributes if each.name in _CARRIED or each.name.lower().startswith(_FAX)]
    towards = () if is_udptl(stream) else (Attribute(direction.word),)
    bandwidth = tuple(line for line in stream.lines if line.type == "b")
    return MediaDescription(
        stream.media, port, proto, stream.formats, attributes=(*carried, *extra, *towards), lines=bandwidth
    )


def limited_to(stream: MediaDescription, offered: MediaDescription) -> MediaDescription | None:
    """The part of an answer that this offer has, under the same numbers; None when nothing is left (RFC 3264 §6.1)."""
    if is_udptl(stream):
        return stream
    theirs = {each.payload_type: each for each in offered.rtp_formats}
    kept = {
        str(each.payload_type)
        for each in stream.rtp_formats
        if each.payload_type in theirs and each.matches(theirs[each.payload_type])
    }
    formats = tuple(text for text in stream.formats if text in kept)
    if not formats:
        return None
    attributes = tuple(each for each in stream.attributes if _number_of(each) in (None, "*", *kept))
    return MediaDescription(stream.media, stream.port, stream.proto, formats, attributes=attributes, lines=stream.lines)


def _number_of(attribute: Attribute) -> str | None:
    if attribute.name not in ("rtpmap", "fmtp", "rtcp-fb"):
        return None
    return (attribute.value or "").lstrip().partition(" ")[0]


def has_all_of(offered: MediaDescription, agreed: MediaDescription) -> bool:
    """Whether an offer leaves what was agreed on as it is: every format, under its number."""
    left = limited_to(agreed, offered)
    return left is not None and left.formats == agreed.formats


def remote_of(description: SessionDescription, stream: MediaDescription) -> tuple[Address, Address]:
    """Where its packets and its RTCP go. Raises: NegotiationError."""
    remote = stream_address(description, stream)
    return remote, remote if is_udptl(stream) else stream_rtcp(stream, remote)


def profile_of(offered: MediaDescription, proto: str) -> str:
    """`proto`, which is of RFC 3551's family, with the feedback of RFC 4585 when the stream was offered with it."""
    has_feedback = offered.proto.endswith("F") and not proto.endswith("F")
    return f"{proto}F" if has_feedback else proto
