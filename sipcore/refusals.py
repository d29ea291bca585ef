"""Why the protocol itself refuses a request, before or beside what the transaction user says of it.

Whoever makes an endpoint may let each refusal tell more than its status does (`RefusalHeaders`): sipcore knows no ids.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final

from sipcore.flow import Flow
from sipcore.transaction import HeaderPairs


class Refusal(Enum):
    """One cause each, and the status for it; of UNREADABLE and UNROUTABLE the status is the usual one of several."""

    def __init__(self, status: int, _cause: str) -> None:
        self.status: Final = status

    # The request as it is
    UNREADABLE = 400, "it breaks the grammar or a limit"
    UNKNOWN_SCHEME = 416, "its URI is neither sip, sips nor tel"
    UNKNOWN_EXTENSION = 420, "it requires an extension that is not there"
    MERGED = 482, "it came by another way too"
    LOOPED = 482, "it was here before, the same"
    TOO_MANY_HOPS = 483, "Max-Forwards is used up"
    TABLE_FULL = 503, "there are as many transactions as there may be"

    # What it belongs to
    NO_DIALOG = 481, "its dialog is not there, or ends"
    NO_SUBSCRIPTION = 481, "the dialog of its subscription is not there, or ends"
    NOTHING_TO_CANCEL = 481, "there is no transaction that it could cancel"
    NOTHING_TO_PRACK = 481, "it acknowledges no provisional response that waits"
    UNREADABLE_RACK = 400, "its RAck is missing or cannot be read"
    OUT_OF_ORDER = 500, "its CSeq is not above that of the one before"
    OVERLAPPING = 500, "the same peer's change before it has no answer yet"
    CROSSING = 491, "a change of ours is under way"

    # An INVITE that somebody ended
    CANCELLED = 487, "CANCEL came"
    HUNG_UP = 487, "its dialog ends by BYE"

    # Nothing was said of it, or nothing came of it
    FAILED = 500, "whoever was to answer it failed"
    NO_TARGET = 480, "the proxy has no target for it"
    TOO_BROAD = 440, "Max-Breadth is less than it has targets at once"
    NO_RESPONSE = 408, "no target answered the proxy"
    FLOW_GONE = 430, "the flow that its Route names is gone"
    NEXT_HOP_FAILED = 500, "the next hop of the proxy is out of order"
    BAD_RESPONSE = 502, "what the next hop answered cannot be passed on"
    UNROUTABLE = 400, "the proxy can send it nowhere"


# Further headers for a response on this flow. It is asked for each, so that it had better keep what it makes.
RefusalHeaders = Callable[[Refusal, Flow], HeaderPairs]


def no_headers(refusal: Refusal, flow: Flow) -> HeaderPairs:
    """A refusal that says no more than its status."""
    return ()
