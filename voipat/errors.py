"""CallOutcome                        how a call ended; not a fault, so no "Error" suffix
├─ Rejected(reason, status)        the callee, or we in its place, said no
│  ├─ NoAnswer                     nobody picked up in time
│  └─ Redirected(contacts)         the callee is elsewhere, where the call does not go by itself
├─ Cancelled                       the caller gave up before the answer
├─ HungUp(by, reason)              somebody ended the call
└─ Transferred                     the call goes on with another handler

They unwind a handler: one that it does not catch decides the response or the BYE, by its `reason`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sipcore.uri import Uri
    from voipat.reasons import Reason


class CallOutcome(Exception):
    """How a call, or an attempt to call, ended; `reason` is what the wire, the CDR and the log are told."""

    by: str = "server"

    def __init__(self, reason: Reason, *, status: int | None = None) -> None:
        super().__init__(f"{reason.id} {reason.text}")
        self.reason = reason
        self.status = reason.status if status is None else status


class Rejected(CallOutcome):
    """No target took the call; `status` is the SIP status for the caller, `by` is "callee" or "server"."""

    def __init__(self, reason: Reason, *, status: int | None = None, by: str = "server") -> None:
        super().__init__(reason, status=status)
        self.by = by


class NoAnswer(Rejected):
    """Nobody picked up in time; `refused` are those of the users dialled who did not let it ring until then."""

    def __init__(
        self,
        reason: Reason,
        *,
        status: int | None = None,
        by: str = "server",
        refused: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(reason, status=status, by=by)
        self.refused = refused


class Redirected(Rejected):
    """The callee is elsewhere (3xx), where the call does not go by itself; `contacts` say where, best first."""

    def __init__(self, reason: Reason, contacts: Sequence[Uri], *, by: str = "callee") -> None:
        super().__init__(reason, by=by)
        self.contacts = tuple(contacts)


class Cancelled(CallOutcome):
    """The caller gave up before the answer."""

    by = "caller"


class Transferred(CallOutcome):
    """The call was transferred: another handler has it, and this one has nothing left to do with it."""


class HungUp(CallOutcome):
    """The call is over; `by` is "caller", "callee" or "server"."""

    def __init__(self, reason: Reason, *, by: str) -> None:
        super().__init__(reason)
        self.by = by
