"""How many calls a tenant may begin in a second: a burst of one second's worth, then evenly (GCRA)."""

from __future__ import annotations


class Pace:
    """The tenants' budgets of new calls; a tenant that begins too many costs no other anything."""

    __slots__ = ("_due",)

    def __init__(self) -> None:
        self._due: dict[str, float] = {}

    def take(self, tenant: str, rate: int, at: float) -> bool:
        """Whether one more may begin at `at`; it is counted when it may."""
        interval = 1.0 / rate
        due = self._due.get(tenant, 0.0)
        # A clock that was set back must not close the tenant for so long.
        if due - at > 1.0 + interval:
            due = at
        if due - at > 1.0 - interval + 1e-9:
            return False
        self._due[tenant] = max(due, at) + interval
        return True
