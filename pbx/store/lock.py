"""One daemon per data directory: an advisory lock that the kernel drops with the process, however it ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from pbx.errors import DataDirectoryError, DataDirectoryLockedError

LOCK_FILE: Final = "voipat.lock"


class DataLock:
    """The data directory, made when missing (mode 0700) and held until `release`."""

    def __init__(self, directory: Path) -> None:
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DataDirectoryError(directory, error.strerror or str(error)) from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = _pid(self._descriptor)
            os.close(self._descriptor)
            raise DataDirectoryLockedError(directory, pid) from None
        _note_pid(self._descriptor)

    def release(self) -> None:
        """Let another process have the directory. The file stays: removing it would let two in at once."""
        os.close(self._descriptor)


def _note_pid(descriptor: int) -> None:
    """Only for the error message of the other; a full disk must not keep the daemon from starting."""
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError:
        pass


def _pid(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
    return int(text) if text.isdecimal() else None
