"""Session descriptions: RFC 8866 (4566), as values. What they mean to each other is `offer_answer`.

Reading is tolerant: LF or CRLF, lines of any known or unknown type in any order within their section, all kept.
Writing is strict: CRLF, the order of RFC 8866 §9. `parse_sdp(format_sdp(x)) == x` for everything that was parsed.
Sizes that a peer controls have the ceilings below; beyond them, ParseError with 488.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple

from sipcore.errors import ParseError
from sipcore.values import made_in_c, value_object

# A browser with audio, video and data offers 3 streams, some 15 formats in each, and below 100 lines in a section.
MAX_STREAMS: Final = 16
MAX_FORMATS: Final = 64
MAX_LINES: Final = 256  # in one section, attributes and all

# RFC 8866 §9: i= u= e= p= stand before c=, everything else after it, a= last.
_BEFORE_CONNECTION: Final = "iuep"

_LINE_END = re.compile(r"\r\n|\n|\r")


class Direction(Enum):
    """Who sends, seen from the side that writes it (RFC 8866 §6.7)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    # Attributes, not properties: a call asks for them thirty times.
    sends: bool
    receives: bool

    def __init__(self, word: str) -> None:
        self.sends = word in ("sendrecv", "sendonly")
        self.receives = word in ("sendrecv", "recvonly")

    @property
    def reversed(self) -> Direction:
        """The same stream seen from the other side."""
        return Direction.of(sends=self.receives, receives=self.sends)

    @property
    def on_hold(self) -> Direction:
        """What to offer to put the other side on hold (RFC 3264 §8.4): sendrecv → sendonly, recvonly → inactive."""
        return Direction.of(sends=self.sends, receives=False)

    def limited_to(self, other: Direction) -> Direction:
        if self is Direction.SENDRECV:
            return other
        return Direction.of(sends=self.sends and other.sends, receives=self.receives and other.receives)

    @staticmethod
    def of(*, sends: bool, receives: bool) -> Direction:
        if sends:
            return Direction.SENDRECV if receives else Direction.SENDONLY
        return Direction.RECVONLY if receives else Direction.INACTIVE


# Format lists that are remembered, and of how many formats and attributes at most: a few kB each. Whoever fills the
# table with the longest lines that a message holds makes 8 MB of it.
_REMEMBERED: Final = 128
_REMEMBERED_LINES: Final = 32

# Attributes that descriptions share, and of how many characters at most.
_SHARED: Final = 1024
_SHORT: Final = 64

_DIRECTIONS: Final = {direction.value: direction for direction in Direction}


class RtpFormat(NamedTuple):
    """One payload type and what it carries."""

    payload_type: int
    name: str
    clock_rate: int
    channels: int = 1
    fmtp: str = ""

    def matches(self, other: RtpFormat) -> bool:
        """Whether both are the same encoding (RFC 8866 §6.6: names are case-insensitive), whatever the number."""
        return (
            self.clock_rate == other.clock_rate
            and self.channels == other.channels
            and self.name.lower() == other.name.lower()
        )

    def numbered(self, payload_type: int) -> RtpFormat:
        """The same encoding under this number."""
        if payload_type == self.payload_type:
            return self
        return RtpFormat(payload_type, self.name, self.clock_rate, self.channels, self.fmtp)

    @property
    def rtpmap(self) -> str:
        """`name/clock[/channels]`, as in `a=rtpmap`."""
        text = f"{self.name}/{self.clock_rate}"
        return text if self.channels == 1 else f"{text}/{self.channels}"


# RFC 3551 §6, tables 4 and 5: valid without an rtpmap.
STATIC_FORMATS: Final = {
    0: RtpFormat(0, "PCMU", 8000),
    3: RtpFormat(3, "GSM", 8000),
    4: RtpFormat(4, "G723", 8000),
    5: RtpFormat(5, "DVI4", 8000),
    6: RtpFormat(6, "DVI4", 16000),
    7: RtpFormat(7, "LPC", 8000),
    8: RtpFormat(8, "PCMA", 8000),
    9: RtpFormat(9, "G722", 8000),  # 16 kHz audio; 8000 by a historical error that became the rule
    10: RtpFormat(10, "L16", 44100, 2),
    11: RtpFormat(11, "L16", 44100),
    12: RtpFormat(12, "QCELP", 8000),
    13: RtpFormat(13, "CN", 8000),
    14: RtpFormat(14, "MPA", 90000),
    15: RtpFormat(15, "G728", 8000),
    16: RtpFormat(16, "DVI4", 11025),
    17: RtpFormat(17, "DVI4", 22050),
    18: RtpFormat(18, "G729", 8000),
    25: RtpFormat(25, "CelB", 90000),
    26: RtpFormat(26, "JPEG", 90000),
    28: RtpFormat(28, "nv", 90000),
    31: RtpFormat(31, "H261", 90000),
    32: RtpFormat(32, "MPV", 90000),
    33: RtpFormat(33, "MP2T", 90000),
    34: RtpFormat(34, "H263", 90000),
}


