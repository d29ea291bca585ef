"""Who may register and call: domains (each a tenant and a realm) and their users, as the gate asks for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from sipcore.auth import ha1
from sipcore.values import value_object

if TYPE_CHECKING:
    from voipat.gateway import Login

DEFAULT_DIGEST = ("SHA-256", "MD5")


@value_object(frozen=True, slots=True)
class Identity:
    """Somebody who authenticated: a user of a tenant."""

    tenant: str
    user: str


@value_object(frozen=True, slots=True)
class TrunkIdentity(Identity):
    """A trunk of a tenant, known by where the request came from; `user` is the calling number as it was told.

    `did` is the called number, as the trunk has it; `diversions` are the Diversion values (RFC 5806) of a trunk that is
    trusted with them, newest first. `trusted`: it may be told who is connected, and is believed (RFC 3325), in the
    header `asserts_in`: P-Asserted-Identity, or Remote-Party-ID. `authorizes_early`: it is told by P-Early-Media
    (RFC 5009), when it asks, whether there is something to hear before the answer. `login`: what it gets when it wants
    credentials for our requests within the call.
    """

    trunk: str
    did: str
    diversions: tuple[str, ...] = ()
    trusted: bool = False
    asserts_in: str = "P-Asserted-Identity"
    authorizes_early: bool = False
    login: Login | None = None


class Accounts(Protocol):
    """Domains and users. Every answer comes from memory, at once."""

    @property
    def default_domain(self) -> str | None:
        """The domain of requests that name one of our own addresses."""

    def domain(self, host: str) -> str | None:
        """The canonical name when `host` is one of our domains."""

    def digest(self, domain: str, user: str) -> Sequence[str]:
        """The algorithms to offer, in order; for an unknown user those of most users."""

    def ha1(self, domain: str, user: str, algorithm: str) -> str | None:
        """HA1 for "MD5" or "SHA-256"; None for an unknown user."""


class PasswordAccounts:
    """Accounts of an embedder: domains, and a function that knows a user's password (or its HA1)."""

    def __init__(
        self,
        domains: Sequence[str],
        *,
        password_of: Callable[[str], str | None] | None = None,
        ha1_of: Callable[[str, str], str | None] | None = None,
        digest: Sequence[str] = DEFAULT_DIGEST,
    ) -> None:
        if (password_of is None) == (ha1_of is None):
            raise ValueError("give one of password_of and ha1_of")
        self._domains = {domain.lower(): domain.lower() for domain in domains}
        self._password_of = password_of
        self._ha1_of = ha1_of
        self._digest = tuple(digest)

    @property
    def default_domain(self) -> str | None:
        """The first domain."""
        return next(iter(self._domains), None)

    def domain(self, host: str) -> str | None:
        """The canonical name when `host` is one of the domains."""
        return self._domains.get(host) or self._domains.get(host.lower())

    def digest(self, domain: str, user: str) -> Sequence[str]:
        """The same for every user."""
        return self._digest

    def ha1(self, domain: str, user: str, algorithm: str) -> str | None:
        """HA1 from the function that was given."""
        if self._ha1_of is not None:
            return self._ha1_of(user, algorithm)
        assert self._password_of is not None, "one of the two was given"
        password = self._password_of(user)
        return None if password is None else ha1(user, domain, password, algorithm)
