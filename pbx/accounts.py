"""The directory as the gate asks it: tenants are domains and realms, extensions are users."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pbx.directory import LiveDirectory

# A tenant always has its list; this is for a domain that a reload takes away in the same moment.
_FALLBACK_DIGEST: Final = ("SHA-256", "MD5")


class DirectoryAccounts:
    """`voipat.Accounts` over the snapshot in force."""

    __slots__ = ("_directory",)

    def __init__(self, directory: LiveDirectory) -> None:
        self._directory = directory

    @property
    def default_domain(self) -> str | None:
        """The tenant of requests that name one of our own addresses."""
        return self._directory.current.default_tenant

    def domain(self, host: str) -> str | None:
        """The tenant's canonical domain when `host` is one."""
        lowered = host.lower()
        return lowered if self._directory.current.serves(lowered) else None

    def digest(self, domain: str, user: str) -> Sequence[str]:
        """The algorithms to offer, in order."""
        current = self._directory.current
        return current.digest(domain, user) if current.serves(domain) else _FALLBACK_DIGEST

    def ha1(self, domain: str, user: str, algorithm: str) -> str | None:
        """HA1, or None for an unknown user."""
        return self._directory.current.ha1(domain, user, algorithm)
