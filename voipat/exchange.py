"""The SIP side of an App: sends through the endpoint, and gives each event to whom it concerns.

Tables: our requests by transaction, calls by dialog, unanswered INVITEs by transaction. All are empty when nothing
is under way. A 2xx that nobody waits for any more is acknowledged and hung up at once (RFC 3261 §13.2.2.4).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from sipcore.aio.driver import Driver
from sipcore.endpoint import Endpoint
from sipcore.errors import LocalProtocolError
from sipcore.events import (
    AckReceived,
    AckTimedOut,
    CancelReceived,
    DialogEnded,
    DialogId,
    Event,
    MessageDropped,
    PrackTimedOut,
    ProvisionalAcknowledged,
    RelayedInDialog,
    RelayEnded,
    RelayReceived,
    RequestFailed,
    RequestReceived,
    ResponseReceived,
    TransactionId,
)
from sipcore.flow import Flow
from sipcore.message import Request
from sipcore.proxy import Search
from voipat import reasons
from voipat.gateway import Credentials
from voipat.reasons import Reason
from voipat.recorder import Recorder

logger: Final = logging.getLogger("voipat")

Headers = Sequence[tuple[str, str]]

# Times that one request is sent again because its nonce was stale; a gateway whose nonces always are is not followed.
MAX_ANSWERS: Final = 3


class Requester(Protocol):
    """Waits for the responses to one request of ours."""

    def on_response(self, event: ResponseReceived) -> None: ...

    def on_failure(self, event: RequestFailed) -> None: ...


class DialogUser(Protocol):
    """What a dialog belongs to."""

    def on_request(self, event: RequestReceived) -> None: ...

    def on_ack(self, request: Request) -> None: ...

    def on_ack_timeout(self) -> None: ...

    def on_dialog_ended(self) -> None: ...


class Cancellable(Protocol):
    """An INVITE that has no final response yet."""

    def on_cancel(self, request: Request) -> None: ...

    def on_prack(self) -> None:
        """A PRACK without a description."""
        ...

    def on_prack_timeout(self) -> None: ...


class Exchange:
    """Verbs of the endpoint, executed at once, and the tables of who waits for what."""

    def __init__(
        self, endpoint: Endpoint, on_request: Callable[[RequestReceived], None], recorder: Recorder | None = None
    ) -> None:
        self.endpoint: Final = endpoint
        self.counters: Final[Counter[str]] = Counter()
        self.requesters: Final[dict[TransactionId, Requester]] = {}
        self.dialogs: Final[dict[DialogId, DialogUser]] = {}
        self.invites: Final[dict[TransactionId, Cancellable]] = {}
        # Dialogs with gateways that may want credentials for what we send within them.
        self.credentials: Final[dict[DialogId, Credentials]] = {}
        self._on_request = on_request
        self._recorder = recorder
        # The driver that sends for us; there is none before the start of the App.
        self.driver: Driver
        # Whose affair proxied requests are; set by the App that has a proxy.
        self.on_relayed: Callable[[RelayReceived | RelayEnded | RelayedInDialog], None] | None = None

    def attach(self, driver: Driver) -> None:
        """Send by this driver."""
        self.driver = driver

    def now(self) -> float:
        return self.driver.now()

    # Verbs

    def respond(
        self,
        transaction: TransactionId,
        status: int,
        headers: Headers = (),
        body: bytes = b"",
        *,
        reliable: bool = False,
    ) -> None:
        """Answer a request; too late is nothing."""
        driver = self.driver
        driver.execute(
            self.endpoint.respond(transaction, status, driver.now(), headers=headers, body=body, reliable=reliable)
        )

    def refuse(self, event: RequestReceived, reason: Reason, headers: Headers = ()) -> None:
        """Answer a request with our reason."""
        self.respond(event.transaction, reason.status, (*headers, reason.warning(str(event.flow.local))))

    def relay(self, transaction: TransactionId, search: Search) -> None:
        """Proxy a request to its targets."""
        driver = self.driver
        driver.execute(self.endpoint.relay(transaction, search, driver.now()))

    def failed(self, what: str, call_id: str) -> None:
        """Log the exception of the user's code that is being handled, and count it."""
        self.counters["handler_errors"] += 1
        logger.exception(what, extra={"call_id": call_id})

    def send(self, requester: Requester, request: Request, flow: Flow | None) -> TransactionId:
        """Send a request outside of any dialog. Raises: LocalProtocolError."""
        driver = self.driver
        transaction = self.endpoint.new_transaction()
        self.requesters[transaction] = requester
        driver.execute(self.endpoint.send(transaction, request, driver.now(), flow=flow))
        return transaction

    def send_in_dialog(
        self, requester: Requester, dialog: DialogId, method: str, headers: Headers = (), body: bytes = b""
    ) -> None:
        """Send a request within a dialog. Raises: LocalProtocolError with the status to refuse with."""
        driver = self.driver
        transaction = self.endpoint.new_transaction()
        if dialog in self.credentials:
            requester = Challenged(self, requester, dialog, method, headers, body)
        outputs = self.endpoint.send_in_dialog(dialog, transaction, method, driver.now(), headers=headers, body=body)
        self.requesters[transaction] = requester
        driver.execute(outputs)

    def cancel(self, transaction: TransactionId, reason: Reason, credentials: Credentials | None = None) -> None:
        """Give up an INVITE of ours: CANCEL, or ACK and BYE (with `credentials`, if asked for) when its 2xx crosses."""
        if transaction not in self.requesters:
            return
        self.requesters[transaction] = _Abandoned(self, reason, credentials)
        driver = self.driver
        driver.execute(self.endpoint.cancel(transaction, driver.now(), headers=_reason_headers(reason)))

    def may_ask(self, dialog: DialogId, credentials: Credentials) -> None:
        """The gateway at the other end of a dialog may challenge what we send within it; nobody else may."""
        view = self.endpoint.dialog(dialog)
        if view is not None and dialog not in self.credentials:
            credentials.host = view.flow.remote.host
            self.credentials[dialog] = credentials

    def ack(self, dialog: DialogId, body: bytes = b"") -> None:
        """Acknowledge the 2xx to our INVITE."""
        driver = self.driver
        headers = (("Content-Type", "application/sdp"),) if body else ()
        driver.execute(self.endpoint.ack(dialog, driver.now(), headers=headers, body=body))

    def prack(self, dialog: DialogId) -> None:
        """Acknowledge a reliable provisional response; nothing when the dialog is gone meanwhile."""
        driver = self.driver
        transaction = self.endpoint.new_transaction()
        try:
            outputs = self.endpoint.prack(dialog, transaction, driver.now())
        except LocalProtocolError:
            self.counters["pracks_late"] += 1
            return
        if dialog in self.credentials:
            self.requesters[transaction] = Challenged(self, None, dialog, "PRACK")
        driver.execute(outputs)

    def bye(self, dialog: DialogId, reason: Reason) -> None:
        """Hang up."""
        driver = self.driver
        if (credentials := self.credentials.get(dialog)) is not None:
            credentials.reason = reason
        driver.execute(self.endpoint.bye(dialog, driver.now(), headers=_reason_headers(reason)))

    # Events

    def on_event(self, event: Event) -> None:
        """Give it to whom it concerns."""
        if isinstance(event, RequestReceived):
            if event.in_dialog:
                self._received_in_dialog(event)
            else:
                self._on_request(event)
        elif isinstance(event, ResponseReceived):
            self._responded(event)
        elif isinstance(event, RequestFailed):
            requester = self.requesters.pop(event.transaction, None)
            if requester is not None:
                requester.on_failure(event)
        elif isinstance(event, CancelReceived):
            invite = self.invites.pop(event.transaction, None)
            if invite is not None:
                invite.on_cancel(event.request)
        elif isinstance(event, (RelayReceived, RelayEnded, RelayedInDialog)):
            if self.on_relayed is not None:
                self.on_relayed(event)
        elif isinstance(event, (PrackTimedOut, ProvisionalAcknowledged)):
            self._about_progress(event)
        elif not isinstance(event, MessageDropped):
            self._in_dialog(event)
        elif self._recorder is not None:
            self._recorder.dropped(event.reason)

    def _about_progress(self, event: PrackTimedOut | ProvisionalAcknowledged) -> None:
        invite = self.invites.get(event.transaction)
        if isinstance(event, ProvisionalAcknowledged):
            self.counters["provisionals_acknowledged"] += 1
        if invite is None:
            return
        if isinstance(event, ProvisionalAcknowledged):
            invite.on_prack()
        else:
            invite.on_prack_timeout()

    def _received_in_dialog(self, event: RequestReceived) -> None:
        user = None if event.dialog is None else self.dialogs.get(event.dialog)
        if user is not None:
            user.on_request(event)
        elif event.request.method == "BYE":
            self.respond(event.transaction, 200)
        else:
            self.refuse(event, reasons.NO_SUCH_CALL)

    def _responded(self, event: ResponseReceived) -> None:
        status = event.response.status
        if status < 200:
            requester = self.requesters.get(event.transaction)
        else:
            requester = self.requesters.pop(event.transaction, None)
        if requester is not None:
            requester.on_response(event)
        elif status in (401, 407) and event.response.cseq.method == "BYE":
            self._bye_challenged(event)
        elif 200 <= status < 300 and event.dialog is not None and event.response.cseq.method == "INVITE":
            self.hang_up(event.dialog, reasons.COMPLETED_ELSEWHERE)

    def _bye_challenged(self, event: ResponseReceived) -> None:
        """A gateway that would go on with the call, and charge for it."""
        credentials = None if event.dialog is None else self.credentials.get(event.dialog)
        if event.dialog is not None and credentials is not None and credentials.reason is not None:
            Challenged(self, None, event.dialog, "BYE", _reason_headers(credentials.reason)).on_response(event)

    def hang_up(self, dialog: DialogId, reason: Reason) -> None:
        """ACK and BYE for an answer that nobody wants."""
        self.ack(dialog)
        self.bye(dialog, reason)

    def _in_dialog(self, event: AckReceived | AckTimedOut | DialogEnded) -> None:
        if isinstance(event, DialogEnded):
            self.credentials.pop(event.dialog, None)
        user = self.dialogs.get(event.dialog)
        if user is None:
            if isinstance(event, AckTimedOut):
                self.bye(event.dialog, reasons.NO_ACK)
            return
        if isinstance(event, AckReceived):
            user.on_ack(event.request)
        elif isinstance(event, AckTimedOut):
            user.on_ack_timeout()
        else:
            del self.dialogs[event.dialog]
            user.on_dialog_ended()


