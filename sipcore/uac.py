"""The UAC core: RFC 3261 §8.1, §9.1 CANCEL, §12.2.1, §13.2 INVITE and its ACK, §15.1.1 BYE."""

from __future__ import annotations

from typing import Final

from sipcore.dialog import TARGET_REFRESH, Dialog, DialogState
from sipcore.errors import LocalProtocolError
from sipcore.events import DialogId, Failure, RequestFailed, ResponseReceived, TransactionId
from sipcore.flow import Flow
from sipcore.invite_usage import ack_headers, end_dialog, end_early_dialogs
from sipcore.locate import Target
from sipcore.message import Request, Response
from sipcore.negotiation import Pending
from sipcore.outputs import Output, Transmit
from sipcore.reliable import is_next, reliable_number
from sipcore.routing import dialog_flow
from sipcore.sending import RequestSender
from sipcore.state import EndpointState, has_header
from sipcore.transaction import Action, HeaderPairs, Input, State, Transaction
from sipcore.transaction.invite_client import INVITE_CLIENT
from sipcore.transaction.noninvite_client import NONINVITE_CLIENT
from sipcore.uas import SUBSCRIPTION_METHODS, UserAgentServer
from sipcore.usages import Reach, reach_of

# Early dialogs of one INVITE; a phone system that forks further is not answered less for it.
MAX_FORKS: Final = 64


