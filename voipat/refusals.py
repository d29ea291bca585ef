"""What the SIP stack refuses by itself, with the ids of our registry."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from sipcore.flow import Address, Flow
from sipcore.refusals import Refusal
from sipcore.transaction import HeaderPairs
from voipat import reasons
from voipat.reasons import Reason

REASON_OF: Final[Mapping[Refusal, Reason]] = MappingProxyType(
    {
        Refusal.UNREADABLE: reasons.UNREADABLE,
        Refusal.UNKNOWN_SCHEME: reasons.UNKNOWN_SCHEME,
        Refusal.UNKNOWN_EXTENSION: reasons.UNKNOWN_EXTENSION,
        Refusal.MERGED: reasons.MERGED,
        Refusal.LOOPED: reasons.CALL_LOOP,
        Refusal.TOO_MANY_HOPS: reasons.TOO_MANY_HOPS,
        Refusal.TABLE_FULL: reasons.TOO_MANY_TRANSACTIONS,
        Refusal.NO_DIALOG: reasons.NO_SUCH_CALL,
        Refusal.NO_SUBSCRIPTION: reasons.NO_SUCH_SUBSCRIPTION,
        Refusal.NOTHING_TO_CANCEL: reasons.NOTHING_TO_CANCEL,
        Refusal.NOTHING_TO_PRACK: reasons.NOTHING_TO_PRACK,
        Refusal.UNREADABLE_RACK: reasons.UNREADABLE_RACK,
        Refusal.OUT_OF_ORDER: reasons.REQUEST_OUT_OF_ORDER,
        Refusal.OVERLAPPING: reasons.CHANGE_OVERLAPS,
        Refusal.CROSSING: reasons.CHANGE_PENDING,
        Refusal.CANCELLED: reasons.CALLER_GAVE_UP,
        Refusal.HUNG_UP: reasons.HUNG_UP_MEANWHILE,
        Refusal.FAILED: reasons.INTERNAL_ERROR,
        Refusal.NO_TARGET: reasons.NO_TARGET,
        Refusal.TOO_BROAD: reasons.TOO_MANY_TARGETS,
        Refusal.NO_RESPONSE: reasons.NO_RESPONSE,
        Refusal.FLOW_GONE: reasons.FLOW_GONE,
        Refusal.NEXT_HOP_FAILED: reasons.NEXT_HOP_FAILED,
        Refusal.BAD_RESPONSE: reasons.BAD_RESPONSE,
        Refusal.UNROUTABLE: reasons.UNROUTABLE,
    }
)


def refusal_headers(refusal: Refusal, flow: Flow) -> HeaderPairs:
    """The Warning with our id."""
    return _warning(refusal, flow.local)


@lru_cache(maxsize=1024)
def _warning(refusal: Refusal, local: Address) -> HeaderPairs:
    return (REASON_OF[refusal].warning(str(local)),)
