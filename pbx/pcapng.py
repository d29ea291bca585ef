"""SIP messages as a pcapng file (draft-ietf-opsawg-pcapng) that Wireshark reads: raw IP, headers made up around each.

Whatever carried a message, it is written as UDP: TCP would need a handshake that was never recorded, and TLS was
undone before. What we decided is the comment of the next packet, or of the last one when none follows.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from ipaddress import ip_address
from typing import BinaryIO, Final

SECTION_HEADER: Final = 0x0A0D0D0A
INTERFACE: Final = 1
ENHANCED_PACKET: Final = 6
BYTE_ORDER: Final = 0x1A2B3C4D
LINKTYPE_RAW: Final = 101  # the first nibble tells IPv4 from IPv6

OPT_END: Final = 0
OPT_COMMENT: Final = 1
OPT_IF_NAME: Final = 2
OPT_APPLICATION: Final = 4

UDP: Final = 17
HOP_LIMIT: Final = 64
# What fits behind an IPv4 and a UDP header; a longer message (over a stream) is cut, and its length told.
MAX_PAYLOAD: Final = 65535 - 20 - 8
MAX_COMMENT: Final = 65535

Endpoint = tuple[str, int]


class PcapngWriter:
    """Writes one section with one interface. `close` writes what is held back; the stream stays open."""

    def __init__(self, stream: BinaryIO, *, application: str = "voipat") -> None:
        self._stream = stream
        self._comments: list[str] = []
        self._held: tuple[float, bytes, int, list[str]] | None = None
        head = struct.pack("<IHHq", BYTE_ORDER, 1, 0, -1)
        self._block(SECTION_HEADER, head + _options([(OPT_APPLICATION, application.encode())]))
        self._block(INTERFACE, struct.pack("<HHI", LINKTYPE_RAW, 0, 0) + _options([(OPT_IF_NAME, b"sip")]))

    def comment(self, text: str) -> None:
        """Say this at the next packet."""
        self._comments.append(text)

    def packet(self, wallclock: float, source: Endpoint, destination: Endpoint, payload: bytes) -> None:
        """One message, at UTC seconds."""
        self._write_held()
        whole = len(payload)
        packet = datagram(source, destination, payload[:MAX_PAYLOAD])
        self._held = (wallclock, packet, len(packet) + max(0, whole - MAX_PAYLOAD), self._comments)
        self._comments = []

    def close(self) -> None:
        """Write the last packet, with the comments that came after it."""
        if self._held is not None:
            self._held[3].extend(self._comments)
        self._comments = []
        self._write_held()
        self._stream.flush()

    def _write_held(self) -> None:
        if self._held is None:
            return
        wallclock, packet, whole, comments = self._held
        self._held = None
        moment = round(wallclock * 1e6)  # without if_tsresol: microseconds
        head = struct.pack("<IIIII", 0, moment >> 32, moment & 0xFFFFFFFF, len(packet), whole)
        options = [(OPT_COMMENT, text.encode("utf-8", "replace")[:MAX_COMMENT]) for text in comments]
        self._block(ENHANCED_PACKET, head + _padded(packet) + _options(options))

    def _block(self, kind: int, body: bytes) -> None:
        length = struct.pack("<I", 12 + len(body))
        self._stream.write(struct.pack("<I", kind) + length + body + length)


def datagram(source: Endpoint, destination: Endpoint, payload: bytes) -> bytes:
    """The payload in UDP in IPv4 or IPv6, with good checksums. Both addresses are of one family."""
    origin, target = ip_address(source[0].partition("%")[0]), ip_address(destination[0].partition("%")[0])
    length = 8 + len(payload)
    addresses = origin.packed + target.packed
    udp = struct.pack("!HHHH", source[1], destination[1], length, 0)
    # RFC 768, RFC 8200 §8.1; a sum of zero is sent as ones.
    pseudo = addresses + struct.pack("!II", length, UDP)
    checksum = _checksum(pseudo + udp + payload) or 0xFFFF
    udp = struct.pack("!HHHH", source[1], destination[1], length, checksum)
    if origin.version == 6:
        return struct.pack("!IHBB", 6 << 28, length, UDP, HOP_LIMIT) + addresses + udp + payload
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, HOP_LIMIT, UDP, 0)
    head = head[:10] + struct.pack("!H", _checksum(head + addresses))
    return head + addresses + udp + payload


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _options(options: Sequence[tuple[int, bytes]]) -> bytes:
    if not options:
        return b""
    written = b"".join(struct.pack("<HH", code, len(value)) + _padded(value) for code, value in options)
    return written + struct.pack("<HH", OPT_END, 0)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
