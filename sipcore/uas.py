"""The UAS core: RFC 3261 §8.2 (what a new request has to pass), §9.2 CANCEL, §12.2.2, §13.3, §14.2, §15.1.2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sipcore.dialog import TARGET_REFRESH, Dialog, DialogState
from sipcore.errors import LocalProtocolError
from sipcore.events import (
    AckReceived,
    AckTimedOut,
    CancelReceived,
    PrackTimedOut,
    ProvisionalAcknowledged,
    RequestReceived,
    TransactionId,
)
from sipcore.flow import Flow
from sipcore.invite_usage import (
    UnacknowledgedSuccess,
    drop_provisionals,
    end_dialog,
    invite_refusal,
    stop_repeating,
    update_refusal,
)
from sipcore.message import Request
from sipcore.names import METHODS
from sipcore.outputs import Output, Transmit
from sipcore.refusals import Refusal
from sipcore.reliable import MAX_HELD, OPTION, Held, Provisionals, rack_of, takes_reliable, wants_reliable
from sipcore.responding import ResponseWriter
from sipcore.routing import reconnect_flow, response_flow
from sipcore.state import Answer, Drop, EndpointState, Refuse, Relay
from sipcore.transaction import Action, HeaderPairs, Input, State, Transaction
from sipcore.transaction.invite_server import INVITE_SERVER
from sipcore.transaction.noninvite_server import NONINVITE_SERVER
from sipcore.transaction.table import MergeKey, ServerKey

if TYPE_CHECKING:
    from sipcore.proxy import ProxyCore

SCHEMES: Final = frozenset({"sip", "sips", "tel"})

# RFC 3261 §12.1, RFC 6665 §4.4.1, RFC 3515 §2.4.4.
SUBSCRIPTION_CREATING: Final = frozenset({"SUBSCRIBE", "REFER"})
DIALOG_CREATING: Final = SUBSCRIPTION_CREATING | {"INVITE"}
_OTHER_METHODS: Final = tuple(sorted(METHODS - {"ACK", "CANCEL", "INVITE"}))
# What is within a subscription only, so that its failure says nothing of a call in the same dialog.
SUBSCRIPTION_METHODS: Final = frozenset({"SUBSCRIBE", "NOTIFY"})

# RFC 3261 §16.3: requests about the hop itself are answered, whatever is left of Max-Forwards.
_ANSWERED_AT_ZERO: Final = frozenset({"OPTIONS", "REGISTER"})


class UserAgentServer(ResponseWriter):
    """Receives requests and sends responses."""

    __slots__ = ("proxy",)

    def __init__(self, state: EndpointState) -> None:
        super().__init__(state)
        # Set by the endpoint, whose proxy is made of this.
        self.proxy: ProxyCore | None = None

    # What comes in

    def receive(self, request: Request, flow: Flow, now: float, out: list[Output]) -> Dialog | None:
        """Take one request; returns the dialog that it acknowledged, if it was the awaited ACK."""
        method = request.method
        key = request.server_key("INVITE" if method == "ACK" or method == "CANCEL" else method)
        request.stamp_source(*flow.remote)
        transaction = self._state.transactions.server(key)
        if method == "ACK":
            return self._receive_ack(transaction, request, flow, now, out)
        if method == "CANCEL":
            self._receive_cancel(transaction or self._other_than_invite(key), request, flow, now, out)
        elif transaction is not None:
            self._state.counters["requests_repeated"] += 1
            self.perform(transaction, transaction.step(Input.REQUEST, now), now, out)
        else:
            self._receive_new(key, request, flow, now, out)
        return None

    def _receive_ack(
        self, transaction: Transaction | None, request: Request, flow: Flow, now: float, out: list[Output]
    ) -> Dialog | None:
        state = self._state
        if transaction is not None and transaction.state is not State.ACCEPTED:
            self.perform(transaction, transaction.step(Input.ACK, now), now, out)
            return None
        if self.proxy is not None and self.proxy.pass_ack(request, flow, now, out):
            return None
        dialog = state.dialogs.find(request)
        if dialog is None or dialog.unacknowledged is None or dialog.unacknowledged.cseq != request.cseq.number:
            # A repeated ACK, the ACK to a stateless response, or a stray one: nothing answers an ACK.
            state.counters["acks_absorbed"] += 1
            return None
        stop_repeating(dialog)
        dialog.negotiation.acknowledged()
        out.append(AckReceived(dialog.id, request))
        return dialog

    def _other_than_invite(self, key: ServerKey) -> Transaction | None:
        """RFC 3261 §9.2: a CANCEL matches by everything but the method, and is answered whatever that was."""
        for method in _OTHER_METHODS:
            if (transaction := self._state.transactions.server((*key[:-1], method))) is not None:
                return transaction
        return None

    def _receive_cancel(
        self, transaction: Transaction | None, request: Request, flow: Flow, now: float, out: list[Output]
    ) -> None:
        if transaction is None:
            if self._answers_stray(request, flow, now, out):
                self.refuse(request, flow, Refusal.NOTHING_TO_CANCEL, out)
            return
        # RFC 3261 §9.2: the To tag is that of the response to the INVITE. Answered without a transaction of its
        # own: a repeated CANCEL gets the same 200 for as long as the INVITE is known.
        self._send_stateless(request, flow, 200, None, (), transaction.local_tag, out)
        if transaction.method != "INVITE":
            return
        if transaction.relay is not None and self.proxy is not None:
            reasons = [("Reason", value) for value in request.headers.get_all("Reason")]
            self.proxy.cancel(transaction.relay, reasons, now, out)
        elif transaction.state is State.TRYING or transaction.state is State.PROCEEDING:
            self.reject(transaction, Refusal.CANCELLED, now, out)
            out.append(CancelReceived(transaction.id, request))
            if transaction.dialog is not None and not transaction.in_dialog:
                end_dialog(self._state, transaction.dialog, now, out)

    def _receive_new(self, key: ServerKey, request: Request, flow: Flow, now: float, out: list[Output]) -> None:
        state = self._state
        identity: object | None = None
        if state.gate is not None:
            verdict = state.gate(request, flow, now)
            if isinstance(verdict, Refuse):
                state.counters["requests_refused"] += 1
                self.refuse_stateless(request, flow, verdict.status, out, verdict.reason, verdict.headers)
                return
            if isinstance(verdict, Drop):
                self.drop(verdict.reason, flow, out)
                return
            if isinstance(verdict, Answer):
                if not self._refuse_inadmissible(request, flow, out):
                    self.refuse_stateless(request, flow, verdict.status, out, None, verdict.headers)
                return
            identity = verdict.identity
            if isinstance(verdict, Relay) and self.proxy is not None and not request.to.tag:
                self.proxy.receive(key, request, flow, identity, now, out)
                return
        if request.to.tag:
            if self.proxy is not None and self.proxy.takes(request):
                self.proxy.receive_in_dialog(key, request, flow, now, out)
                return
            self._receive_in_dialog(key, request, flow, identity, now, out)
        else:
            self._receive_out_of_dialog(key, request, flow, identity, now, out)

    def _receive_out_of_dialog(
        self, key: ServerKey, request: Request, flow: Flow, identity: object | None, now: float, out: list[Output]
    ) -> None:
        state = self._state
        if self._refuse_inadmissible(request, flow, out):
            return
        local_tag = state.entropy.token(8)
        dialog = state.dialogs.open_uas(request, local_tag, flow) if request.method in DIALOG_CREATING else None
        merge_key = (request.call_id, request.from_.tag or "", request.cseq.number, request.method)
        merged = state.transactions.merged(merge_key)
        transaction = self._open(key, request, flow, local_tag, now, merge_key if merged is None else None)
        if merged is not None:
            # RFC 3261 §8.2.2.2. With state, so that a copy on the way can not be taken for a new request.
            if dialog is not None:
                state.dialogs.remove(dialog)
            self.reject(transaction, Refusal.MERGED, now, out)
            return
        if dialog is not None:
            transaction.dialog = dialog
            dialog.has_invite = request.method == "INVITE"
            dialog.invite_server = transaction if dialog.has_invite else None
            if dialog.has_invite and request.body:
                dialog.negotiation.described(transaction, ours=False)
        dialog_id = None if dialog is None else dialog.id
        out.append(RequestReceived(transaction.id, request, flow, dialog_id, False, identity))

    def _refuse_inadmissible(self, request: Request, flow: Flow, out: list[Output]) -> bool:
        state = self._state
        if request.uri.scheme not in SCHEMES:
            self.refuse(request, flow, Refusal.UNKNOWN_SCHEME, out)
        elif request.max_forwards == 0 and request.method not in _ANSWERED_AT_ZERO:
            self.refuse(request, flow, Refusal.TOO_MANY_HOPS, out)
        elif "Require" in request.headers and (unsupported := self._unsupported(request)):
            self.refuse(request, flow, Refusal.UNKNOWN_EXTENSION, out, (("Unsupported", unsupported),))
        elif state.transactions.size() >= state.max_transactions:
            self.refuse(request, flow, Refusal.TABLE_FULL, out, (("Retry-After", "10"),))
        else:
            return False
        return True

    def _unsupported(self, request: Request) -> str:
        required = request.headers.get_all("Require")
        return ", ".join(option for option in required if option.lower() not in self._state.supported)

    def _receive_in_dialog(
        self, key: ServerKey, request: Request, flow: Flow, identity: object | None, now: float, out: list[Output]
    ) -> None:
        state = self._state
        dialog = state.dialogs.find(request) or self._notified(request, flow)
        if dialog is None:
            if self._answers_stray(request, flow, now, out):
                self.refuse(request, flow, _nothing_for(request), out)
            return
        unsupported = self._unsupported(request)
        transaction = self._open(key, request, flow, dialog.local_tag, now)
        refusal = self._in_dialog_refusal(dialog, request, unsupported)
        if refusal is not None:
            self.reject(transaction, refusal[0], now, out, refusal[1])
            return
        state.dialogs.set_flow(dialog, flow)
        transaction.dialog = dialog
        transaction.in_dialog = True
        if request.method == "BYE":
            self._receive_bye(dialog, transaction, now, out)
            if transaction.state is not State.TRYING:
                return
        elif request.method == "PRACK":
            if not self._receive_prack(dialog, transaction, request, now, out):
                return
        elif request.method in ("INVITE", "UPDATE"):
            self._receive_change(dialog, transaction, request)
        out.append(RequestReceived(transaction.id, request, flow, dialog.id, True, identity))

    def _notified(self, request: Request, flow: Flow) -> Dialog | None:
        if request.method != "NOTIFY":
            return None
        subscribe = self._state.subscribing.get((request.call_id, request.to.tag or ""))
        return None if subscribe is None else self._state.dialogs.open_notified(subscribe, request, flow)

    def _in_dialog_refusal(
        self, dialog: Dialog, request: Request, unsupported: str
    ) -> tuple[Refusal, HeaderPairs] | None:
        number = request.cseq.number
        if dialog.remote_cseq is not None and number <= dialog.remote_cseq:
            # RFC 3261 §12.2.2. An equal number on another branch is a copy that went another way.
            return Refusal.OUT_OF_ORDER, ()
        dialog.remote_cseq = number
        if unsupported:
            return Refusal.UNKNOWN_EXTENSION, (("Unsupported", unsupported),)
        if dialog.state is DialogState.TERMINATING and request.method != "BYE":
            if dialog.usages and request.method in SUBSCRIPTION_METHODS:
                return None
            return _nothing_for(request), ()
        if request.method == "INVITE":
            refusal = invite_refusal(dialog)
        elif request.method == "UPDATE":
            refusal = update_refusal(dialog, has_offer=bool(request.body))
        else:
            return None
        if refusal is Refusal.OVERLAPPING:
            return refusal, (("Retry-After", str(int(self._state.entropy.uniform(0, 11)))),)
        return None if refusal is None else (refusal, ())

    def _receive_change(self, dialog: Dialog, transaction: Transaction, request: Request) -> None:
        if request.method == "INVITE":
            dialog.invite_server = transaction
        else:
            dialog.update_server = transaction
        if request.body:
            dialog.negotiation.described(transaction, ours=False)

    def _receive_prack(
        self, dialog: Dialog, transaction: Transaction, request: Request, now: float, out: list[Output]
    ) -> bool:
        """Whether the transaction user has to answer it: when it carries a description."""
        rack, pending = rack_of(request), dialog.provisionals
        if rack is None:
            self.reject(transaction, Refusal.UNREADABLE_RACK, now, out)
            return False
        if pending is None or not pending.acknowledge(rack):
            # RFC 3262 §3: no "unacknowledged reliable provisional response" matches.
            self.reject(transaction, Refusal.NOTHING_TO_PRACK, now, out)
            return False
        if request.body:
            dialog.negotiation.described(transaction, ours=False)
            return True
        out.append(ProvisionalAcknowledged(dialog.id, pending.transaction.id))
        self.respond(transaction, 200, now, out)
        return False

    def _receive_bye(self, dialog: Dialog, transaction: Transaction, now: float, out: list[Output]) -> None:
        # RFC 3261 §15.1.2: "MUST respond 487 to any pending requests received for that dialog".
        self.refuse_pending_invite(dialog, now, out)
        stop_repeating(dialog)
        if dialog.state is DialogState.TERMINATING:
            # Both sides hung up; the transaction user has said all it has to say.
            self.respond(transaction, 200, now, out)
            return
        dialog.state = DialogState.TERMINATING

    def _open(
        self,
        key: ServerKey,
        request: Request,
        flow: Flow,
        local_tag: str,
        now: float,
        merge_key: MergeKey | None = None,
    ) -> Transaction:
        machine = INVITE_SERVER if request.method == "INVITE" else NONINVITE_SERVER
        state = self._state
        if not state.symmetric:
            flow = response_flow(request.via, flow, symmetric=False)
        transaction = state.transactions.open_server(machine, key, request, flow, now, merge_key)
        transaction.local_tag = local_tag
        return transaction

    def open_relayed(self, key: ServerKey, request: Request, flow: Flow, now: float) -> Transaction:
        """The server transaction of a request that is proxied: without a dialog."""
        return self._open(key, request, flow, self._state.entropy.token(8), now)

    # What goes out

    def respond_to(
        self,
        transaction: TransactionId,
        status: int,
        now: float,
        out: list[Output],
        reason: str | None,
        headers: HeaderPairs,
        body: bytes,
        *,
        reliable: bool,
    ) -> None:
        """Send a response of the transaction user. One that comes too late is dropped and counted.

        Raises: LocalProtocolError for a status that the method can not have, and a reliable one that nobody takes.
        """
        found = self._state.transactions.get(transaction)
        if not 100 <= status <= 699 or (found is not None and found.machine.client):
            raise LocalProtocolError(f"no response {status} to transaction {transaction}")
        if found is None or found.request is None:
            self._state.counters["responses_late"] += 1
            return
        if 100 < status < 200 and found.machine is NONINVITE_SERVER:
            # RFC 4320 §4.1.
            raise LocalProtocolError(f"no response {status} to {found.method}")
        if found.machine is not INVITE_SERVER or found.dialog is None:
            self.respond(found, status, now, out, reason, headers, body)
            if found.relay is not None and status >= 200 and self.proxy is not None:
                self.proxy.respond(found, now, out)
            return
        reliable = 100 < status < 200 and (reliable or wants_reliable(found.request))
        if reliable and not takes_reliable(found.request):
            raise LocalProtocolError(f"no reliable {status} to a caller without 100rel", status_hint=421)
        self._respond_to_invite(found, found.dialog, Held(status, reason, headers, body, reliable), now, out)

    def _respond_to_invite(
        self, transaction: Transaction, dialog: Dialog, response: Held, now: float, out: list[Output]
    ) -> None:
        pending = dialog.provisionals
        if pending is not None and pending.transaction is transaction:
            if pending.holds_back(response.status, reliable=response.reliable):
                self._hold_back(pending, response)
                return
            if response.status >= 200:
                pending.stop()
        self._send_held(transaction, dialog, response, now, out)

    def _hold_back(self, pending: Provisionals, response: Held) -> None:
        if pending.held and pending.held[-1].status >= 200:
            self._state.counters["responses_late"] += 1
        elif response.status < 200 and len(pending.held) >= MAX_HELD:
            self._state.counters["provisionals_dropped"] += 1
        else:
            pending.held.append(response)

    def _send_held(
        self, transaction: Transaction, dialog: Dialog, response: Held, now: float, out: list[Output]
    ) -> None:
        status, reason, headers, body, reliable = response
        if not reliable:
            self.respond(transaction, status, now, out, reason, headers, body)
            return
        pending = dialog.provisionals
        if pending is None or pending.transaction is not transaction:
            pending = dialog.provisionals = Provisionals(dialog, transaction, self._state.entropy)
        if transaction.state not in (State.TRYING, State.PROCEEDING):
            self._state.counters["responses_late"] += 1
            return
        pending.rseq += 1
        headers = [*headers, ("Require", OPTION), ("RSeq", str(pending.rseq))]
        self.respond(transaction, status, now, out, reason, headers, body)
        if body:
            dialog.negotiation.responded(transaction, ours=True)
        pending.sent(transaction.data, now, has_description=bool(body))
        self._state.deadlines.schedule(pending)

    def _release(self, dialog: Dialog, now: float, out: list[Output]) -> None:
        """What waited for the PRACK goes out, up to the next reliable response."""
        pending = dialog.provisionals
        while pending is not None and pending.held and not pending.unacknowledged:
            self._send_held(pending.transaction, dialog, pending.held.popleft(), now, out)

    def is_held_back(self, transaction: TransactionId) -> bool:
        """Whether a final response waits for a PRACK."""
        found = self._state.transactions.get(transaction)
        dialog = None if found is None else found.dialog
        pending = None if dialog is None else dialog.provisionals
        return bool(pending is not None and pending.held and pending.held[-1].status >= 200)

    def repeat_provisional(self, pending: Provisionals, now: float, out: list[Output]) -> None:
        """Send the reliable response once more, or give up."""
        transaction = pending.transaction
        if now < pending.expire_at and transaction.flow is not None:
            out.append(Transmit(pending.unacknowledged, transaction.flow))
            pending.repeated(now)
            return
        pending.stop()
        out.append(PrackTimedOut(pending.dialog.id, transaction.id))

    def respond(
        self,
        transaction: Transaction,
        status: int,
        now: float,
        out: list[Output],
        reason: str | None = None,
        headers: HeaderPairs = (),
        body: bytes = b"",
    ) -> None:
        """Send a response and see to what it means for the dialog."""
        request = transaction.request
        assert request is not None, "a final response takes the request away, and respond_to looks for it"
        input_ = Input.PROVISIONAL if status < 200 else Input.SUCCESS if status < 300 else Input.FAILURE
        actions = transaction.step(input_, now)
        if not actions:
            self._state.counters["responses_late"] += 1
            return
        if 101 <= status <= 299 and request.method in TARGET_REFRESH:
            headers = self._with_dialog_headers(transaction, request, headers)
        if status == 408 and transaction.machine is NONINVITE_SERVER:
            # RFC 4320 §4.2: it could only come too late.
            transaction.data = b""
        else:
            self._fill(transaction, request, status, reason, headers, body)
        self.perform(transaction, actions, now, out)
        dialog = transaction.dialog
        if dialog is not None:
            self._apply_to_dialog(dialog, transaction, request, status, body, now, out)
        if status >= 200:
            transaction.request = None

    def reject(
        self, transaction: Transaction, refusal: Refusal, now: float, out: list[Output], headers: HeaderPairs = ()
    ) -> None:
        """Answer a request on our own account; its dialog is the caller's affair."""
        request, flow = transaction.request, transaction.flow
        assert request is not None, "only transactions without a final response are rejected"
        assert flow is not None, "a transaction in the table has its flow"
        actions = transaction.step(Input.FAILURE, now)
        headers = (*headers, *self._state.refusal_headers(refusal, flow))
        self._fill(transaction, request, refusal.status, None, headers, b"")
        dialog = transaction.dialog
        if dialog is not None:
            dialog.negotiation.finished(transaction, is_success=False)
            if dialog.invite_server is transaction:
                dialog.invite_server = None
                drop_provisionals(dialog)
        transaction.request = None
        self.perform(transaction, actions, now, out)

    def refuse_pending_invite(self, dialog: Dialog, now: float, out: list[Output]) -> None:
        """487 to an INVITE whose dialog ends by BYE."""
        pending = dialog.invite_server
        if pending is not None and pending.request is not None:
            self.reject(pending, Refusal.HUNG_UP, now, out)

    def _apply_to_dialog(
        self,
        dialog: Dialog,
        transaction: Transaction,
        request: Request,
        status: int,
        body: bytes,
        now: float,
        out: list[Output],
    ) -> None:
        state = self._state
        if request.method == "BYE":
            if status >= 200:
                end_dialog(state, dialog, now, out)
            return
        if status >= 200:
            self._note_final(dialog, transaction, status, body, now, out)
        if 200 <= status <= 299 and request.method in TARGET_REFRESH and request.to.tag:
            dialog.refresh_target(request)
            # RFC 4916 §4.4.2: who the peer is may have changed too.
            dialog.remote = request.headers.get("From") or dialog.remote
        if request.method in SUBSCRIPTION_CREATING and not transaction.in_dialog and status >= 200:
            dialog.state = DialogState.CONFIRMED if status < 300 else dialog.state
            if status >= 300 or not dialog.usages:
                end_dialog(state, dialog, now, out)
            return
        if request.method != "INVITE" or status <= 100:
            return
        if status < 200:
            if dialog.state is DialogState.TRYING:
                dialog.state = DialogState.EARLY
            return
        dialog.invite_server = None
        if status < 300:
            self._confirm(dialog, transaction, request, body, now)
        elif not transaction.in_dialog:
            end_dialog(state, dialog, now, out)

    def _note_final(
        self, dialog: Dialog, transaction: Transaction, status: int, body: bytes, now: float, out: list[Output]
    ) -> None:
        method = transaction.method
        if method == "INVITE" and body and status < 300:
            dialog.negotiation.responded(transaction, ours=True)
        if method in ("INVITE", "UPDATE", "PRACK"):
            dialog.negotiation.finished(transaction, is_success=status < 300)
        if dialog.update_server is transaction:
            dialog.update_server = None
        if method == "PRACK":
            self._release(dialog, now, out)

    def _confirm(self, dialog: Dialog, transaction: Transaction, request: Request, body: bytes, now: float) -> None:
        state = self._state
        if dialog.state is not DialogState.TERMINATING:
            dialog.state = DialogState.CONFIRMED
        stop_repeating(dialog)
        assert transaction.flow is not None, "a transaction in the table has its flow"
        unacknowledged = UnacknowledgedSuccess(
            dialog, transaction.cseq, transaction.data, transaction.flow, state.timers, now
        )
        unacknowledged.owes_answer = bool(body) and not request.body
        dialog.unacknowledged = unacknowledged
        state.deadlines.schedule(unacknowledged)

    def perform(self, transaction: Transaction, actions: tuple[Action, ...], now: float, out: list[Output]) -> None:
        """Carry out what a step of a server transaction has caused."""
        for action in actions:
            if action is Action.SEND_RESPONSE:
                if transaction.data and transaction.flow is not None:
                    out.append(Transmit(transaction.data, transaction.flow))
            elif action is Action.SEND_TRYING:
                self._send_trying(transaction, out)
            elif action is Action.REPORT_TIMEOUT:
                self._state.counters["server_transactions_timed_out"] += 1
                dialog = transaction.dialog
                made_it = transaction.method in SUBSCRIPTION_CREATING and not transaction.in_dialog
                if dialog is not None and (made_it or transaction.method == "BYE"):
                    # Nobody answered in time: a SUBSCRIBE or REFER leaves no dialog, and a BYE ends its own anyway.
                    end_dialog(self._state, dialog, now, out)
        self._state.transactions.settle(transaction)

    def _send_trying(self, transaction: Transaction, out: list[Output]) -> None:
        request = transaction.request
        if request is not None and transaction.flow is not None:
            self._fill(transaction, request, 100, None, (), b"")
            out.append(Transmit(transaction.data, transaction.flow))

    # Time, transport

    def handle_timeout(self, transaction: Transaction, now: float, out: list[Output]) -> None:
        """Fire the timers of a server transaction."""
        self.perform(transaction, transaction.handle_timeout(now), now, out)

    def repeat_success(self, success: UnacknowledgedSuccess, now: float, out: list[Output]) -> Dialog | None:
        """Send the 2xx once more, or give up; returns the dialog when its ACK is no longer awaited."""
        if now < success.expire_at:
            out.append(Transmit(success.data, success.flow))
            success.repeated(now)
            return None
        dialog = success.dialog
        stop_repeating(dialog)
        if dialog.deferred_bye is None:
            out.append(AckTimedOut(dialog.id))
        return dialog

    def lose_connection(self, transaction: Transaction, flow: Flow) -> None:
        """RFC 3261 §18.2.2: the response will go over a new connection to the address of the Via."""
        if transaction.request is not None:
            self._state.transactions.move(transaction, reconnect_flow(transaction.request.via, flow))


def _nothing_for(request: Request) -> Refusal:
    """What is missing: of a subscription its dialog says nothing of a call."""
    return Refusal.NO_SUBSCRIPTION if request.method in SUBSCRIPTION_METHODS else Refusal.NO_DIALOG
