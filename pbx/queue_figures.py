"""What a queue did in a day: how many came, how soon they were answered, who gave up.

Kept with the tenant's state, so that a restart loses nothing of the day. Each caller is counted in the day that the
call began in, and in one of `answered`, `abandoned`, `elsewhere` and `callbacks`, or still waits. Who is called back
is `called_back` and in no other figure: the wait was not spent at the telephone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from pbx.tenant_state import TenantState
from voipat.events import QueueLeftWhy

FIGURES: Final = "figures"
# Calls that began before midnight end after it.
_DAYS_KEPT: Final = 2


@dataclass(slots=True)
class Figures:
    """The counts of one day; `in_time` are those answered within `sla_s`, `waited_s` what the answered waited."""

    offered: int = 0
    answered: int = 0
    in_time: int = 0
    abandoned: int = 0
    elsewhere: int = 0
    callbacks: int = 0
    called_back: int = 0
    waited_s: float = 0.0
    longest_wait_s: float = 0.0

    def left(self, why: QueueLeftWhy, wait_s: float, sla_s: float) -> None:
        """Somebody waits no more."""
        self.longest_wait_s = max(self.longest_wait_s, wait_s)
        match why:
            case "answered":
                self.answered += 1
                self.waited_s += wait_s
                self.in_time += wait_s <= sla_s
            case "abandoned":
                self.abandoned += 1
            case "elsewhere":
                self.elsewhere += 1
            case "callback":
                self.callbacks += 1

    @property
    def shown(self) -> dict[str, object]:
        """As rows have it; a percentage of nobody is None."""
        percent = round(100 * self.in_time / self.offered, 1) if self.offered else None
        average = round(self.waited_s / self.answered, 1) if self.answered else None
        counts = {key: value for key, value in asdict(self).items() if isinstance(value, int)}
        longest = round(self.longest_wait_s, 1)
        return {**counts, "in_time_percent": percent, "average_wait_s": average, "longest_wait_s": longest}


def owner_of(queue: str) -> str:
    """What the state of a queue is kept under."""
    return f"queue/{queue}"


def day_of(at: float, time_zone: str) -> str:
    """The day of a wallclock where the tenant is."""
    return datetime.fromtimestamp(at, ZoneInfo(time_zone)).date().isoformat()


def figures_of(state: TenantState, queue: str, day: str) -> Figures:
    """The figures of a queue on a day."""
    return _restored(_days(state, queue).get(day, {}))


def shown_days(state: TenantState, queue: str) -> dict[str, object]:
    """The days that are kept, today and the last one before, as rows have them."""
    return {day: _restored(values).shown for day, values in _days(state, queue).items()}


def save_figures(state: TenantState, queue: str, day: str, figures: Figures) -> None:
    """Keep them."""
    days = {**_days(state, queue), day: asdict(figures)}
    state.set(owner_of(queue), FIGURES, json.dumps({name: days[name] for name in sorted(days)[-_DAYS_KEPT:]}))


def _days(state: TenantState, queue: str) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = json.loads(state.get(owner_of(queue), FIGURES) or "{}")
    return found


def _restored(values: Mapping[str, Any]) -> Figures:
    """Keys of another version are passed over."""
    known = {each.name for each in fields(Figures)}
    return Figures(**{name: value for name, value in values.items() if name in known})
