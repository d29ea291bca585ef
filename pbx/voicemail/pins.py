"""PINs of mailboxes: the configured one until its owner sets another, and few wrong tries (security.md)."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Final

from pbx.errors import SecretError
from pbx.secrets import Sealer
from pbx.tenant_state import LiveState

PIN_KEY: Final = "voicemail.pin"
WRONG_KEY: Final = "voicemail.wrong"
LOCKED_KEY: Final = "voicemail.locked_until"
SHORTEST_PIN: Final = 4
LONGEST_PIN: Final = 16
WRONG_IN_A_ROW: Final = 5
LOCKED_S: Final = 300.0


class Pins:
    """Checks PINs. Wrong ones are counted in the state of the tenant, so that a restart forgives none."""

    def __init__(self, state: LiveState, sealer: Sealer, clock: Callable[[], float]) -> None:
        self._state = state
        self._sealer = sealer
        self._clock = clock

    def is_locked(self, tenant: str, mailbox: str) -> bool:
        """Whether no PIN opens it now."""
        return self._number(tenant, mailbox, LOCKED_KEY) > self._clock()

    def check(self, tenant: str, mailbox: str, configured: str, given: str) -> bool:
        """Whether the PIN is right; too many wrong ones in a row lock the mailbox. A mailbox without PIN: never."""
        state, wanted = self._state.tenant(tenant), self.pin(tenant, mailbox, configured)
        if self.is_locked(tenant, mailbox):
            return False
        wrong = int(self._number(tenant, mailbox, WRONG_KEY))
        if wanted and hmac.compare_digest(wanted.encode(), given.encode()):
            for key in (WRONG_KEY, LOCKED_KEY):
                if state.get(mailbox, key) is not None:
                    state.set(mailbox, key, None)
            return True
        if wrong + 1 < WRONG_IN_A_ROW:
            state.set(mailbox, WRONG_KEY, str(wrong + 1))
            return False
        state.set(mailbox, WRONG_KEY, None)
        state.set(mailbox, LOCKED_KEY, repr(self._clock() + LOCKED_S))
        return False

    def _number(self, tenant: str, mailbox: str, key: str) -> float:
        return float(self._state.tenant(tenant).get(mailbox, key) or 0)

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