class Challenged:
    """A request within a dialog with a gateway: sent once more when that wants credentials for it."""

    __slots__ = ("_again", "_body", "_dialog", "_exchange", "_headers", "_method", "_requester")

    def __init__(
        self,
        exchange: Exchange,
        requester: Requester | None,
        dialog: DialogId,
        method: str,
        headers: Headers = (),
        body: bytes = b"",
    ) -> None:
        self._exchange = exchange
        self._requester = requester
        self._dialog = dialog
        self._method = method
        self._headers = headers
        self._body = body
        self._again = 0

    def on_response(self, event: ResponseReceived) -> None:
        """A challenge is answered; all else is for who asked."""
        if not self._answers(event) and self._requester is not None:
            self._requester.on_response(event)

    def on_failure(self, event: RequestFailed) -> None:
        """No answer at all."""
        if self._requester is not None:
            self._requester.on_failure(event)

    def _answers(self, event: ResponseReceived) -> bool:
        exchange, dialog, method = self._exchange, self._dialog, self._method
        credentials, uri = exchange.credentials.get(dialog), exchange.endpoint.request_uri(dialog)
        if credentials is None or uri is None or self._again >= MAX_ANSWERS:
            return False
        if not credentials.hears(event, again=bool(self._again)):
            return False
        header = credentials.header(method, uri, self._body)
        if header is None:
            return False
        self._again += 1
        driver, endpoint = exchange.driver, exchange.endpoint
        transaction, headers = endpoint.new_transaction(), (*self._headers, header)
        try:
            if method == "PRACK":
                outputs = endpoint.prack(dialog, transaction, driver.now(), headers=headers)
            else:
                outputs = endpoint.send_in_dialog(
                    dialog, transaction, method, driver.now(), headers=headers, body=self._body
                )
        except LocalProtocolError:
            return False
        exchange.requesters[transaction] = self
        driver.execute(outputs)
        return True


class _Abandoned:
    """An INVITE that was cancelled."""

    def __init__(self, exchange: Exchange, reason: Reason, credentials: Credentials | None) -> None:
        self._exchange = exchange
        self._reason = reason
        self._credentials = credentials

    def on_response(self, event: ResponseReceived) -> None:
        if event.dialog is not None and 200 <= event.response.status < 300:
            if self._credentials is not None:
                self._exchange.may_ask(event.dialog, self._credentials)
            self._exchange.hang_up(event.dialog, self._reason)

    def on_failure(self, event: RequestFailed) -> None:
        """Nobody waits for it."""


def _reason_headers(reason: Reason) -> Headers:
    if reason is reasons.COMPLETED_ELSEWHERE:
        # RFC 3326 §2: the phone then shows no missed call.
        return (("Reason", 'SIP;cause=200;text="Call completed elsewhere"'), reason.header())
    return (reason.header(),)
