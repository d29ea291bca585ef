"""What a command that asks the daemon knows without loading the engine or the configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, get_args

Disposition = Literal["answered", "no_answer", "busy", "cancelled", "failed", "interrupted"]
DISPOSITIONS: Final[tuple[Disposition, ...]] = get_args(Disposition)


def data_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the store lives when nobody says: the user's data folder (XDG Base Directory specification)."""
    base = environ.get("XDG_DATA_HOME", "")
    # "All paths set in these environment variables must be absolute": others are ignored.
    folder = Path(base) if base.startswith("/") else Path(environ.get("HOME") or "~").expanduser() / ".local/share"
    return folder / "voipat"
