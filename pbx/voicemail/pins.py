"""PINs of mailboxes: the configured one until its owner sets another, and few wrong tries (security.md)."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Final

from pbx.errors import SecretError
from pbx.secrets import Sealer
from pbx.tenant_state import LiveState
from pbx.wrong_tries import WrongTries

PIN_KEY: Final = "voicemail.pin"
SHORTEST_PIN: Final = 4
LONGEST_PIN: Final = 16


class Pins:
    """Checks PINs. Wrong ones are counted in the state of the tenant, so that a restart forgives none."""

    def __init__(self, state: LiveState, sealer: Sealer, clock: Callable[[], float]) -> None:
        self._state = state
        self._tries = WrongTries(state, "voicemail")
        self._sealer = sealer
        self._clock = clock

    def is_locked(self, tenant: str, mailbox: str) -> bool:
        """Whether no PIN opens it now."""
        return self._tries.is_locked(tenant, mailbox, self._clock())

    def check(self, tenant: str, mailbox: str, configured: str, given: str) -> bool:
        """Whether the PIN is right; too many wrong ones in a row lock the mailbox. A mailbox without PIN: never."""
        now = self._clock()
        if self._tries.is_locked(tenant, mailbox, now):
            return False
        wanted = self.pin(tenant, mailbox, configured)
        if wanted and hmac.compare_digest(wanted.encode(), given.encode()):
            self._tries.right(tenant, mailbox)
            return True
        self._tries.wrong(tenant, mailbox, now)
        return False

    def pin(self, tenant: str, mailbox: str, configured: str) -> str:
        """The PIN in force, "" for none."""
        sealed = self._state.tenant(tenant).get(mailbox, PIN_KEY)
        if sealed is None:
            return configured
        try:
            return self._sealer.open(bytes.fromhex(sealed), (tenant, mailbox, PIN_KEY))
        except (SecretError, ValueError):
            return configured  # sealed with a key that is lost: as if it had never been changed

    def change(self, tenant: str, mailbox: str, pin: str) -> None:
        """Put another PIN in force and keep it sealed."""
        sealed = self._sealer.seal(pin, (tenant, mailbox, PIN_KEY)).hex()
        self._state.tenant(tenant).set(mailbox, PIN_KEY, sealed)
