"""Files of RTP for sipp to play: plain, or sealed under a key that is written into the offer."""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path

from pylibsrtp import Policy, Session

from media import maybe_suite

INTERVAL_MS = 20
_SUITE = "AES_CM_128_HMAC_SHA1_80"
_MATERIAL = bytes(range(30))
CRYPTO = f"crypto:1 {_SUITE} inline:{b64encode(_MATERIAL).decode()}"
_LINK_ETHERNET, _IPV4 = 1, 0x0800


def plain_rtp(seconds: float) -> list[bytes]:
    """G.711 that is no silence."""
    count = int(seconds * 1000 / INTERVAL_MS)
    return [
        struct.pack("!BBHII", 0x80, 0, number, number * 160, 0x5150) + bytes(range(64, 224)) for number in range(count)
    ]


def sealed_rtp(seconds: float) -> list[bytes]:
    """The same under the key of CRYPTO: every call that offers it may send these octets."""
    suite = maybe_suite(_SUITE)
    assert suite is not None
    session = Session(Policy(_MATERIAL, Policy.SSRC_ANY_OUTBOUND, 0, suite.profile))
    return [session.protect(packet) for packet in plain_rtp(seconds)]


def write_pcap(path: Path, packets: Iterable[bytes]) -> None:
    """One UDP datagram each 20 ms; sipp puts its own addresses and ports in."""
    pieces = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, _LINK_ETHERNET)]
    for number, packet in enumerate(packets):
        udp = struct.pack("!HHHH", 6000, 6000, 8 + len(packet), 0) + packet
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, b"\x7f\0\0\1", b"\x7f\0\0\1") + udp
        frame = bytes(12) + struct.pack("!H", _IPV4) + ip
        when = number * INTERVAL_MS * 1000
        pieces.append(struct.pack("<IIII", when // 1_000_000, when % 1_000_000, len(frame), len(frame)) + frame)
    path.write_bytes(b"".join(pieces))
