"""The Ogg container (RFC 3533): pages to packets and back, for one logical stream."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

FIRST: Final = 2
LAST: Final = 4

_HEADER: Final = struct.Struct("<4sBBqIIIB")
_CRC_AT: Final = 22
_MIRRORED: Final = bytes(int(f"{octet:08b}"[::-1], 2) for octet in range(256))


class OggError(ValueError):
    """What is wrong with the pages."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its packets as pieces; the last piece goes on in the next page when `is_open`."""

    flags: int
    granule: int
    serial: int
    pieces: tuple[bytes, ...]
    is_open: bool


def checksum(page: bytes) -> int:
    """The CRC of §6: zlib's polynomial, mirrored, without its inversions."""
    mirrored = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


def read_pages(data: bytes) -> Iterator[Page]:
    """The pages of a file, each checked. Raises: OggError."""
    at = 0
    while at < len(data):
        if at + _HEADER.size > len(data):
            raise OggError("a page is cut short")
        magic, version, flags, granule, serial, _, crc, count = _HEADER.unpack_from(data, at)
        lengths = data[at + _HEADER.size : at + _HEADER.size + count]
        body = at + _HEADER.size + count
        end = body + sum(lengths)
        if magic != b"OggS" or version != 0:
            raise OggError("not a page where one should begin")
        if len(lengths) < count or end > len(data):
            raise OggError("a page is cut short")
        whole = data[at : at + _CRC_AT] + bytes(4) + data[at + _CRC_AT + 4 : end]
        if checksum(whole) != crc:
            raise OggError("a page has a wrong checksum")
        pieces, size = [], 0
        for length in lengths:
            size += length
            if length < 255:
                pieces.append(data[body : body + size])
                body, size = body + size, 0
        is_open = bool(lengths) and lengths[-1] == 255
        if is_open:
            pieces.append(data[body:end])
        yield Page(flags, granule, serial, tuple(pieces), is_open)
        at = end


def write_page(packets: list[bytes], *, flags: int, granule: int, serial: int, number: int) -> bytes:
    """A page of whole packets. Raises: OggError when they are too many for one."""
    lengths = bytearray()
    for packet in packets:
        lengths += b"\xff" * (len(packet) // 255) + bytes((len(packet) % 255,))
    if len(lengths) > 255:
        raise OggError("more than a page holds")
    head = _HEADER.pack(b"OggS", 0, flags, granule, serial, number, 0, len(lengths))
    page = head + lengths + b"".join(packets)
    return page[:_CRC_AT] + struct.pack("<I", checksum(page)) + page[_CRC_AT + 4 :]
