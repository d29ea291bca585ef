"""Who heard, took out or destroyed what, who listened to whom: rows that nobody can leave out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, Protocol

from media.sealed import RandomBytes
from pbx.store.base import AuditRecord

log: Final = logging.getLogger(__name__)

OPERATOR: Final = "operator"


class AuditRows(Protocol):
    """One tenant's rows."""

    def save_audit(self, record: AuditRecord) -> bool: ...


class AuditStores(Protocol):
    """Where the rows are."""

    def tenant(self, domain: str) -> AuditRows: ...


class Audit:
    """Writes what was done, and what was refused; to the log too, for a store that is full keeps nothing."""

    def __init__(
        self, stores: AuditStores | None, *, wallclock: Callable[[], float], random_bytes: RandomBytes
    ) -> None:
        self._stores = stores
        self._wallclock = wallclock
        self._random_bytes = random_bytes

    def note(self, tenant: str, actor: str, action: str, what: str, *, allowed: bool = True) -> None:
        """`actor` is an extension's number or OPERATOR, `action` one word, `what` an id or a number."""
        row = AuditRecord(self._random_bytes(8).hex(), self._wallclock(), actor, action, what, allowed)
        said = {"tenant": tenant, "actor": actor, "action": action, "object": what, "allowed": allowed}
        log.info("audit", extra=said)
        if self._stores is not None:
            self._stores.tenant(tenant).save_audit(row)
