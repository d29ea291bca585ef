"""RFC 3711 appendix B: key stream and key derivation, and packets of the engine against what these make of them."""

from __future__ import annotations

import struct

import pytest

from media import Engine, ManualClock, SrtpKeys
from media.keys import AES_CM_32, AES_CM_80, Suite
from tests.conformance.srtp_reference import Rtp, aes_ctr, derive, seal_cm

MASTER = bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE4139")
SALT = bytes.fromhex("0EC675AD498AFEEBB6960B3AABE6")
PHONE = ("192.0.2.1", 4000)


@pytest.mark.rfc("3711", "B.2")
def test_the_key_stream_of_aes_counter_mode() -> None:
    key, salt = bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3C"), bytes.fromhex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD")
    stream = aes_ctr(key, int.from_bytes(salt, "big") << 16, bytes(48))
    assert stream.hex().upper() == (
        "E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB41E95B3BB0A2E8DD477901E4FCA894C0"
    )


@pytest.mark.rfc("3711", "B.3")
def test_the_session_keys_that_are_derived() -> None:
    assert derive(MASTER, SALT, 0, 16).hex().upper() == "C61E7A93744F39EE10734AFE3FF7A087"
    assert derive(MASTER, SALT, 2, 14).hex().upper() == "30CBBC08863D8C85D49DB34A9AE1"
    assert derive(MASTER, SALT, 1, 20).hex().upper() == "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"


@pytest.mark.rfc("3711", "3.3")
@pytest.mark.parametrize(("suite", "tag"), [(AES_CM_80, 10), (AES_CM_32, 4)])
def test_the_engine_seals_and_opens_as_the_document_says_over_a_rollover(suite: Suite, tag: int) -> None:
    keys = SrtpKeys(suite, send=MASTER + SALT, receive=MASTER[::-1] + SALT)
    with Engine(clock=ManualClock()) as engine:
        port = engine.open_port("127.0.0.1", remote=PHONE, ssrc=0xCAFEBABE, sequence=65530, timestamp=0)
        engine.secure(port, keys)
        engine.echo(port)
        for step in range(12):
            sequence, roc = (65530 + step) & 0xFFFF, (65530 + step) >> 16
            header = struct.pack("!BBHII", 0x80, 0, sequence, step * 160, 0xDECAFBAD)
            engine.feed(port, seal_cm(keys.receive, Rtp(header + b"\xab" * 160, roc), tag), PHONE)
            [(_, to, sent, _)] = engine.take()
            marker = 0x80 if step == 0 else 0
            plain = struct.pack("!BBHII", 0x80, marker, sequence, step * 160, 0xCAFEBABE) + b"\xab" * 160
            assert (to, sent) == (PHONE, seal_cm(keys.send, Rtp(plain, roc), tag))
        assert engine.stats(port).dropped == {}


@pytest.mark.rfc("3711", "3.3.1")
def test_what_the_engine_sends_keeps_its_rollover_counter_over_a_change_of_keys() -> None:
    old = SrtpKeys(AES_CM_80, send=MASTER + SALT, receive=MASTER[::-1] + SALT)
    new = SrtpKeys(AES_CM_80, send=MASTER[::-1] + SALT, receive=MASTER + SALT)
    with Engine(clock=ManualClock()) as engine:
        port = engine.open_port("127.0.0.1", remote=PHONE, ssrc=0xCAFEBABE, sequence=65530, timestamp=0)
        engine.echo(port)
        for step in range(12):
            keys = old if step < 9 else new
            engine.secure(port, keys)
            sequence, roc = (65530 + step) & 0xFFFF, (65530 + step) >> 16
            header = struct.pack("!BBHII", 0x80, 0, sequence, step * 160, 0xDECAFBAD)
            engine.feed(port, seal_cm(keys.receive, Rtp(header + b"\xab" * 160, roc), 10), PHONE)
            [(_, _, sent, _)] = engine.take()
            marker = 0x80 if step == 0 else 0
            plain = struct.pack("!BBHII", 0x80, marker, sequence, step * 160, 0xCAFEBABE) + b"\xab" * 160
            assert sent == seal_cm(keys.send, Rtp(plain, roc), 10), step
        assert engine.stats(port).dropped == {}
