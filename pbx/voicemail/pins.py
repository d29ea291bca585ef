"""PINs of mailboxes: the configured one until its owner sets another, and few wrong tries (security.md)."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Final

from pbx.errors import SecretError
from pbx.secrets import Sealer
from pbx.tenant_state import LiveState

PIN_KEY: Final = "voicemail.pin"
SHORTEST_PIN: Final = 4
LONGEST_PIN: Final = 16
WRONG_IN_A_ROW: Final = 5
LOCKED_S: Final = 300.0


class Pins:
    """Checks PINs. What it counts is as large as there are mailboxes: who has none is not counted."""

    def __init__(self, state: LiveState, sealer: Sealer, clock: Callable[[], float]) -> None:
        self._state = state
        self._sealer = sealer
        self._clock = clock
        self._wrong: dict[tuple[str, str], int] = {}
        self._locked: dict[tuple[str, str], float] = {}

    def is_locked(self, tenant: str, mailbox: str) -> bool:
        """Whether no PIN opens it now."""
        return self._locked.get((tenant, mailbox), 0.0) > self._clock()

    def check(self, tenant: str, mailbox: str, configured: str, given: str) -> bool:
        """Whether the PIN is right; too many wrong ones in a row lock the mailbox. A mailbox without PIN: never."""
        key, wanted = (tenant, mailbox), self.pin(tenant, mailbox, configured)
        if self.is_locked(tenant, mailbox):
            return False
        if wanted and hmac.compare_digest(wanted.encode(), given.encode()):
            self._wrong.pop(key, None)
            return True
        self._wrong[key] = self._wrong.get(key, 0) + 1
        if self._wrong[key] >= WRONG_IN_A_ROW:
            del self._wrong[key]
            self._locked[key] = self._clock() + LOCKED_S
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
