"""Where the PBX keeps recordings: a directory per tenant, every file sealed (P-20), no link followed (H19)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from media.errors import RecordingLinkError
from media.recording_file import RecordingFile
from media.sealed import Format, RandomBytes, SealedReader, SealedWriter
from pbx.recording_keys import FileTenantKeys

SUFFIX: Final = ".sealed"


class SealedRecordings:
    """voipat.RecordingStore in the data directory; a recording's key is kept apart and can be destroyed by itself."""

    def __init__(self, directory: Path, keys: FileTenantKeys, random_bytes: RandomBytes) -> None:
        self._directory = directory
        self._keys = keys
        self._random_bytes = random_bytes

    def place(self, tenant: str, name: str) -> str:
        """The file's path."""
        return str(self._path(tenant, name))

    def create(self, tenant: str, name: str, form: Format) -> RecordingFile:
        """A new sealed file. Blocks on the disk. Raises: OSError, RecordingError."""
        return SealedWriter(
            self._path(tenant, name),
            self._keys,
            tenant=tenant,
            object_id=name,
            form=form,
            random_bytes=self._random_bytes,
        )

    def open(self, tenant: str, name: str) -> SealedReader:
        """Read a recording of that tenant. Blocks on the disk. Raises: RecordingError."""
        return SealedReader(self._path(tenant, name), self._keys)

    def finish(self, tenant: str, name: str) -> float:
        """Close a file that a crash may have cut short; how many seconds are in it. Blocks on the disk.

        Raises: RecordingError, OSError.
        """
        writer = SealedWriter.append(self._path(tenant, name), self._keys, random_bytes=self._random_bytes)
        writer.close()
        return writer.seconds

    def names(self, tenant: str) -> list[str]:
        """Every recording of the tenant that has a file. Blocks on the disk. Raises: RecordingLinkError."""
        return sorted(unquote(path.name.removesuffix(SUFFIX)) for path in self._files(tenant))

    def destroy(self, tenant: str, name: str) -> bool:
        """Destroy the key and remove the file; False when there was neither. Blocks on the disk.

        Raises: RecordingError, OSError.
        """
        had_key = self._keys.destroy(tenant, name)
        path = self._folder(tenant) / self._path(tenant, name).name
        had_file = path.is_symlink() or path.exists()
        path.unlink(missing_ok=True)
        return had_key or had_file

    def has_any(self, tenant: str) -> bool:
        """Whether a key or a file of the tenant is left. Blocks on the disk. Raises: RecordingError."""
        return self._keys.has_any(tenant) or any(self._files(tenant))

    def destroy_tenant(self, tenant: str) -> int:
        """Destroy the tenant's key, which opens all its recordings, and the files; how many. Blocks on the disk.

        Raises: RecordingError, OSError.
        """
        self._keys.destroy_tenant(tenant)
        paths = sorted(self._files(tenant))
        for path in paths:
            path.unlink(missing_ok=True)
        return len(paths)

    def _files(self, tenant: str) -> Iterator[Path]:
        return self._folder(tenant).glob(f"*{SUFFIX}")

    def _folder(self, tenant: str) -> Path:
        """Raises: RecordingLinkError: what is removed there may be another tenant's."""
        folder = self._path(tenant, "x").parent
        if folder.is_symlink():
            raise RecordingLinkError(str(folder))
        return folder

    def _path(self, tenant: str, name: str) -> Path:
        return self._directory / f"t-{quote(tenant, safe='')}" / f"{quote(name, safe='')}{SUFFIX}"