class Attribute(NamedTuple):
    """`a=name` or `a=name:value`."""

    name: str
    value: str | None = None

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}:{self.value}"


@made_in_c
class Line(NamedTuple):
    """A line of another type than those with a field of their own."""

    type: str
    value: str


@value_object(frozen=True, slots=True)
class Origin:
    """`o=`: who made the session, and its version (RFC 8866 §5.2). Numbers stay text: some peers use 20 digits."""

    username: str
    session_id: str
    version: str
    address: str

    def __str__(self) -> str:
        return f"{self.username} {self.session_id} {self.version} {connection_text(self.address)}"


@value_object(frozen=True, slots=True)
class MediaDescription:
    """One `m=` section. `connection` is the address of its own `c=`, if it has one."""

    media: str
    port: int
    proto: str
    formats: tuple[str, ...]
    connection: str | None = None
    attributes: tuple[Attribute, ...] = ()
    lines: tuple[Line, ...] = ()
    port_count: int = 1

    def attribute(self, name: str) -> str | None:
        """The value of the first attribute of this name; empty for one without a value, None when absent."""
        for own, value in self.attributes:
            if own == name:
                return value or ""
        return None

    @property
    def direction(self) -> Direction | None:
        return _direction(self.attributes)

    @property
    def rtp_formats(self) -> tuple[RtpFormat, ...]:
        """The formats whose encoding is known, in order; a dynamic number without an rtpmap says nothing."""
        if len(self.formats) + len(self.attributes) > _REMEMBERED_LINES:
            return _rtp_formats(self.formats, self.attributes)
        return _remembered_formats(self.formats, self.attributes)


@value_object(frozen=True, slots=True)
class SessionDescription:
    """A whole description. `connection` is the session's `c=` address."""

    origin: Origin | None
    name: str | None
    connection: str | None
    attributes: tuple[Attribute, ...]
    media: tuple[MediaDescription, ...]
    lines: tuple[Line, ...] = ()

    def connection_of(self, stream: MediaDescription) -> str | None:
        return self.connection if stream.connection is None else stream.connection

    def direction_of(self, stream: MediaDescription) -> Direction:
        """The stream's direction; its own attribute beats the session's, and the default is sendrecv."""
        return stream.direction or _direction(self.attributes) or Direction.SENDRECV

    def to_bytes(self) -> bytes:
        return format_sdp(self)


def parse_sdp(body: bytes) -> SessionDescription:
    """The description in `body`. Raises: ParseError (488) when it is none or breaks a ceiling."""
    sections = _sections(body.decode("utf-8", "surrogateescape"))
    session = _Section(sections[0])
    return SessionDescription(
        origin=None if session.origin is None else _parse_origin(session.origin),
        name=session.name,
        connection=session.connection,
        attributes=tuple(session.attributes),
        media=tuple([_parse_media(section) for section in sections[1:]]),
        lines=tuple(session.lines),
    )


def format_sdp(description: SessionDescription) -> bytes:
    """The bytes of a description, in the order of RFC 8866 §9."""
    lines = ["v=0"]
    if description.origin is not None:
        lines.append(f"o={description.origin}")
    if description.name is not None:
        lines.append(f"s={description.name}")
    _format_section(lines, description.connection, description.lines, description.attributes)
    for stream in description.media:
        count = "" if stream.port_count == 1 else f"/{stream.port_count}"
        lines.append(f"m={stream.media} {stream.port}{count} {stream.proto} {' '.join(stream.formats)}")
        _format_section(lines, stream.connection, stream.lines, stream.attributes)
    lines.append("")
    return "\r\n".join(lines).encode("utf-8", "surrogateescape")


def connection_text(address: str) -> str:
    """`IN IP4 address` or `IN IP6 address`."""
    return f"IN {'IP6' if ':' in address else 'IP4'} {address}"


def _error(message: str) -> ParseError:
    return ParseError(message, status_hint=488)


def _sections(text: str) -> list[list[tuple[str, str]]]:
    if "\0" in text:
        raise _error("not a line of SDP")
    section: list[tuple[str, str]] = []
    sections = [section]
    for line in _LINE_END.split(text):
        if not line:
            continue
        if line[1:2] != "=":
            raise _error("not a line of SDP")
        type_ = line[0]
        if type_ == "m":
            if len(sections) > MAX_STREAMS:
                raise _error("too many streams")
            section = []
            sections.append(section)
        elif len(section) > MAX_LINES:
            raise _error("too many lines")
        section.append((type_, line[2:]))
    if not sections[0] or sections[0][0][0] != "v" or sections[0][0][1].rstrip(" \t") != "0":
        raise _error("SDP starts with v=0")
    return sections


