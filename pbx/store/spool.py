"""CDRs on a disk that takes no more: a file whose space was reserved while there was some.

While commits fail, each group's CDRs are appended here as JSON lines; a commit that succeeds holds them all and
clears it. What a crash leaves here is read back at the next start. A NUL ends what is valid.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pbx.store.writer import Row

SPOOL_FILE: Final = "cdrs.spool"
SPOOL_BYTES: Final = 16 * 1024 * 1024  # some 25,000 CDRs

log = logging.getLogger(__name__)


class Spool:
    """The reserved file; every method is silent about a disk that fails, which is what it is there for."""

    def __init__(self, path: Path, *, size: int = SPOOL_BYTES) -> None:
        self._size = size
        self._used = 0
        self._kept: dict[str, Row] = {}  # by id: what a repeated failure need not append again
        self.lost = 0
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(self._descriptor, 0, size)
        except OSError as error:
            log.warning("no space could be reserved for CDRs on a full disk: %s", error.strerror)

    def recovered(self) -> list[dict[str, Any]]:
        """The rows that the last process could not commit; later ones of the same id come later."""
        content = os.pread(self._descriptor, self._size, 0).partition(b"\0")[0]
        rows = []
        for line in content.splitlines():
            try:
                rows.append(json.loads(line))
            except ValueError:  # the crash cut the last line short
                break
        return rows

    def append(self, rows: Sequence[Row]) -> None:
        """Keep the rows; what does not fit is counted and stays in memory only."""
        rows = [row for row in rows if self._kept.get(row["id"]) is not row]
        data = b"".join(json.dumps(dict(row), default=_text).encode() + b"\n" for row in rows)
        if not data:
            return
        if self._used + len(data) + 1 > self._size:
            self.lost += len(rows)
            return
        try:
            os.pwrite(self._descriptor, data + b"\0", self._used)
            os.fdatasync(self._descriptor)
        except OSError:
            self.lost += len(rows)
            return
        self._used += len(data)
        self._kept.update((row["id"], row) for row in rows)

    def clear(self) -> None:
        """Forget everything: it has been committed."""
        if self._used:
            self.erase()

    def erase(self) -> None:
        """As `clear`, also of what the last process left."""
        with contextlib.suppress(OSError):  # read back once too often: a CDR is written again under its own id
            os.pwrite(self._descriptor, b"\0", 0)
            os.fdatasync(self._descriptor)
        self._used = 0
        self._kept.clear()

    def close(self) -> None:
        """Close the file, which stays with its reserved space."""
        os.close(self._descriptor)


def _text(value: object) -> str:
    assert isinstance(value, bytes), "rows hold text, numbers and the bytes of text that is not UTF-8"
    return value.decode("utf-8", "surrogateescape")
