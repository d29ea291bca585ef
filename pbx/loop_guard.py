"""A call that was forwarded too often ends here: RFC 5806, RFC 7044, RFC 5393 for back-to-back user agents.

Max-Forwards ends a circle after seventy legs; a circle of forwards rings phones on its way, and may cost money each
time, so it ends after ten, counted over all that the call says of its past.
"""

from __future__ import annotations

from typing import Final

from voipat import Call, Rejected, TrunkIdentity, reasons

MAX_FORWARDS: Final = 10


def forwards_of(call: Call) -> int:
    """How often a call was forwarded before it came here, as Diversion and History-Info say."""
    identity = call.identity
    diversions = len(identity.diversions) if isinstance(identity, TrunkIdentity) else 0
    return max(diversions, len(call.header_values("Diversion")), len(call.header_values("History-Info")) - 1)


def refuse_loop(call: Call, forwarded: int = 0) -> None:
    """Raises: Rejected with 482 when the call's past and `forwarded` more forwards of ours are too many."""
    if forwards_of(call) + forwarded > MAX_FORWARDS:
        raise Rejected(reasons.CALL_LOOP)