class _Section:
    """The lines of one section, sorted by what they are."""

    def __init__(self, lines: list[tuple[str, str]]) -> None:
        self.origin: str | None = None
        self.name: str | None = None
        self.connection: str | None = None
        self.attributes: list[Attribute] = []
        self.lines: list[Line] = []
        first = lines[0][0]
        for type_, value in lines[1:]:
            if type_ == "a":
                self.attributes.append(_attribute(value) if len(value) <= _SHORT else _parse_attribute(value))
            elif type_ == "c" and self.connection is None:
                self.connection = _parse_connection(value)
            elif type_ == "o" and first == "v" and self.origin is None:
                self.origin = value
            elif type_ == "s" and first == "v" and self.name is None:
                self.name = value
            else:
                self.lines.append(Line(type_, value))
        if len(self.lines) > 1:
            self.lines.sort(key=_after_connection)


def _parse_attribute(value: str) -> Attribute:
    name, colon, text = value.partition(":")
    return Attribute(name, text if colon else None)


# All calls of a model of phone have these in common, and share them; keys and candidates are longer.
_attribute = lru_cache(maxsize=_SHARED)(_parse_attribute)


def _parse_connection(value: str) -> str:
    parts = value.split()
    if len(parts) != 3 or parts[0].upper() != "IN" or parts[1].upper() not in ("IP4", "IP6"):
        raise _error("c= is not IN IP4 or IN IP6")
    if (":" in parts[2]) is not (parts[1].upper() == "IP6"):
        raise _error("c= has an address of the other family")
    return parts[2]


def _parse_origin(value: str) -> Origin:
    # Some leave the user out, or write a name with spaces: nothing of it is used.
    parts = ["-", *value.split()] if value[:1].isspace() else value.rsplit(None, 5)
    if len(parts) != 6:
        raise _error("o= has not six fields")
    return Origin(parts[0], parts[1], parts[2], parts[5])


def _parse_media(lines: list[tuple[str, str]]) -> MediaDescription:
    parts = lines[0][1].split()
    if len(parts) < 4:
        raise _error("m= has fewer than four fields")
    if len(parts) - 3 > MAX_FORMATS:
        raise _error("too many formats")
    port, slash, count = parts[1].partition("/")
    section = _Section(lines)
    return MediaDescription(
        media=parts[0],
        port=_small_number(port, 65535),
        proto=parts[2],
        formats=tuple(parts[3:]),
        connection=section.connection,
        attributes=tuple(section.attributes),
        lines=tuple(section.lines),
        port_count=_small_number(count, 65535) if slash else 1,
    )


def _small_number(text: str, largest: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5) or int(text) > largest:
        raise _error("m= has no port")
    return int(text)


def _rtp_formats(formats: tuple[str, ...], attributes: tuple[Attribute, ...]) -> tuple[RtpFormat, ...]:
    maps = dict(_numbered("rtpmap", attributes))
    parameters = dict(_numbered("fmtp", attributes))
    found = (_rtp_format(text, maps.get(text), parameters.get(text, "")) for text in formats)
    return tuple(format_ for format_ in found if format_ is not None)


# A model of phone writes the same formats in every call: what they mean takes 15 µs to find out and 2 to look up.
_remembered_formats = lru_cache(maxsize=_REMEMBERED)(_rtp_formats)


def _numbered(name: str, attributes: tuple[Attribute, ...]) -> Iterator[tuple[str, str]]:
    for own, value in attributes:
        if own == name and value:
            number, _, text = value.lstrip().partition(" ")
            yield number, text.strip()


def _rtp_format(text: str, rtpmap: str | None, fmtp: str) -> RtpFormat | None:
    if not (text.isascii() and text.isdigit() and len(text) <= 3) or int(text) > 127:
        return None
    number = int(text)
    if rtpmap is None:
        static = STATIC_FORMATS.get(number)
        return static if static is None or not fmtp else _with_fmtp(static, fmtp)
    name, _, rest = rtpmap.partition("/")
    rate, _, channels = (part.strip() for part in rest.partition("/"))
    if not (_is_number(rate) and (not channels or _is_number(channels))):
        return None
    return RtpFormat(number, name.strip(), int(rate), int(channels or 1), fmtp)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9


def _with_fmtp(format_: RtpFormat, fmtp: str) -> RtpFormat:
    return RtpFormat(format_.payload_type, format_.name, format_.clock_rate, format_.channels, fmtp)


def _direction(attributes: tuple[Attribute, ...]) -> Direction | None:
    for name, _ in attributes:
        if name in _DIRECTIONS:
            return _DIRECTIONS[name]
    return None


def _after_connection(line: Line) -> bool:
    return line.type not in _BEFORE_CONNECTION


def _format_section(
    out: list[str], connection: str | None, lines: tuple[Line, ...], attributes: tuple[Attribute, ...]
) -> None:
    out += [f"{type_}={value}" for type_, value in lines if type_ in _BEFORE_CONNECTION] if lines else ()
    if connection is not None:
        out.append(f"c={connection_text(connection)}")
    out += [f"{type_}={value}" for type_, value in lines if type_ not in _BEFORE_CONNECTION] if lines else ()
    out += [f"a={name}" if value is None else f"a={name}:{value}" for name, value in attributes]
