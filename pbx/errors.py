"""PbxError
├─ ConfigError(problems)           the configuration was refused; `voipat check` prints it and exits with 2
├─ StartError                      the daemon cannot start: a port is taken, an address is not ours; exit status 1
├─ UnknownTenantError(domain)      nobody here serves that domain
├─ ExportError                     rows cannot be written: no room, no such folder, a library is missing; exit status 1
└─ StoreError                      the data directory or the database in it cannot be used
   ├─ DataDirectoryError(path)     not a directory of ours, or not ours to write
   ├─ DataDirectoryLockedError     another daemon owns it
   ├─ StoreVersionError            made by a newer voipat
   ├─ StoreClosedError             asked after `close()`
   └─ SecretError                  the key file and the sealed secrets do not fit
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pbx.config_table import Problem


class PbxError(Exception):
    """Root of everything that `pbx` raises."""


class ConfigError(PbxError):
    """The configuration was refused; `problems` holds each fault with file, line, key and reason."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class StartError(PbxError):
    """The daemon cannot start; the message names the listener or limit and the reason, for one line on the terminal."""


class ExportError(PbxError):
    """Rows cannot be written where, or as, they were asked for; the message says why and what to do."""


class UnknownTenantError(PbxError):
    """Nobody here serves `domain`."""

    def __init__(self, domain: str) -> None:
        super().__init__(f"no tenant has the domain {domain!r}")
        self.domain = domain


class StoreError(PbxError):
    """The data directory or the database in it cannot be used."""


class DataDirectoryError(StoreError):
    """`path` cannot be made, read or written."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"the data directory {path} cannot be used: {reason}")
        self.path = path


class DataDirectoryLockedError(StoreError):
    """Another process owns the data directory; `pid` is None when it could not be read."""

    def __init__(self, path: Path, pid: int | None) -> None:
        owner = "another process" if pid is None else f"process {pid}"
        super().__init__(f"the data directory {path} is in use by {owner}; give this one its own server.data")
        self.path = path
        self.pid = pid


class StoreVersionError(StoreError):
    """The database was made by a newer voipat; it is left as it is."""

    def __init__(self, path: Path, found: int, known: int) -> None:
        super().__init__(f"{path} has schema version {found}, this voipat knows {known}: install the newer one")
        self.path = path
        self.found = found


class StoreClosedError(StoreError):
    """The store was asked for something after `close()`."""


class SecretError(StoreError):
    """The key file is unusable, or a sealed secret was not sealed by it for this place."""
