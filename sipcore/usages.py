"""How far a final response reaches beyond its transaction: the table of RFC 5057 §5.1.

A dialog may have several usages: an INVITE's, and subscriptions. A response to a request within the dialog says
something of that request only, of the usage that it belongs to, or of the dialog with all its usages.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class Reach(Enum):
    """What is over after a response."""

    TRANSACTION = "transaction"
    # The usage of the request when that is a subscription (RFC 6665 §4.1.2.3); of a call only the transaction.
    SUBSCRIPTION = "subscription"
    USAGE = "usage"
    DIALOG = "dialog"


_T, _S, _U, _D = Reach.TRANSACTION, Reach.SUBSCRIPTION, Reach.USAGE, Reach.DIALOG

# What is not here reaches as far as the x00 of its class (RFC 3261 §8.1.3.2): the transaction.
REACH: Final[dict[int, Reach]] = {
    300: _T,
    400: _T,
    401: _T,
    402: _T,
    403: _T,
    404: _D,  # "the remote target" is not known: it is the same for all usages
    405: _S,  # the peer never takes SUBSCRIBE
    406: _T,
    407: _T,
    408: _U,  # as no response at all
    410: _D,
    412: _T,
    413: _T,
    414: _T,
    415: _T,
    416: _D,  # the scheme of the remote target
    417: _T,
    420: _T,
    421: _T,
    422: _T,
    423: _T,
    428: _T,
    429: _T,
    436: _T,
    437: _T,
    438: _T,
    480: _S,
    481: _U,  # the peer has lost this usage
    482: _D,
    483: _D,
    484: _D,
    485: _D,
    486: _T,
    487: _T,
    488: _T,
    489: _S,
    491: _T,
    493: _T,
    494: _T,
    500: _T,
    501: _S,
    502: _D,
    503: _T,
    504: _T,
    505: _T,
    513: _T,
    580: _T,
    600: _T,
    603: _T,
    604: _D,
    606: _T,
}


def reach_of(status: int) -> Reach:
    """What is over after a final response to a request within a dialog."""
    return REACH.get(status, Reach.TRANSACTION)
