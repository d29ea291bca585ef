"""Secrets open with their key and in their place, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbx.errors import SecretError
from pbx.secrets import Sealer, load_key

PLACE = ("office.test", "1001")


def counting() -> bytes:
    return bytes(range(32))


def random_bytes(count: int) -> bytes:
    return bytes(range(count))


def test_what_is_sealed_opens_in_its_place() -> None:
    sealer = Sealer(counting(), random_bytes)
    sealed = sealer.seal("0123abcd", PLACE)
    assert b"0123abcd" not in sealed
    assert sealer.open(sealed, PLACE) == "0123abcd"


def test_another_place_key_or_byte_does_not_open() -> None:
    sealer = Sealer(counting(), random_bytes)
    sealed = sealer.seal("0123abcd", PLACE)
    with pytest.raises(SecretError, match=r"shop\.test/1001"):
        sealer.open(sealed, ("shop.test", "1001"))
    with pytest.raises(SecretError):
        Sealer(bytes(32), random_bytes).open(sealed, PLACE)
    for broken in (sealed[:-1], b"", sealed[:-1] + bytes([sealed[-1] ^ 1])):
        with pytest.raises(SecretError):
            sealer.open(broken, PLACE)


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert load_key(path, random_bytes) == counting()
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_key(path, lambda count: bytes(count)) == counting()


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    load_key(path, random_bytes)
    path.chmod(0o640)
    with pytest.raises(SecretError, match="chmod 600"):
        load_key(path, random_bytes)


def test_a_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.touch(mode=0o600)
    with pytest.raises(SecretError, match="no key of 32 bytes"):
        load_key(path, random_bytes)
