"""What happened, as `Endpoint` tells it to the transaction user. One frozen value per fact, past tense."""

from __future__ import annotations

from enum import Enum
from typing import NewType

from sipcore.flow import Address, Flow
from sipcore.message import Request, Response
from sipcore.values import value_object

TransactionId = NewType("TransactionId", int)
DialogId = NewType("DialogId", int)


class Failure(Enum):
    """Why a client transaction ended without a final response."""

    TIMEOUT = "timeout"
    TRANSPORT = "transport"
    RESOLVE = "resolve"


@value_object(frozen=True, slots=True)
class RequestReceived:
    """A new request that passed the gate, dialog and CSeq checks. ACK and CANCEL have events of their own.

    An out-of-dialog INVITE (or SUBSCRIBE, REFER) carries the id of the dialog that a 1xx/2xx will create.
    `identity` is what the gate said in its `Admit`. The transaction user owes `Endpoint.respond`.
    """

    transaction: TransactionId
    request: Request
    flow: Flow
    dialog: DialogId | None
    in_dialog: bool
    identity: object | None


@value_object(frozen=True, slots=True)
class AckReceived:
    """The first ACK to our 2xx; `request.body` holds the answer of a late offer."""

    dialog: DialogId
    request: Request


@value_object(frozen=True, slots=True)
class CancelReceived:
    """The INVITE server transaction was cancelled in time: 200 and 487 are already sent."""

    transaction: TransactionId
    request: Request


@value_object(frozen=True, slots=True)
class ResponseReceived:
    """A response to our request, provisional or final. Each 2xx of a forked INVITE is reported, with its dialog;

    a retransmitted 2xx is answered with the stored ACK and not reported again. `sent_to` is where the request went:
    a response may come from elsewhere, and then deserves less trust.
    """

    transaction: TransactionId
    response: Response
    flow: Flow
    dialog: DialogId | None
    sent_to: Address | None = None
    # RFC 3262: the transaction user owes `Endpoint.prack`.
    is_reliable: bool = False


@value_object(frozen=True, slots=True)
class RequestFailed:
    """Our request got no final response."""

    transaction: TransactionId
    failure: Failure


@value_object(frozen=True, slots=True)
class ProvisionalAcknowledged:
    """PRACK without a description for our reliable response; 200 is already sent."""

    dialog: DialogId
    transaction: TransactionId


@value_object(frozen=True, slots=True)
class PrackTimedOut:
    """No PRACK came within 64*T1 (RFC 3262 §3): the transaction user rejects the INVITE with a 5xx."""

    dialog: DialogId
    transaction: TransactionId


@value_object(frozen=True, slots=True)
class AckTimedOut:
    """No ACK came for our 2xx within 64*T1 (RFC 3261 §13.3.1.4): the transaction user sends BYE."""

    dialog: DialogId


@value_object(frozen=True, slots=True)
class DialogEnded:
    """The dialog is gone from the table: BYE either way, a failed early dialog, or 481/408 in it (RFC 5057)."""

    dialog: DialogId


@value_object(frozen=True, slots=True)
class RelayReceived:
    """A request that is to be proxied and starts something: the transaction user owes `Endpoint.relay` or `respond`."""

    transaction: TransactionId
    request: Request
    flow: Flow
    identity: object | None


@value_object(frozen=True, slots=True)
class RelayEnded:
    """The first final response to a proxied request has gone back; `response` is None for one of our own making."""

    transaction: TransactionId
    request: Request
    status: int
    response: Response | None


@value_object(frozen=True, slots=True)
class RelayedInDialog:
    """A request within a dialog that was proxied has passed: an ACK, a re-INVITE, a BYE."""

    request: Request
    flow: Flow


@value_object(frozen=True, slots=True)
class MessageDropped:
    """Bytes that got no reaction, with the counter's name."""

    reason: str
    flow: Flow


Event = (
    RequestReceived
    | AckReceived
    | ProvisionalAcknowledged
    | PrackTimedOut
    | CancelReceived
    | ResponseReceived
    | RequestFailed
    | AckTimedOut
    | DialogEnded
    | RelayReceived
    | RelayEnded
    | RelayedInDialog
    | MessageDropped
)
