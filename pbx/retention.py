"""How long each kind of data is kept: a class per table, and a sweep in bounded slices.

Defaults: CDRs and audit 12 months. What a tenant keeps of its own CDRs wins over the server's.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pbx.config_table import integer
from pbx.objects.shape import option

if TYPE_CHECKING:
    from pbx.store.base import Store
    from pbx.tenants import TenantConfig

DAY_S: Final = 86400.0
YEAR_DAYS: Final = 365
MOST_DAYS: Final = 36_500
# Rows in one transaction: 10 ms of the writer in a table of a million CDRs (500 rows: 50 ms), so that a new CDR
# never waits long behind a sweep.
SWEEP_ROWS: Final = 100


class RetentionClass(enum.Enum):
    """Why a row may be there, which says when it must go."""

    CDR = "cdr"
    BINDING = "binding"  # while the registration is valid
    CONFIGURATION = "configuration"  # until its owner removes it
    RECORDING = "recording"  # until somebody deletes it, or as long as its tenant says
    AUDIT = "audit"
    MESSAGE = "message"  # until the owner of the mailbox deletes it
    TEXT = "text"  # until a phone has taken it, or as long as its tenant says
    INTERNAL = "internal"  # about the store itself; nothing of a person


@dataclass(frozen=True, slots=True)
class RetentionConfig:
    """The table `[server.retention]`: days that CDRs and audit are kept."""

    cdr_days: int = option(integer(1, MOST_DAYS), YEAR_DAYS)
    audit_days: int = option(integer(1, MOST_DAYS), YEAR_DAYS)


DEFAULT_RETENTION: Final = RetentionConfig()


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """Seconds to keep each class that ages; `cdr_s_of` of tenants that say it themselves."""

    cdr_s: float = YEAR_DAYS * DAY_S
    audit_s: float = YEAR_DAYS * DAY_S
    cdr_s_of: Mapping[str, float] = field(default_factory=dict)


def policy_of(wanted: RetentionConfig, tenants: Iterable[TenantConfig], gone: Collection[str] = ()) -> RetentionPolicy:
    """What the configuration says; of tenants that are `gone` nothing is kept."""
    days = {tenant.domain: tenant.plan.limits.cdr_days for tenant in tenants}
    own = {domain: kept * DAY_S for domain, kept in days.items() if kept}
    return RetentionPolicy(wanted.cdr_days * DAY_S, wanted.audit_days * DAY_S, {**own, **dict.fromkeys(gone, 0.0)})


@dataclass(frozen=True, slots=True)
class SweepReport:
    """Rows removed by one slice; `more` when the slice was full, so another should follow."""

    cdrs: int
    bindings: int
    audit: int
    more: bool


def sweep(store: Store, policy: RetentionPolicy, wallclock: float, *, rows: int = SWEEP_ROWS) -> SweepReport:
    """Remove up to `rows` rows of each class whose time is over. Blocks on the disk: for a thread.

    The caller repeats it while `more`, with a pause of its own between the slices.
    """
    own = {domain: wallclock - kept for domain, kept in policy.cdr_s_of.items()}
    cdrs = store.remove_cdrs(before=wallclock - policy.cdr_s, limit=rows, before_of=own)
    bindings = store.remove_expired_bindings(wallclock, limit=rows)
    audit = store.remove_audit(before=wallclock - policy.audit_s, limit=rows)
    return SweepReport(cdrs, bindings, audit, more=rows in (cdrs, bindings, audit))
