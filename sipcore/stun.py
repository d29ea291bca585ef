"""The keep-alive of RFC 5626 §3.5.2: a STUN Binding request on the SIP port, and its answer (RFC 8489 §6, §14)."""

from __future__ import annotations

import ipaddress
import struct
from typing import Final

_COOKIE: Final = 0x2112A442
_REQUEST: Final = 0x0001
_SUCCESS: Final = 0x0101
_XOR_MAPPED_ADDRESS: Final = 0x0020
_HEADER: Final = struct.Struct("!HHI12s")
# A request with attributes that want more than an address (USERNAME, MESSAGE-INTEGRITY) is none of a SIP keep-alive.
_LONGEST: Final = 64


def is_stun(data: bytes) -> bool:
    """Whether a datagram is STUN: the two highest bits are zero and the cookie is there, as in no SIP message."""
    return len(data) >= _HEADER.size and data[0] < 4 and data[4:8] == b"\x21\x12\xa4\x42"


def binding_answer(data: bytes, host: str, port: int) -> bytes | None:
    """The answer to a Binding request from this address; None to anything else. Hardly longer than the request."""
    kind, length, _, transaction = _HEADER.unpack_from(data)
    if kind != _REQUEST or length + _HEADER.size != len(data) or len(data) > _LONGEST:
        return None
    address = ipaddress.ip_address(host)
    mask = struct.pack("!I", _COOKIE) + transaction
    hidden = bytes(one ^ other for one, other in zip(address.packed, mask, strict=False))
    family = 1 if address.version == 4 else 2
    value = struct.pack("!BBH", 0, family, port ^ (_COOKIE >> 16)) + hidden
    attribute = struct.pack("!HH", _XOR_MAPPED_ADDRESS, len(value)) + value
    return _HEADER.pack(_SUCCESS, len(attribute), _COOKIE, transaction) + attribute
