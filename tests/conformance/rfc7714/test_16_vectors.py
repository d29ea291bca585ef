"""RFC 7714 §16: the vectors, and packets of the engine against what the same formulas make of a master key."""

from __future__ import annotations

import struct

import pytest

from media import Engine, ManualClock, SrtpKeys
from media.keys import AEAD_128, AEAD_256, Suite
from tests.conformance.srtp_reference import Rtp, seal_gcm, seal_gcm_session

KEY = bytes(range(32))
SALT = bytes.fromhex("517569642070726f2071756f")
PACKET = bytes.fromhex(
    "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573"
)
PHONE = ("192.0.2.1", 4000)


@pytest.mark.rfc("7714", "16.1.1")
def test_aead_aes_128_gcm_of_the_example() -> None:
    assert seal_gcm_session(KEY[:16], SALT, Rtp(PACKET)).hex() == (
        "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833"
        "899d7f27beb16a9152cf765ee4390cce"
    )


@pytest.mark.rfc("7714", "16.2.1")
def test_aead_aes_256_gcm_of_the_example() -> None:
    assert seal_gcm_session(KEY, SALT, Rtp(PACKET)).hex() == (
        "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b"
        "7aa3db36dfffd6b0f9bb7878d7a76c13"
    )


@pytest.mark.rfc("7714", "8")
@pytest.mark.parametrize("suite", [AEAD_128, AEAD_256])
def test_the_engine_seals_and_opens_as_the_document_says_over_a_rollover(suite: Suite) -> None:
    material = KEY[: suite.key_length] + SALT
    keys = SrtpKeys(suite, send=material, receive=material[::-1])
    with Engine(clock=ManualClock()) as engine:
        port = engine.open_port("127.0.0.1", remote=PHONE, ssrc=0xCAFEBABE, sequence=65530, timestamp=0)
        engine.secure(port, keys)
        engine.echo(port)
        for step in range(12):
            sequence, roc = (65530 + step) & 0xFFFF, (65530 + step) >> 16
            header = struct.pack("!BBHII", 0x80, 0, sequence, step * 160, 0xDECAFBAD)
            engine.feed(port, seal_gcm(keys.receive, Rtp(header + b"\xab" * 160, roc)), PHONE)
            [(_, to, sent, _)] = engine.take()
            marker = 0x80 if step == 0 else 0
            plain = struct.pack("!BBHII", 0x80, marker, sequence, step * 160, 0xCAFEBABE) + b"\xab" * 160
            assert (to, sent) == (PHONE, seal_gcm(keys.send, Rtp(plain, roc)))
        assert engine.stats(port).dropped == {}
