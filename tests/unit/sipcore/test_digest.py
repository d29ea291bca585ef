"""The hashes that digest is made of, beside those of hashlib."""

from __future__ import annotations

import hashlib

import pytest

from sipcore._digest import Nonces, joined_hash, sealed

KEY = bytes(range(32))
LENGTHS = (*range(70), 119, 120, 127, 128, 129, 191, 192, 193, 1000)


@pytest.mark.parametrize("size", [1, 8, 12, 32])
def test_the_seal_is_blake2s_with_a_key(size: int) -> None:
    for length in LENGTHS:
        text = "aé\udc80b"[: length % 5] + "x" * length
        octets = b"1\0" + text.encode("utf-8", "surrogateescape")
        assert sealed(KEY, ("1", text), size) == hashlib.blake2s(octets, key=KEY, digest_size=size).hexdigest()


@pytest.mark.parametrize(("base", "name"), [("MD5", "md5"), ("SHA-256", "sha256")])
def test_texts_are_hashed_with_colons_between_them(base: str, name: str) -> None:
    for length in LENGTHS:
        text = "é\udcff"[: length % 3] + "y" * length
        octets = text.encode("utf-8", "surrogateescape") + b"::z"
        assert joined_hash(base, (text, "", "z")) == hashlib.new(name, octets).hexdigest()


@pytest.mark.parametrize(("key", "size"), [(KEY[1:], 8), (KEY, 0), (KEY, 33)])
def test_a_seal_of_another_size_is_refused(key: bytes, size: int) -> None:
    with pytest.raises(ValueError, match="a key of 32 octets"):
        sealed(key, ("a",), size)


def test_a_nonce_tells_when_and_for_whom_it_was_made_and_is_used_once_for_each_nc() -> None:
    nonces = Nonces(KEY, 5_000, 7, 300.0, 100)
    nonce = nonces.new("office.test", "192.0.2.7", 12.345)
    assert nonces.issued(nonce, "office.test", "192.0.2.7") == 12.345
    for other in (("office.test", "192.0.2.8"), ("other.test", "192.0.2.7")):
        assert nonces.issued(nonce, *other) is None
    for broken in ("", nonce[:-1], "é" * 48, nonce[:24] + "0" * 24):
        assert nonces.issued(broken, "office.test", "192.0.2.7") is None
    asked = {"nonce": nonce, "qop": "auth", "nc": "00000001"}
    assert [nonces.use(asked, 12.345, 13.0) for _ in range(2)] == [True, False]
    assert nonces.use({**asked, "nc": "00000002"}, 12.345, 13.0)
    assert (nonce in nonces, len(nonces)) == (True, 1)
    for bad in ("1", "0000000g", "-0000009", "00000000"):
        assert not nonces.use({**asked, "nc": bad}, 12.345, 13.0)
    assert not nonces.use({**asked, "nc": "00000009"}, 12.345, 312.4)
