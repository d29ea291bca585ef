"""Few wrong tries at a secret: counted in the state of the tenant, so that a restart forgives none."""

from __future__ import annotations

from typing import Final

from pbx.tenant_state import LiveState

WRONG_IN_A_ROW: Final = 5
LOCKED_S: Final = 300.0


class WrongTries:
    """Of one kind of secret, `kind`; `owner` is whose it is, or where it is tried."""

    def __init__(self, state: LiveState, kind: str) -> None:
        self._state = state
        self._wrong, self._locked = f"{kind}.wrong", f"{kind}.locked_until"

    def is_locked(self, tenant: str, owner: str, now: float) -> bool:
        """Whether no secret is taken now: never for longer than LOCKED_S, also when the clock was set back."""
        return 0 < self._number(tenant, owner, self._locked) - now <= LOCKED_S

    def right(self, tenant: str, owner: str) -> None:
        """The secret was right: what was wrong before is forgotten."""
        state = self._state.tenant(tenant)
        for key in (self._wrong, self._locked):
            if state.get(owner, key) is not None:
                state.set(owner, key, None)

    def wrong(self, tenant: str, owner: str, now: float) -> None:
        """It was wrong; so many in a row, and none is taken for a while."""
        state, wrong = self._state.tenant(tenant), int(self._number(tenant, owner, self._wrong)) + 1
        if wrong < WRONG_IN_A_ROW:
            state.set(owner, self._wrong, str(wrong))
            return
        state.set(owner, self._wrong, None)
        state.set(owner, self._locked, repr(now + LOCKED_S))

    def _number(self, tenant: str, owner: str, key: str) -> float:
        return float(self._state.tenant(tenant).get(owner, key) or 0)
