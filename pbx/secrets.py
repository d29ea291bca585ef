"""Secrets at rest: each sealed by AES-256-GCM under a key in a file that only the daemon's user can read.

A sealed secret is nonce (12 bytes) + ciphertext and tag; its place (tenant, extension, algorithm) is
authenticated with it, so that a row cannot be copied over another. What is sealed is HA1, never a password.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pbx.errors import SecretError

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12

RandomBytes = Callable[[int], bytes]


class Sealer:
    """Seals and opens secrets with one key."""

    def __init__(self, key: bytes, random_bytes: RandomBytes) -> None:
        self._cipher = AESGCM(key)
        self._random_bytes = random_bytes

    def seal(self, secret: str, place: tuple[str, ...]) -> bytes:
        """`secret`, readable only with the key and only for `place`."""
        nonce = self._random_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret.encode(), _bound(place))

    def open(self, sealed: bytes, place: tuple[str, ...]) -> str:
        """The secret that was sealed for `place`.

        Raises: SecretError.
        """
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _bound(place)).decode()
        except (InvalidTag, ValueError):
            raise SecretError(f"the secret of {'/'.join(place)} was not sealed with this key") from None


def load_key(path: Path, random_bytes: RandomBytes) -> bytes:
    """The key in `path`, made on first use with mode 0600.

    Raises: SecretError, when others can read the file or it is not a key.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read_key(path)
    with os.fdopen(descriptor, "wb") as file:
        key = random_bytes(KEY_BYTES)
        file.write(key)
        file.flush()
        # Secrets sealed with a key that a power cut took back would be lost.
        os.fsync(file.fileno())
    return key


def _read_key(path: Path) -> bytes:
    if path.stat().st_mode & 0o077:
        raise SecretError(f"{path} can be read by others, run: chmod 600 {path}")
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise SecretError(f"{path} is no key of {KEY_BYTES} bytes; restore it, or remove it to seal anew")
    return key


def _bound(place: tuple[str, ...]) -> bytes:
    return "\0".join(place).encode()
