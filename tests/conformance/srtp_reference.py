"""SRTP written out from RFC 3711 and RFC 7714, slow and obvious: the oracle for the library that the engine calls."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def aes_ctr(key: bytes, counter: int, data: bytes) -> bytes:
    """AES in counter mode from a 128-bit start value."""
    return Cipher(algorithms.AES(key), modes.CTR(counter.to_bytes(16, "big"))).encryptor().update(data)


def derive(master: bytes, salt: bytes, label: int, length: int) -> bytes:
    """RFC 3711 §4.3.1 with a key derivation rate of zero; a 96-bit salt is padded at its end (RFC 7714 §11)."""
    x = int.from_bytes(salt.ljust(14, b"\0"), "big") ^ (label << 48)
    return aes_ctr(master, x << 16, bytes(length))


@dataclass(frozen=True)
class Rtp:
    """A packet without CSRCs and extension, and its rollover counter."""

    packet: bytes
    roc: int = 0

    @property
    def header(self) -> bytes:
        return self.packet[:12]

    @property
    def payload(self) -> bytes:
        return self.packet[12:]

    @property
    def index(self) -> int:
        return self.roc << 16 | int.from_bytes(self.packet[2:4], "big")

    @property
    def ssrc(self) -> int:
        return int.from_bytes(self.packet[8:12], "big")


def seal_cm(material: bytes, rtp: Rtp, tag: int) -> bytes:
    """AES_CM_128_HMAC_SHA1 with a tag of so many octets (RFC 3711 §4.1.1, §4.2.1)."""
    master, salt = material[:16], material[16:]
    key, auth, session_salt = derive(master, salt, 0, 16), derive(master, salt, 1, 20), derive(master, salt, 2, 14)
    iv = int.from_bytes(session_salt, "big") << 16 ^ rtp.ssrc << 64 ^ rtp.index << 16
    sealed = rtp.header + aes_ctr(key, iv, rtp.payload)
    return sealed + hmac.digest(auth, sealed + rtp.roc.to_bytes(4, "big"), "sha1")[:tag]


def gcm_iv(salt: bytes, rtp: Rtp) -> bytes:
    """RFC 7714 §8.1."""
    plain = bytes(2) + rtp.ssrc.to_bytes(4, "big") + rtp.index.to_bytes(6, "big")
    return bytes(a ^ b for a, b in zip(plain, salt, strict=True))


def seal_gcm_session(key: bytes, salt: bytes, rtp: Rtp) -> bytes:
    """RFC 7714 §8.2 with session keys."""
    return rtp.header + AESGCM(key).encrypt(gcm_iv(salt, rtp), rtp.payload, rtp.header)


def seal_gcm(material: bytes, rtp: Rtp) -> bytes:
    """RFC 7714 with a master key and salt."""
    master, salt = material[:-12], material[-12:]
    return seal_gcm_session(derive(master, salt, 0, len(master)), derive(master, salt, 2, 12), rtp)