class UserAgentClient(RequestSender):
    """Sends requests and receives responses."""

    __slots__ = ("_server",)

    def __init__(self, state: EndpointState, server: UserAgentServer) -> None:
        super().__init__(state)
        self._server = server

    # Requests of the transaction user

    def send_in_dialog(
        self,
        dialog_id: DialogId,
        transaction: TransactionId,
        method: str,
        now: float,
        out: list[Output],
        headers: HeaderPairs,
        body: bytes,
    ) -> None:
        """Send a request within a dialog (RFC 3261 §12.2.1.1).

        Raises: LocalProtocolError when the dialog is gone, or its state forbids the method.
        """
        dialog = self._state.dialogs.get(dialog_id)
        if dialog is None:
            raise LocalProtocolError(f"{method} in dialog {dialog_id}, which has ended", status_hint=481)
        _check_allowed(dialog, method)
        if method in ("INVITE", "UPDATE") and body and dialog.negotiation.pending is not Pending.NONE:
            # RFC 3311 §5.1: no offer while another is unanswered, whosever it is.
            raise LocalProtocolError("an offer is pending in this dialog", status_hint=491)
        if method == "BYE":
            self._bye(dialog, transaction, now, out, headers, body)
        else:
            self._start_in_dialog(dialog, transaction, method, now, out, headers, body)

    def bye(
        self, dialog_id: DialogId, transaction: TransactionId, now: float, out: list[Output], headers: HeaderPairs
    ) -> None:
        """Hang up; a dialog that is ending or gone needs nothing.

        Raises: LocalProtocolError for an early dialog of the UAS, which is refused by a response instead.
        """
        dialog = self._state.dialogs.get(dialog_id)
        if dialog is None or dialog.state is DialogState.TERMINATING or dialog.deferred_bye is not None:
            return
        _check_allowed(dialog, "BYE")
        self._bye(dialog, transaction, now, out, headers, b"")

    def cancel(self, transaction: TransactionId, now: float, out: list[Output], headers: HeaderPairs) -> None:
        """Cancel an INVITE: at once when a provisional response is there, else with the first (§9.1)."""
        found = self._state.transactions.get(transaction)
        if found is None:
            self._cancel_unresolved(transaction, now, out)
        elif found.machine is INVITE_CLIENT and found.cancel_headers is None:
            if found.state is State.CALLING:
                found.cancel_headers = headers
            elif found.state is State.PROCEEDING:
                found.cancel_headers = headers
                self._perform(found, found.step(Input.CANCELLED, now), None, None, now, out)

    def ack(self, dialog_id: DialogId, now: float, out: list[Output], headers: HeaderPairs, body: bytes) -> None:
        """Acknowledge the 2xx to our INVITE; kept, and sent again for each repetition of the 2xx (§13.2.2.4)."""
        dialog = self._state.dialogs.get(dialog_id)
        transaction = dialog.to_acknowledge if dialog is not None else None
        if dialog is None or transaction is None or transaction.request is None:
            return
        dialog.to_acknowledge = None
        dialog.negotiation.acknowledged()
        self._acknowledge_success(transaction, dialog, out, headers, body)

    def prack(
        self,
        dialog_id: DialogId,
        transaction: TransactionId,
        now: float,
        out: list[Output],
        headers: HeaderPairs,
        body: bytes,
    ) -> None:
        """Acknowledge the newest reliable provisional response (RFC 3262 §4).

        Raises: LocalProtocolError when the dialog has none, or is gone.
        """
        dialog = self._state.dialogs.get(dialog_id)
        if dialog is None or dialog.last_reliable is None:
            raise LocalProtocolError("nothing to acknowledge by PRACK", status_hint=481)
        _check_allowed(dialog, "PRACK")
        cseq, rseq = dialog.last_reliable
        self._start_in_dialog(
            dialog, transaction, "PRACK", now, out, (("RAck", f"{rseq} {cseq} INVITE"), *headers), body
        )

    def send_deferred_bye(self, dialog: Dialog, now: float, out: list[Output]) -> None:
        """The ACK that a BYE of ours waited for is there, or will not come any more (§15)."""
        waiting = dialog.deferred_bye
        if waiting is not None and waiting.request is not None:
            dialog.deferred_bye = None
            dialog.state = DialogState.TERMINATING
            dialog.bye = waiting
            self._start(waiting, self._dialog_flow(dialog), now, out)

    def _start_in_dialog(
        self,
        dialog: Dialog,
        transaction: TransactionId,
        method: str,
        now: float,
        out: list[Output],
        headers: HeaderPairs,
        body: bytes,
    ) -> Transaction:
        opened = self._in_dialog(dialog, transaction, method, headers, body)
        if method == "INVITE":
            dialog.invite_client = opened
        if body and method in ("INVITE", "UPDATE", "PRACK"):
            dialog.negotiation.described(opened, ours=True)
        self._start(opened, self._dialog_flow(dialog), now, out)
        return opened

    def _in_dialog(
        self, dialog: Dialog, transaction: TransactionId, method: str, headers: HeaderPairs, body: bytes
    ) -> Transaction:
        lines = self._dialog_lines(dialog, method, dialog.next_cseq())
        lines += headers
        if self._state.server and not has_header(headers, "user-agent"):
            lines.append(("User-Agent", self._state.server))
        opened = self._new_transaction(transaction, Request(method, self._state.request_uri(dialog), lines, body))
        opened.dialog = dialog
        return opened

    def _dialog_lines(self, dialog: Dialog, method: str, cseq: int) -> list[tuple[str, str]]:
        lines = [("Max-Forwards", "70")]
        lines += [("Route", route) for route in dialog.routes]
        lines += [
            ("From", dialog.local),
            ("To", dialog.remote),
            ("Call-ID", dialog.call_id),
            ("CSeq", f"{cseq} {method}"),
        ]
        return lines

    def _dialog_flow(self, dialog: Dialog) -> Flow:
        flow = dialog_flow(dialog.next_hop(), dialog.flow, has_route_set=bool(dialog.route_set))
        return self._state.with_local(flow)

    def _bye(
        self,
        dialog: Dialog,
        transaction: TransactionId,
        now: float,
        out: list[Output],
        headers: HeaderPairs,
        body: bytes,
    ) -> None:
        if dialog.unacknowledged is not None:
            # RFC 3261 §15: the callee MUST NOT send BYE "until it has received an ACK for its 2xx response or
            # until the server transaction times out".
            dialog.deferred_bye = self._in_dialog(dialog, transaction, "BYE", headers, body)
            return
        self._server.refuse_pending_invite(dialog, now, out)
        dialog.bye = self._start_in_dialog(dialog, transaction, "BYE", now, out, headers, body)
        dialog.state = DialogState.TERMINATING
        dialog.expire_at = float("inf")

    # Responses

    def receive(self, response: Response, flow: Flow, now: float, out: list[Output]) -> None:
        """Take one response."""
        state = self._state
        transaction = state.transactions.client(response.via.branch, response.cseq.method)
        # RFC 3261 §8.1.3.3: a response with more than our Via went astray; §18.1.2: and so did one to another sent-by.
        if (
            transaction is None
            or not _has_sent_by_of(transaction.request, response)
            or (transaction.relay is None and len(response.headers.get_all("Via")) > 1)
        ):
            self._server.drop("responses_stray", flow, out)
            return
        status = response.status
        if self._dead.since and status != 503 and transaction.flow is not None:
            self._dead.remove(Target(transaction.flow.transport, transaction.flow.remote))
        if status < 200:
            input_ = Input.PROVISIONAL
            if transaction.alternatives is not None:
                # It reacts: from here on it has the time that any request has (Timer F).
                transaction.expire_at = now + self._state.timers.timeout
        elif status < 300:
            if transaction.acks is not None and self._is_repeated_success(transaction, response, out):
                return
            input_ = Input.SUCCESS
        else:
            input_ = Input.FAILURE
        actions = transaction.step(input_, now)
        self._perform(transaction, actions, response, flow, now, out)

    def _is_repeated_success(self, transaction: Transaction, response: Response, out: list[Output]) -> bool:
        acks, tag = transaction.acks, response.to.tag or ""
        if acks is None or tag not in acks:
            return False
        self._state.counters["responses_repeated"] += 1
        sent = acks[tag]
        if sent is not None:
            out.append(Transmit(*sent))
        return True

    def _perform(
        self,
        transaction: Transaction,
        actions: tuple[Action, ...],
        response: Response | None,
        flow: Flow | None,
        now: float,
        out: list[Output],
    ) -> None:
        for action in actions:
            if action is Action.PASS_UP:
                assert response is not None and flow is not None, "only a response is passed up"
                if response.status == 503 and self._try_next(transaction, now, out):
                    continue
                self._pass_up(transaction, response, flow, now, out)
            elif action is Action.RETRANSMIT:
                assert transaction.flow is not None, "a transaction in the table has its flow"
                self._state.counters["requests_retransmitted"] += 1
                out.append(Transmit(transaction.data, transaction.flow))
            elif action is Action.SEND_ACK:
                assert response is not None, "only a response is acknowledged"
                self._acknowledge_failure(transaction, response, out)
            elif action is Action.SEND_CANCEL:
                self._send_cancel(transaction, now, out)
            elif action is Action.REPORT_TIMEOUT:
                if not self._try_next(transaction, now, out):
                    self._fail(transaction, Failure.TIMEOUT, now, out)
            elif action is Action.REPORT_TRANSPORT_ERROR and not self._try_next(
                transaction, now, out, unreachable=True
            ):
                self._fail(transaction, Failure.TRANSPORT, now, out)
        if self._state.transactions.settle(transaction) and transaction.forks is not None:
            end_early_dialogs(self._state, transaction, now, out)

    def _pass_up(self, transaction: Transaction, response: Response, flow: Flow, now: float, out: list[Output]) -> None:
        dialog = transaction.dialog
        if transaction.relay is not None:
            self._pass_on(transaction, response, now, out)
            return
        if transaction.machine is INVITE_CLIENT:
            if dialog is None:
                self._pass_up_initial(transaction, response, flow, now, out)
                return
            if not self._takes(transaction, dialog, response):
                return
            self._apply_to_reinvite(transaction, dialog, response, out)
        if not transaction.silent:
            out.append(_received(transaction, response, flow, dialog))
        if dialog is not None:
            self._apply_to_dialog(transaction, dialog, response, flow, now, out)
        if response.status >= 200 and transaction.machine is NONINVITE_CLIENT:
            transaction.request = None

    def _pass_on(self, transaction: Transaction, response: Response, now: float, out: list[Output]) -> None:
        assert self.proxy is not None, "only a proxy sends for others"
        if response.status < 200 and transaction.cancel_headers is not None:
            self._cancel_now(transaction, now, out)
        self.proxy.received(transaction.relay, response, now, out)

    def _pass_up_initial(
        self, transaction: Transaction, response: Response, flow: Flow, now: float, out: list[Output]
    ) -> None:
        status = response.status
        dialog = self._forked_dialog(transaction, response, flow) if 100 < status < 300 else None
        if dialog is not None and not self._takes(transaction, dialog, response):
            return
        if 200 <= status < 300 and dialog is not None:
            self._note_success(transaction, response)
            if dialog.state is DialogState.EARLY:
                self._confirm(transaction, dialog, response)
            else:
                self._end_answered(transaction, dialog, now, out)
        out.append(_received(transaction, response, flow, dialog))
        if status == 199 and dialog is not None and dialog.state is DialogState.EARLY:
            # RFC 6228 §5: this early dialog is terminated; the INVITE and its others go on.
            dialog.invite_client = None
            end_dialog(self._state, dialog, now, out)
        if status >= 300:
            end_early_dialogs(self._state, transaction, now, out)
        elif transaction.cancel_headers is not None and status < 200:
            self._cancel_now(transaction, now, out)

    def _takes(self, transaction: Transaction, dialog: Dialog, response: Response) -> bool:
        """Note what a response to INVITE says of the session; False for a reliable one that is repeated or too early.

        A 1xx that is not reliable may bring a description, which is only a preview of the answer (RFC 3261 §13.2.1).
        """
        rseq = reliable_number(response) if response.status < 200 else None
        if rseq is not None and not is_next(dialog, transaction.cseq, rseq):
            self._state.counters["responses_repeated"] += 1
            return False
        if response.body and (rseq is not None or 200 <= response.status < 300):
            dialog.negotiation.responded(transaction, ours=False)
        if response.status >= 200:
            dialog.negotiation.finished(transaction, is_success=response.status < 300)
        return True

    def _note_success(self, transaction: Transaction, response: Response) -> None:
        if transaction.acks is None:
            transaction.acks = {}
        transaction.acks[response.to.tag or ""] = None

    def _end_answered(self, transaction: Transaction, dialog: Dialog, now: float, out: list[Output]) -> None:
        # The transaction user hung up the dialog before its 2xx came: that needs its ACK all the same, and a peer
        # that did not know the dialog when our BYE came needs another.
        self._acknowledge_success(transaction, dialog, out, (), b"")
        if dialog.state is DialogState.TERMINATED:
            self._send_silent_bye(dialog, now, out)

    def _cancel_now(self, transaction: Transaction, now: float, out: list[Output]) -> None:
        # §9.1: the CANCEL waited for this provisional response; a second one finds the timer running.
        if transaction.expire_at == float("inf"):
            transaction.step(Input.CANCELLED, now)
            self._send_cancel(transaction, now, out)

    def _forked_dialog(self, transaction: Transaction, response: Response, flow: Flow) -> Dialog | None:
        tag = response.to.tag
        if tag is None and response.status < 200:
            return None
        forks = transaction.forks
        if forks is None:
            forks = transaction.forks = {}
        dialog = forks.get(tag or "")
        if dialog is None and len(forks) >= MAX_FORKS and response.status < 200:
            self._state.counters["early_dialogs_dropped"] += 1
            return None
        if dialog is None:
            assert transaction.request is not None, "kept until the INVITE transaction terminates"
            dialog = self._state.dialogs.open_uac(transaction.request, response, flow)
            dialog.state = DialogState.EARLY
            dialog.invite_client = transaction
            if transaction.request.body:
                dialog.negotiation.described(transaction, ours=True)
            forks[tag or ""] = dialog
        elif dialog.state is not DialogState.TERMINATED:
            self._state.dialogs.set_flow(dialog, flow)
        return dialog

    def _confirm(self, transaction: Transaction, dialog: Dialog, response: Response) -> None:
        # §13.2.2.4: the route set is computed anew from the 2xx, all else of the early dialog stays.
        dialog.state = DialogState.CONFIRMED
        dialog.set_route_set(tuple(reversed(response.headers.get_all("Record-Route"))))
        dialog.refresh_target(response)
        dialog.to_acknowledge = transaction
        dialog.invite_client = None

    def _apply_to_reinvite(
        self, transaction: Transaction, dialog: Dialog, response: Response, out: list[Output]
    ) -> None:
        if response.status < 200:
            return
        if dialog.invite_client is transaction:
            dialog.invite_client = None
        if response.status >= 300:
            return
        self._note_success(transaction, response)
        if dialog.established:
            dialog.refresh_target(response)
            dialog.to_acknowledge = transaction
        else:
            self._acknowledge_success(transaction, dialog, out, (), b"")

    def _apply_to_dialog(
        self,
        transaction: Transaction,
        dialog: Dialog,
        response: Response,
        flow: Flow,
        now: float,
        out: list[Output],
    ) -> None:
        status = response.status
        if dialog.state is DialogState.TERMINATED:
            return
        self._state.dialogs.set_flow(dialog, flow)
        if status >= 200 and transaction.method in ("UPDATE", "PRACK"):
            dialog.negotiation.finished(transaction, is_success=False)
        if status < 200:
            if transaction.cancel_headers is not None:
                self._cancel_now(transaction, now, out)
        elif transaction is dialog.bye:
            self._bye_answered(transaction, dialog, status, now, out)
        elif status < 300:
            if transaction.method != "INVITE" and transaction.method in TARGET_REFRESH:
                dialog.refresh_target(response)
        else:
            self._end_by(transaction, dialog, reach_of(status), now, out)

    def _bye_answered(
        self, transaction: Transaction, dialog: Dialog, status: int, now: float, out: list[Output]
    ) -> None:
        dialog.bye = None
        request = transaction.request
        if status == 500 and request is not None and dialog.local_cseq > transaction.cseq:
            # A later request of ours (a NOTIFY) has overtaken it, so that the peer must refuse it (§12.2.2) and goes
            # on with the call: once more, under a new number.
            reasons = [("Reason", value) for value in request.headers.get_all("Reason")]
            dialog.bye = self._start_in_dialog(dialog, self._state.transactions.new_id(), "BYE", now, out, reasons, b"")
        elif status in (401, 407):
            # The peer wants credentials for the BYE: the transaction user may send another for a while.
            dialog.expire_at = now + self._state.timers.timeout
            self._state.deadlines.schedule(dialog)
        else:
            end_dialog(self._state, dialog, now, out)

    def _end_by(self, transaction: Transaction, dialog: Dialog, reach: Reach, now: float, out: list[Output]) -> None:
        """RFC 5057 §5.1. A subscription that ends alone is the transaction user's to close.

        A PRACK says nothing of its dialog: the INVITE's own response does.
        """
        if reach is Reach.DIALOG and transaction.method != "PRACK":
            dialog.usages = 0
        elif reach is not Reach.USAGE or not _concerns_invite(dialog, transaction.method):
            return
        # RFC 3261 §12.2.1.2: on 481 and 408 "the UAC SHOULD terminate the dialog", which for an INVITE's dialog
        # means BYE: without it a peer that lost one request only would keep the call.
        if dialog.state is DialogState.CONFIRMED and dialog.has_invite:
            self._server.refuse_pending_invite(dialog, now, out)
            self._send_silent_bye(dialog, now, out)
        end_dialog(self._state, dialog, now, out)

    def _send_silent_bye(self, dialog: Dialog, now: float, out: list[Output]) -> None:
        bye = self._in_dialog(dialog, self._state.transactions.new_id(), "BYE", (), b"")
        bye.silent = True
        bye.dialog = None
        self._start(bye, self._dialog_flow(dialog), now, out)

    def _acknowledge_success(
        self,
        transaction: Transaction,
        dialog: Dialog,
        out: list[Output],
        headers: HeaderPairs,
        body: bytes,
    ) -> None:
        request = transaction.request
        assert request is not None, "an INVITE keeps its request until it terminates"
        flow = self._dialog_flow(dialog)
        lines = [("Via", self._state.via(flow, self._state.new_branch()))]
        lines += self._dialog_lines(dialog, "ACK", transaction.cseq)
        lines += ack_headers(request)
        lines += headers
        data = Request("ACK", self._state.request_uri(dialog), lines, body).to_bytes()
        if transaction.acks is None:
            transaction.acks = {}
        transaction.acks[dialog.remote_tag or ""] = data, flow
        out.append(Transmit(data, flow))

    def _acknowledge_failure(self, transaction: Transaction, response: Response, out: list[Output]) -> None:
        flow = transaction.flow
        assert flow is not None, "a transaction in the table has its flow"
        if transaction.acks is None:
            data = self._hop_by_hop(transaction, "ACK", (), response.headers.get("To") or "")
            transaction.acks = {"": (data, flow)}
        sent = transaction.acks[""]
        assert sent is not None, "a failure is acknowledged at once"
        out.append(Transmit(*sent))

    def _send_cancel(self, transaction: Transaction, now: float, out: list[Output]) -> None:
        request, flow = transaction.request, transaction.flow
        assert request is not None and flow is not None, "an INVITE keeps its request until it terminates"
        cancel = Transaction(NONINVITE_CLIENT, self._state.timers, reliable=transaction.reliable)
        cancel.id = self._state.transactions.new_id()
        cancel.silent = True
        cancel.method = "CANCEL"
        headers = transaction.cancel_headers or ()
        cancel.data = self._hop_by_hop(transaction, "CANCEL", headers, request.headers.get("To") or "")
        out.append(Transmit(cancel.data, flow))
        self._state.transactions.open_client(cancel, str(transaction.key[0]), flow, now)

    def _hop_by_hop(self, transaction: Transaction, method: str, headers: HeaderPairs, to: str) -> bytes:
        """ACK to a failure (§17.1.1.3) or CANCEL (§9.1): the INVITE's top Via, Route, Request-URI, and number."""
        request = transaction.request
        assert request is not None, "an INVITE keeps its request until it terminates"
        fields = request.headers
        lines = [("Via", fields.get_all("Via")[0]), ("Max-Forwards", "70")]
        lines += [("Route", route) for route in fields.get_all("Route")]
        lines += [
            ("From", fields.get("From") or ""),
            ("To", to),
            ("Call-ID", request.call_id),
            ("CSeq", f"{transaction.cseq} {method}"),
        ]
        lines += headers
        return Request(method, request.uri_text, lines).to_bytes()

    # Time, transport

    def handle_timeout(self, transaction: Transaction, now: float, out: list[Output]) -> None:
        """Fire the timers of a client transaction."""
        self._perform(transaction, transaction.handle_timeout(now), None, None, now, out)

    def lose_connection(self, transaction: Transaction, now: float, out: list[Output]) -> None:
        """The request, or the wait for its response, has lost its transport."""
        self._perform(transaction, transaction.step(Input.TRANSPORT_ERROR, now), None, None, now, out)

    def _fail(self, transaction: Transaction, failure: Failure, now: float, out: list[Output]) -> None:
        if transaction.relay is not None and self.proxy is not None:
            self.proxy.failed(transaction.relay, failure, now, out)
            return
        if not transaction.silent:
            out.append(RequestFailed(transaction.id, failure))
        dialog = transaction.dialog
        if dialog is None or dialog.state is DialogState.TERMINATED:
            return
        dialog.negotiation.finished(transaction, is_success=False)
        if dialog.invite_client is transaction:
            dialog.invite_client = None
        if transaction is dialog.bye:
            end_dialog(self._state, dialog, now, out)
        elif failure is Failure.TIMEOUT:
            # §12.2.1.2: no response at all is a 408.
            self._end_by(transaction, dialog, Reach.USAGE, now, out)


