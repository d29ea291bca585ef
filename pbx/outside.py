"""What calls to the outside may cost: at once, in a minute, in a day, for an extension and its tenant.

Rates and days are part of the tenant's state, so a crash gives nobody a new allowance (security.md H20). A rate of n a
minute is one number: the time at which the next call would be due if they came evenly (GCRA, ITU-T I.371 annex A).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from pbx.admission import Admission, Limit
from pbx.tenant_state import TenantState
from pbx.tenants import TenantConfig
from voipat import Rejected, reasons

MINUTE_S: Final = 60.0
TENANT: Final = "tenant"


@contextmanager
def outside_place(
    admission: Admission, tenant: TenantConfig, state: TenantState, extension: str, at: float
) -> Iterator[None]:
    """A place for one outside call that `extension` ("": the tenant itself) pays. Raises: Rejected when it is taken.

    What counts over time is counted when there is a place: a call that finds none uses up nothing of the day.
    """
    limits = tenant.plan.limits
    payer = tenant.extensions.get(extension)
    of_payer = None if payer is None else payer.outside_calls
    rates = [(TENANT, limits.outside_calls_per_minute)]
    if payer is not None:
        rates.append((extension, payer.outside_calls_per_minute))
    places = admission.places(
        Limit((tenant.domain, "outside"), limits.outside_calls, reasons.OUTSIDE_LIMIT),
        Limit((tenant.domain, "extension", extension, "outside"), of_payer, reasons.OUTSIDE_LIMIT),
    )
    with places:
        _count(state, rates, limits.outside_calls_per_day, at)
        yield


def _count(state: TenantState, rates: list[tuple[str, int | None]], per_day: int | None, at: float) -> None:
    """Take one of each allowance, or none. Raises: Rejected."""
    due = []
    for owner, rate in rates:
        if rate is not None:
            due.append((owner, next_due(float(state.get(owner, "outside.due") or 0.0), rate, at)))
    if per_day is not None:
        today = datetime.fromtimestamp(at, UTC).date().isoformat()
        day, _, used = (state.get(TENANT, "outside.day") or "").partition(" ")
        count = int(used) if day == today else 0
        if count >= per_day:
            raise Rejected(reasons.OUTSIDE_LIMIT)
        state.set(TENANT, "outside.day", f"{today} {count + 1}")
    for owner, moment in due:
        state.set(owner, "outside.due", repr(moment))


def next_due(due: float, rate: int, at: float) -> float:
    """When the next call would be due after one at `at`. Raises: Rejected when `rate` a minute are used up."""
    interval = MINUTE_S / rate
    # A clock that was set back must not close the way out for so long.
    if due - at > MINUTE_S + interval:
        due = at
    if due - at > MINUTE_S - interval + 1e-6:
        raise Rejected(reasons.OUTSIDE_LIMIT)
    return max(due, at) + interval
