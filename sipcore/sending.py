"""Requests as they leave: what they say (RFC 3261 §8.1.1), whereto (§8.1.2, RFC 3263), by which transport (§18.1.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sipcore.dead_targets import DeadTargets
from sipcore.dialog import TARGET_REFRESH
from sipcore.errors import LocalProtocolError
from sipcore.events import Failure, RequestFailed, TransactionId
from sipcore.flow import Address, Flow
from sipcore.large_requests import LargeRequests
from sipcore.locate import Target
from sipcore.message import Request
from sipcore.outputs import Output, Resolve, Transmit
from sipcore.routing import (
    ANY_LOCAL,
    OWN_ADDRESS,
    NextHop,
    new_flow,
    next_hop,
    serve_strict_router,
    top_route,
    with_own_address,
)
from sipcore.state import EndpointState
from sipcore.transaction import Alternatives, Transaction
from sipcore.transaction.invite_client import INVITE_CLIENT
from sipcore.transaction.noninvite_client import NONINVITE_CLIENT
from sipcore.uri import Uri

if TYPE_CHECKING:
    from sipcore.proxy import Branch, ProxyCore


class RequestSender:
    """Makes client transactions, and moves on to the next target when one is dead."""

    __slots__ = ("_dead", "_large", "_last_query", "_resolving", "_state", "proxy")

    def __init__(self, state: EndpointState) -> None:
        self._state = state
        self._large = LargeRequests(state)
        # Set by the endpoint, whose proxy is made of this.
        self.proxy: ProxyCore | None = None
        self._resolving: dict[int, tuple[Transaction, NextHop]] = {}
        self._last_query = 0
        self._dead = DeadTargets()

    def send(
        self, transaction: TransactionId, request: Request, now: float, out: list[Output], flow: Flow | None
    ) -> None:
        """Send a request outside of any dialog; the request is taken over and completed.

        Raises: LocalProtocolError for a method that has no transaction of its own, or an id used before.
        """
        if request.method in ("ACK", "CANCEL"):
            raise LocalProtocolError(f"{request.method} is sent by `ack` or `cancel`")
        self._complete(request)
        uri = top_route(request)
        if "Route" in request.headers and "lr" not in uri.params:
            # What a strict router gets is no request that could be sent once more: its sender keeps his own.
            request = request.copy()
            uri = serve_strict_router(request)
        self._route(self._new_transaction(transaction, request), uri, flow, now, out)

    def send_relayed(
        self,
        transaction: TransactionId,
        request: Request,
        branch: Branch,
        uri: Uri,
        now: float,
        out: list[Output],
        flow: Flow | None,
        silence_s: float | None,
    ) -> None:
        """Send a request of somebody else's for a proxy, by `flow` or to where `uri` leads.

        The branch dresses it for the flow that it leaves by. Who says nothing on a flow for `silence_s` is not there.

        Raises: LocalProtocolError when its URI says no next hop.
        """
        opened = self._new_transaction(transaction, request)
        opened.relay = branch
        self._route(opened, uri, flow, now, out)
        if silence_s is not None and flow is not None:
            opened.expire_at = min(opened.expire_at, now + silence_s)
            self._state.transactions.settle(opened)

    def new_query(self) -> int:
        """A number for a `Resolve`."""
        self._last_query += 1
        return self._last_query

    def _route(self, opened: Transaction, uri: Uri, flow: Flow | None, now: float, out: list[Output]) -> None:
        if flow is not None:
            self._start(opened, flow, now, out)
            return
        if uri.scheme not in ("sip", "sips"):
            raise LocalProtocolError(f"{uri.scheme}: says no next hop", status_hint=416)
        hop = next_hop(uri)
        if hop.is_literal:
            self._start(opened, new_flow(hop, ANY_LOCAL, hop.address), now, out, hop)
            return
        query = self.new_query()
        self._resolving[query] = opened, hop
        out.append(Resolve(query, hop.host, hop.port, hop.transport if hop.names_transport else None))

    def resolved(self, query: int, answers: Sequence[Address | Target], now: float, out: list[Output]) -> None:
        """Go on with a request that waited for DNS."""
        waiting = self._resolving.pop(query, None)
        if waiting is None:
            return
        transaction, hop = waiting
        if not answers:
            self._unresolvable(transaction, now, out)
            return
        found = [each if isinstance(each, Target) else Target(hop.transport, each) for each in answers]
        targets = self._dead.last(found, now)
        request = transaction.request
        assert request is not None, "it was not sent yet"
        self._try_first(
            transaction,
            Alternatives(hop, targets, transaction.relay is None and "Contact" not in request.headers),
            now,
            out,
        )

    @property
    def unresolved_count(self) -> int:
        """Requests that wait for DNS."""
        return len(self._resolving)

    # Building

    def _complete(self, request: Request) -> None:
        state, headers = self._state, request.headers
        if "To" not in headers:
            headers.add("To", f"<{request.uri_text}>")
        if "From" not in headers:
            headers.add("From", "<sip:anonymous@anonymous.invalid>")
        if request.from_.tag is None:
            headers.set("From", f"{headers.get('From')};tag={state.entropy.token(8)}")
        if "Call-ID" not in headers:
            headers.add("Call-ID", state.entropy.token(16))
        if "CSeq" not in headers:
            headers.add("CSeq", f"1 {request.method}")
        if "Max-Forwards" not in headers:
            headers.add("Max-Forwards", "70")
        if state.server and "User-Agent" not in headers:
            headers.add("User-Agent", state.server)

    def _new_transaction(self, id_: TransactionId, request: Request) -> Transaction:
        if self._state.transactions.get(id_) is not None:
            raise LocalProtocolError(f"transaction {id_} is under way")
        machine = INVITE_CLIENT if request.method == "INVITE" else NONINVITE_CLIENT
        transaction = Transaction(machine, self._state.timers, reliable=False)
        transaction.id = id_
        transaction.request = request
        number, transaction.method = request.cseq
        transaction.cseq = number
        return transaction

    def _start(
        self, transaction: Transaction, flow: Flow, now: float, out: list[Output], hop: NextHop | None = None
    ) -> None:
        """Send a request for the first time; with `hop`, to where a URI leads, its size may change the transport."""
        state = self._state
        request = transaction.request
        assert request is not None, "a transaction is started once, with its request"
        adds_contact = transaction.relay is None and "Contact" not in request.headers
        flow = state.with_local(flow)
        branch = self._write(transaction, request, flow)
        if hop is not None and transaction.method != "REGISTER":
            by_tcp = self._large.by_tcp(flow, len(transaction.data), now)
            if by_tcp is not None:
                self._leave_way_back(transaction, hop, flow, adds_contact=adds_contact)
                if adds_contact:
                    request.headers.remove("Contact")
                flow = by_tcp
                branch = self._write(transaction, request, flow)
        transaction.reliable = flow.reliable
        out.append(Transmit(transaction.data, flow))
        state.transactions.open_client(transaction, branch, flow, now)

    def _write(self, transaction: Transaction, request: Request, flow: Flow) -> str:
        """The bytes of the request as it goes by `flow`; returns its branch."""
        if transaction.relay is not None:
            branch = self._dress(transaction, flow)
        else:
            branch = self._state.new_branch()
            self._address(transaction, request, flow, branch)
        assert transaction.request is not None, "dressing leaves a request"
        transaction.data = transaction.request.to_bytes()
        return branch

    def _leave_way_back(self, transaction: Transaction, hop: NextHop, flow: Flow, *, adds_contact: bool) -> None:
        others = transaction.alternatives.targets if transaction.alternatives is not None else ()
        targets = [Target(flow.transport, flow.remote), *others]
        transaction.alternatives = Alternatives(hop, targets, adds_contact, after_refusal=True)

    def _dress(self, transaction: Transaction, flow: Flow) -> str:
        assert self.proxy is not None, "only a proxy sends for others"
        branch = self.proxy.new_branch(transaction.relay)
        transaction.request = self.proxy.dressed(transaction.relay, flow, branch)
        return branch

    def _address(self, transaction: Transaction, request: Request, flow: Flow, branch: str) -> None:
        state = self._state
        request.headers.remove("Via")
        request.headers.prepend("Via", state.via(flow, branch))
        if transaction.method in TARGET_REFRESH and "Contact" not in request.headers:
            request.headers.add("Contact", state.contact(flow, request))
        elif transaction.method == "REGISTER" and OWN_ADDRESS in (contact := request.headers.get("Contact", "")):
            request.headers.set("Contact", with_own_address(contact, flow, state.sent_by(flow)))

    # Targets that are not found

    def _cancel_unresolved(self, transaction: TransactionId, now: float, out: list[Output]) -> None:
        for query, (waiting, _) in list(self._resolving.items()):
            if waiting.id == transaction:
                del self._resolving[query]
                self._unresolvable(waiting, now, out)

    def _unresolvable(self, transaction: Transaction, now: float, out: list[Output]) -> None:
        if transaction.relay is not None and self.proxy is not None:
            self.proxy.failed(transaction.relay, Failure.RESOLVE, now, out)
        else:
            out.append(RequestFailed(transaction.id, Failure.RESOLVE))

    # Several targets (RFC 3263 §4.3)

    def _try_first(self, transaction: Transaction, targets: Alternatives, now: float, out: list[Output]) -> None:
        (transport, address), *rest = targets.targets
        hop = targets.hop._replace(transport=transport)
        if rest:
            transaction.alternatives = targets._replace(targets=rest, after_refusal=False)
        flow = new_flow(hop, ANY_LOCAL, address)
        self._start(transaction, flow, now, out, None if targets.after_refusal else hop)
        if rest:
            transaction.expire_at = min(transaction.expire_at, now + self._state.timers.failover)
            self._state.transactions.settle(transaction)

    def _try_next(self, failed: Transaction, now: float, out: list[Output], *, unreachable: bool = False) -> bool:
        """RFC 3263 §4.3: the next target, in "a new transaction", for which the old one leaves its id."""
        targets, request = failed.alternatives, failed.request
        if targets is not None and failed.flow is not None:
            self._dead.add(Target(failed.flow.transport, failed.flow.remote), now)
        if targets is None or request is None or failed.cancel_headers is not None or failed.forks:
            return False
        if targets.after_refusal and not unreachable:
            # RFC 3261 §18.1.1 goes back to UDP for a connection that is refused, not for what came over it.
            targets = targets._replace(targets=targets.targets[1:], after_refusal=False)
            if not targets.targets:
                return False
        elif targets.after_refusal:
            self._large.refused(targets.targets[0].address, now)
        failed.alternatives = None
        id_ = failed.id
        self._state.transactions.give_up_id(failed)
        failed.silent = True
        self._state.counters["requests_failed_over"] += 1
        if targets.adds_contact:
            request.headers.remove("Contact")
        opened = self._new_transaction(id_, request)
        opened.relay = failed.relay
        self._try_first(opened, targets, now, out)
        return True