def _received(transaction: Transaction, response: Response, flow: Flow, dialog: Dialog | None) -> ResponseReceived:
    return ResponseReceived(
        transaction.id,
        response,
        flow,
        None if dialog is None else dialog.id,
        None if transaction.flow is None else transaction.flow.remote,
        dialog is not None and response.status < 200 and reliable_number(response) is not None,
    )


def _has_sent_by_of(request: Request | None, response: Response) -> bool:
    if request is None:
        return True
    ours, theirs = request.via, response.via
    return ours.port == theirs.port and (ours.host == theirs.host or ours.host.lower() == theirs.host.lower())


def _concerns_invite(dialog: Dialog, method: str) -> bool:
    """RFC 5057 §5.1: a failed SUBSCRIBE or NOTIFY ends its own usage, which is the transaction user's to close."""
    return dialog.has_invite and method not in SUBSCRIPTION_METHODS and method != "PRACK"


def _check_allowed(dialog: Dialog, method: str) -> None:
    state = dialog.state
    if dialog.usages and state is DialogState.TERMINATING and method in SUBSCRIPTION_METHODS:
        return
    if method in ("ACK", "CANCEL"):
        raise LocalProtocolError(f"{method} is sent by `ack` or `cancel`")
    if state is DialogState.TRYING or (method == "BYE" and state is DialogState.EARLY and not dialog.is_uac):
        raise LocalProtocolError(f"no {method} in a dialog that we have not answered")
    if dialog.deferred_bye is not None or (
        state is DialogState.TERMINATING and (method != "BYE" or dialog.bye is not None)
    ):
        raise LocalProtocolError(f"no {method} in a dialog that is ending", status_hint=481)
    if method == "INVITE" and (dialog.invite_client is not None or dialog.invite_server is not None):
        # §14.1: "a UAC MUST NOT initiate a new INVITE transaction within a dialog while another [...] is in
        # progress in either direction".
        raise LocalProtocolError("an INVITE is under way in this dialog", status_hint=491)
