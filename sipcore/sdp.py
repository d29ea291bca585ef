"""Session descriptions: RFC 8866 (4566), as values. What they mean to each other is `offer_answer`.

Reading is tolerant: LF or CRLF, lines of any known or unknown type in any order within their section, all kept.
Writing is strict: CRLF, the order of RFC 8866 §9. `parse_sdp(format_sdp(x)) == x` for everything that was parsed.
Sizes that a peer controls have the ceilings below; beyond them, ParseError with 488. Both are done in C
(`ext/siptext/_sdp.pyx`).
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from sipcore._sdp import Codec
from sipcore.values import made_in_c, value_object

# A browser with audio, video and data offers 3 streams, some 15 formats in each, and below 100 lines in a section.
MAX_STREAMS: Final = 16
MAX_FORMATS: Final = 64
MAX_LINES: Final = 256  # in one section, attributes and all


class Direction(Enum):
    """Who sends, seen from the side that writes it (RFC 8866 §6.7)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    # Attributes, not properties (of which `value` is one): a call asks for them thirty times.
    word: str
    sends: bool
    receives: bool
    # The same stream seen from the other side.
    reversed: Direction

    def __init__(self, word: str) -> None:
        self.word = word
        self.sends = word in ("sendrecv", "sendonly")
        self.receives = word in ("sendrecv", "recvonly")

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


for _each in Direction:
    _each.reversed = Direction.of(sends=_each.receives, receives=_each.sends)


CLOCK_RATES: Final = frozenset(
    (1000, 6000, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 90000, 96000, 192000)
)

# Format lists that are remembered, and of how many formats and attributes at most: a few kB each. Whoever fills the
# table with the longest lines that a message holds makes 8 MB of it.
_REMEMBERED: Final = 128
_REMEMBERED_LINES: Final = 32

_DIRECTIONS: Final = {direction.value: direction for direction in Direction}


@made_in_c
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


@made_in_c
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


class Said:
    """What the formats and attributes of a stream say: the same for all calls of a model of phone, and shared by them.

    `formats` are those whose encoding is known, in order; `is_odd`: one has a clock rate or channel count that no codec
    has. `first` is the value of the first attribute of each name, empty for one without a value.
    """

    __slots__ = ("direction", "first", "formats", "is_odd")

    def __init__(self, formats: tuple[str, ...], attributes: tuple[Attribute, ...]) -> None:
        self.first: Final[dict[str, str]] = {}
        for name, value in attributes:
            self.first.setdefault(name, value or "")
        self.direction: Final = _direction(attributes)
        self.formats: Final = _rtp_formats(formats, attributes)
        self.is_odd: Final = any(
            each.clock_rate not in CLOCK_RATES or not 1 <= each.channels <= 8 for each in self.formats
        )


# A model of phone writes the same formats in every call: what they mean takes 20 µs to find out and 2 to look up.
_remembered: Final = lru_cache(maxsize=_REMEMBERED)(Said)


class _Saying:
    """What `MediaDescription.said` is kept in, which is no part of its value."""

    __slots__ = ("said",)

    formats: tuple[str, ...]
    attributes: tuple[Attribute, ...]
    said: Said

    if not TYPE_CHECKING:  # it would allow every name

        def __getattr__(self, name):
            # Asked for the first time; from then on it is an attribute like others.
            if name != "said":
                raise AttributeError(name)
            short = len(self.formats) + len(self.attributes) <= _REMEMBERED_LINES
            self.said = (_remembered if short else Said)(self.formats, self.attributes)
            return self.said


@value_object(frozen=True, slots=True)
class MediaDescription(_Saying):
    """One `m=` section. `connection` is the address of its own `c=`, if it has one; `said` what its lines mean."""

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
        return self.said.first.get(name)

    @property
    def direction(self) -> Direction | None:
        return self.said.direction

    @property
    def rtp_formats(self) -> tuple[RtpFormat, ...]:
        """The formats whose encoding is known, in order; a dynamic number without an rtpmap says nothing."""
        return self.said.formats


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
        return stream.said.direction or _direction(self.attributes) or Direction.SENDRECV

    def to_bytes(self) -> bytes:
        return format_sdp(self)


_codec: Final = Codec(
    session=SessionDescription,
    stream=MediaDescription,
    origin=Origin,
    attribute=Attribute,
    line=Line,
    max_streams=MAX_STREAMS,
    max_formats=MAX_FORMATS,
    max_lines=MAX_LINES,
)


def parse_sdp(body: bytes) -> SessionDescription:
    """The description in `body`. Raises: ParseError (488) when it is none or breaks a ceiling."""
    return _codec.read(body)


def format_sdp(description: SessionDescription) -> bytes:
    """The bytes of a description, in the order of RFC 8866 §9."""
    return _codec.write(description)


def connection_text(address: str) -> str:
    """`IN IP4 address` or `IN IP6 address`."""
    return f"IN {'IP6' if ':' in address else 'IP4'} {address}"


def _rtp_formats(formats: tuple[str, ...], attributes: tuple[Attribute, ...]) -> tuple[RtpFormat, ...]:
    maps = dict(_numbered("rtpmap", attributes))
    parameters = dict(_numbered("fmtp", attributes))
    found = (_rtp_format(text, maps.get(text), parameters.get(text, "")) for text in formats)
    return tuple(format_ for format_ in found if format_ is not None)


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
