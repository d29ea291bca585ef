"""The keys of recordings: a file for each, sealed by its tenant's key, which the server's master key seals.

    master.key (0600) ─▶ TENANT/tenant.key ─▶ TENANT/OBJECT.key ─▶ the recording

A recording is destroyed by removing its key, all those of a tenant by removing the tenant's: copies of the recordings,
in backups too, are noise from then on. The keys must therefore not be in the same backup as the recordings.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final
from urllib.parse import quote

from media.errors import RecordingKeyError
from pbx.errors import SecretError
from pbx.secrets import KEY_BYTES, RandomBytes, Sealer, load_key

_OBJECT: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TENANT_KEY: Final = "tenant"
_DRAFT: Final = ".draft"


class FileTenantKeys:
    """media.sealed.TenantKeys in a directory of ours. Blocks on the disk: for a thread."""

    def __init__(self, directory: Path, random_bytes: RandomBytes) -> None:
        """Makes the directory and the master key at first use. Raises: SecretError, OSError."""
        self._directory = directory
        self._random_bytes = random_bytes
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._master = Sealer(load_key(directory / "master.key", random_bytes), random_bytes)

    def make(self, tenant: str, object_id: str) -> bytes:
        """A new key for the object. Raises: RecordingKeyError (the name is taken or impossible), OSError."""
        path = self._path(tenant, object_id)
        sealer = self._tenant_sealer(tenant)
        return self._make(path, sealer, (tenant, object_id))

    def find(self, tenant: str, object_id: str) -> bytes:
        """The object's key. Raises: RecordingKeyError."""
        path = self._path(tenant, object_id)
        sealer = Sealer(self._open(self._path(tenant, _TENANT_KEY), self._master, (tenant,)), self._random_bytes)
        return self._open(path, sealer, (tenant, object_id))

    def destroy(self, tenant: str, object_id: str) -> bool:
        """Remove the object's key: its recording cannot be read any more. False when there was none.

        Raises: RecordingKeyError, OSError.
        """
        return _remove(self._path(tenant, object_id))

    def has_any(self, tenant: str) -> bool:
        """Whether the tenant has a key. Raises: RecordingKeyError."""
        return any(self._path(tenant, _TENANT_KEY).parent.glob("*.key"))

    def destroy_tenant(self, tenant: str) -> int:
        """Remove the tenant's key, which opens all its recordings, and theirs; how many there were.

        Raises: RecordingKeyError, OSError.
        """
        directory = self._path(tenant, _TENANT_KEY).parent
        _remove(directory / f"{_TENANT_KEY}.key")
        count = sum(_remove(path) for path in sorted(directory.glob("*.key")))
        for draft in directory.glob(f"*{_DRAFT}"):
            _remove(draft)
        if directory.exists():
            directory.rmdir()
        return count

    def _path(self, tenant: str, object_id: str) -> Path:
        if not tenant or not _OBJECT.fullmatch(object_id):
            raise RecordingKeyError(object_id, f"no name of a recording of tenant {tenant!r}")
        # quote leaves dots as they are: "t-" before them makes them a name.
        folder = self._directory / f"t-{quote(tenant, safe='')}"
        if folder.is_symlink():
            raise RecordingKeyError(object_id, f"{folder} is a symbolic link, which is not followed")
        return folder / f"{object_id}.key"

    def _tenant_sealer(self, tenant: str) -> Sealer:
        path = self._path(tenant, _TENANT_KEY)
        try:
            key = self._open(path, self._master, (tenant,))
        except RecordingKeyError:
            if path.exists():
                raise
            path.parent.mkdir(mode=0o700, exist_ok=True)
            key = self._make(path, self._master, (tenant,))
        return Sealer(key, self._random_bytes)

    def _make(self, path: Path, sealer: Sealer, place: tuple[str, ...]) -> bytes:
        key = self._random_bytes(KEY_BYTES)
        # Under its name there is a whole key or none: one that a full disk cut short would be in the way for ever.
        draft = path.with_name(f"{self._random_bytes(8).hex()}{_DRAFT}")
        try:
            _write(draft, sealer.seal(key.hex(), ("recording", *place)))
            os.link(draft, path)
        except FileExistsError:
            raise RecordingKeyError(path.stem, "there is a recording with this name") from None
        finally:
            draft.unlink(missing_ok=True)
        return key

    def _open(self, path: Path, sealer: Sealer, place: tuple[str, ...]) -> bytes:
        try:
            if path.stat().st_mode & 0o077:
                raise RecordingKeyError(path.stem, f"{path} can be read by others, run: chmod 600 {path}")
            return bytes.fromhex(sealer.open(path.read_bytes(), ("recording", *place)))
        except FileNotFoundError:
            raise RecordingKeyError(path.stem, "its key was destroyed, or is not here") from None
        except (OSError, ValueError, SecretError) as error:
            raise RecordingKeyError(path.stem, str(error)) from error


def _write(path: Path, sealed: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(sealed)
        file.flush()
        os.fsync(file.fileno())  # a recording whose key a power cut took back is lost


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True
