"""What a phone's refusal means to the caller, and which of several refusals is told (RFC 3261 §16.7 step 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from sipcore.errors import NegotiationError, SecurityError
from sipcore.events import Failure
from voipat import reasons
from voipat.reasons import Reason

_BY_STATUS: Final = {
    401: reasons.CALLEE_CHALLENGED,
    407: reasons.CALLEE_CHALLENGED,
    404: reasons.CALLEE_REFUSED,
    408: reasons.UNREACHABLE,
    430: reasons.UNREACHABLE,
    480: reasons.NO_ANSWER,
    486: reasons.BUSY,
    488: reasons.NO_COMMON_CODEC,
    600: reasons.BUSY,
    603: reasons.DECLINED,
    606: reasons.NO_COMMON_CODEC,
}
# RFC 3398 §7.2.6.1, backwards: what a network says of its callee, whatever status its gateway makes of it (RFC 6432).
_BY_CAUSE: Final = {
    1: reasons.UNALLOCATED,
    2: reasons.TRUNK_UNAVAILABLE,
    3: reasons.TRUNK_UNAVAILABLE,
    17: reasons.BUSY,
    18: reasons.NO_ANSWER,
    19: reasons.NO_ANSWER,
    20: reasons.NO_ANSWER,
    21: reasons.DECLINED,
    22: reasons.UNALLOCATED,
    28: reasons.INVALID_NUMBER,
    34: reasons.TRUNK_UNAVAILABLE,
    38: reasons.TRUNK_UNAVAILABLE,
    41: reasons.TRUNK_UNAVAILABLE,
    42: reasons.TRUNK_UNAVAILABLE,
}
# What a gateway says of the way on from it, and the caller is to know; of a phone it says nothing.
_FURTHER_ON: Final = {
    482: reasons.CALL_LOOP,
    483: reasons.TOO_MANY_HOPS,
    484: reasons.INVALID_NUMBER,
}
# Q.850: normal call clearing, and normal without more to say.
_NORMAL_CAUSES: Final = frozenset({16, 31})
# What tells the caller most comes first.
_PREFERENCE: Final = (
    reasons.BUSY,
    reasons.CALLEE_LIMIT,
    reasons.DECLINED,
    reasons.NO_ANSWER,
    reasons.MEDIA_NOT_SECURE,
    reasons.NO_COMMON_CODEC,
    reasons.CALLEE_REFUSED,
    reasons.REDIRECTED,
    reasons.NO_MEDIA_PORT,
)


def reason_of_status(status: int) -> Reason:
    """Ours for a phone's final response; nothing of the phone's own is passed on."""
    if 300 <= status < 400:
        return reasons.REDIRECTED
    return _BY_STATUS.get(status, reasons.CALLEE_REFUSED)


def reason_of_failure(failure: Failure) -> Reason:
    """Ours for an INVITE without a final response."""
    return reasons.BAD_TARGET if failure is Failure.RESOLVE else reasons.UNREACHABLE


def reason_of_gateway(status: int, cause: int | None = None) -> Reason:
    """Ours for a gateway's final response: what speaks of the gateway itself is told apart from what its callee did.

    `cause` is that of Q.850 in its Reason, which knows more than the status.
    """
    if status in (401, 407):
        return reasons.TRUNK_CREDENTIALS
    if cause is not None and cause in _BY_CAUSE:
        return _BY_CAUSE[cause]
    if status in (404, 410, 604):
        return reasons.UNALLOCATED
    if status in _FURTHER_ON:
        return _FURTHER_ON[status]
    if status == 408 or 500 <= status < 600:
        return reasons.TRUNK_UNAVAILABLE
    return reason_of_status(status)


def reason_of_bye(cause: int | None) -> Reason:
    """Ours for a BYE: that somebody hung up, or the cause of Q.850 for which a network gave the call up."""
    if cause is None or cause in _NORMAL_CAUSES:
        return reasons.NORMAL_CLEARING
    return replace(reasons.NETWORK_CLEARED, q850=cause)


def reason_of_negotiation(error: NegotiationError) -> Reason:
    """Ours for an offer or answer that came to nothing."""
    return reasons.MEDIA_NOT_SECURE if isinstance(error, SecurityError) else reasons.NO_COMMON_CODEC


def best_refusal(refusals: Sequence[Reason]) -> Reason:
    """The one to tell the caller of."""
    for reason in _PREFERENCE:
        if reason in refusals:
            return reason
    return refusals[0] if refusals else reasons.NOT_REGISTERED
