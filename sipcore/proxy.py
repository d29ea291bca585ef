"""A stateful proxy (RFC 3261 §16) beside the user agent cores: one response context for each request that passes.

    RelayReceived ─▶ policy says targets ─▶ relay ─▶ a branch each ─▶ responses ─▶ the best one goes back (§16.7)

Loops and spirals are told apart by a hash in the branch (RFC 5393 §4.2.1); a parallel search has the breadth that
Max-Breadth leaves (§5.3.3). Requests within a dialog come back by a Record-Route that only we can write: it is bound to
the Call-ID, and names the flow to each side, so that a phone behind a NAT is reached by the flow it came on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Final

from sipcore.auth import parse_digest
from sipcore.best_response import best_response, gather_challenges
from sipcore.errors import LocalProtocolError, ParseError
from sipcore.events import (
    Failure,
    RelayedInDialog,
    RelayEnded,
    RelayReceived,
    TransactionId,
)
from sipcore.fields import qvalue
from sipcore.flow import Address, Flow
from sipcore.locate import Target
from sipcore.message import Request, Response
from sipcore.outputs import Output, Resolve, Transmit
from sipcore.proxy_routes import RouteKey, process_routes, record_routes
from sipcore.refusals import Refusal
from sipcore.routing import ANY_LOCAL, NextHop, new_flow, next_hop, serve_strict_router
from sipcore.state import EndpointState
from sipcore.timers import Clock
from sipcore.transaction import HeaderPairs, Input, Transaction
from sipcore.transaction.noninvite_server import NONINVITE_SERVER
from sipcore.transaction.table import MAGIC_COOKIE, ServerKey
from sipcore.uac import UserAgentClient
from sipcore.uas import UserAgentServer
from sipcore.uri import Uri
from sipcore.values import made_in_c, value_object

# One request must not become a storm of them.
MAX_TARGETS: Final = 32
# A phone that has another flow and does not even say 100 on this one is not there any more.
FLOW_SILENCE_S: Final = 0.7
# RFC 5393 §5.3.3.1: what a request without the header may be spread over.
DEFAULT_BREADTH: Final = 60
MAX_FORWARDS: Final = 70
# ACKs whose next hop waits for DNS; one more is dropped and counted.
MAX_WAITING_ACKS: Final = 1000
# RFC 3325 §5: from a node that it does not trust, a proxy "MUST NOT forward" these; ours trusts none. The first draft's
# Remote-Party-ID is believed by carriers just so.
_ASSERTIONS: Final = ("P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID")
# RFC 3326 §2: a phone that lost the race shows no missed call.
ELSEWHERE: Final = (("Reason", 'SIP;cause=200;text="Call completed elsewhere"'),)

# Our own finals, none of which has two causes here.
_REFUSALS: Final = {
    refusal.status: refusal
    for refusal in (
        Refusal.NO_RESPONSE,
        Refusal.UNKNOWN_SCHEME,
        Refusal.FLOW_GONE,
        Refusal.TOO_BROAD,
        Refusal.NO_TARGET,
        Refusal.CANCELLED,
        Refusal.NEXT_HOP_FAILED,
        Refusal.BAD_RESPONSE,
    )
}


@value_object(frozen=True, slots=True)
class ProxyTarget:
    """Where a request is to go: the Request-URI, the flow when one is known (RFC 5626), the Path (RFC 3327).

    `others`: further flows of the same phone, tried one at a time when this one fails (RFC 5626 §7).
    """

    uri: Uri
    flow: Flow | None = None
    path: tuple[str, ...] = ()
    others: tuple[ProxyTarget, ...] = ()


@value_object(frozen=True, slots=True)
class Search:
    """How the targets are tried: group after group, those of one together. `group_s` None: until Timer C.

    `record_route`: whether the dialog's requests come this way too. `recurse`: whether the contacts of a 3xx are tried
    (§16.7, step 4).
    """

    groups: tuple[tuple[ProxyTarget, ...], ...]
    record_route: bool = True
    group_s: float | None = None
    recurse: bool = False


_NO_SEARCH: Final = Search(())


@made_in_c
@dataclass(slots=True, eq=False)
class Branch:
    """One client transaction of a context; dresses the request for the flow that it leaves by."""

    context: ResponseContext
    id: TransactionId
    base: Request
    by_flow: bool = False
    others: tuple[ProxyTarget, ...] = ()
    timer_c_at: float = inf
    is_done: bool = False
    was_cancelled: bool = False

    def dressed(self, state: EndpointState, key: RouteKey, flow: Flow, branch: str) -> Request:
        """The request as it goes out: our Via on top, and our Record-Route (§16.6, steps 4 and 8)."""
        request = self.base.copy()
        context = self.context
        if context.records:
            received = context.flow
            for value in reversed(record_routes(state, key, request, received, flow, sent_by_flow=self.by_flow)):
                request.headers.prepend("Record-Route", value)
        request.headers.prepend("Via", state.via(flow, branch))
        return request


@dataclass(slots=True, eq=False)
class ResponseContext(Clock):
    """What a request that passes has become (§16.2)."""

    server: Transaction
    request: Request
    flow: Flow
    search: Search = _NO_SEARCH
    records: bool = False
    loop_hash: str = ""
    branches: list[Branch] = field(default_factory=list)
    waiting: list[tuple[ProxyTarget, ...]] = field(default_factory=list)
    finals: list[tuple[int, Response | None]] = field(default_factory=list)
    tried: set[tuple[object, ...]] = field(default_factory=set)
    group_at: float = inf
    cancelled: bool = False
    answered: bool = False
    ended: bool = False
    in_dialog: bool = False

    def __post_init__(self) -> None:
        self.computes = True

    def next_deadline(self) -> float:
        """The end of the group's turn, or the first Timer C."""
        soonest = self.group_at
        for branch in self.branches:
            soonest = min(soonest, branch.timer_c_at)
        return soonest

    @property
    def pending(self) -> list[Branch]:
        """Branches without a final response."""
        found = []
        for branch in self.branches:
            if not branch.is_done:
                found.append(branch)  # a comprehension is a call of a function
        return found


class ProxyCore:
    """Forwards requests and chooses among their responses."""

    __slots__ = ("_client", "_key", "_server", "_state", "_waiting_acks", "is_own_realm")

    def __init__(self, state: EndpointState, server: UserAgentServer, client: UserAgentClient, secret: bytes) -> None:
        self._state = state
        self._server = server
        self._client = client
        self._key = RouteKey(secret)
        self._waiting_acks: dict[int, tuple[Request, NextHop, Flow]] = {}
        # Whose credentials end here.
        self.is_own_realm: Callable[[str], bool] = _no_realm

    @property
    def key(self) -> RouteKey:
        """What our Record-Route is signed with."""
        return self._key

    # Requests

    def receive(
        self, key: ServerKey, request: Request, flow: Flow, identity: object | None, now: float, out: list[Output]
    ) -> None:
        """Take a request that starts something; what becomes of it is the transaction user's to say."""
        loop_hash = self._loop_hash(request)
        if self._refuse(request, flow, loop_hash, out):
            return
        routed = process_routes(request, self._key, flow)
        self._clean(request)
        context = self._open(key, request, flow, loop_hash, now)
        if routed.flow is not None or routed.was_strict:
            # A request that starts nothing new but was given our route: it follows it.
            self.relay(context.server.id, Search(((ProxyTarget(request.uri, routed.flow),),), False), now, out)
            return
        out.append(RelayReceived(context.server.id, request, flow, identity))

    def takes(self, request: Request) -> bool:
        """Whether a request within a dialog comes by our Record-Route."""
        return self._key.names_us(request)

    def receive_in_dialog(self, key: ServerKey, request: Request, flow: Flow, now: float, out: list[Output]) -> None:
        """Forward a request within a dialog along its route (§16.4, §16.12)."""
        loop_hash = self._loop_hash(request)
        if self._refuse(request, flow, loop_hash, out):
            return
        routed = process_routes(request, self._key, flow)
        self._clean(request)
        context = self._open(key, request, flow, loop_hash, now)
        context.in_dialog = True
        out.append(RelayedInDialog(request, flow))
        self.relay(context.server.id, Search(((ProxyTarget(request.uri, routed.flow),),), True), now, out)

    def pass_ack(self, request: Request, flow: Flow, now: float, out: list[Output]) -> bool:
        """Forward the ACK to a 2xx, without state (§16.11); False when it is not ours to forward."""
        if not self._key.names_us(request):
            return False
        if request.max_forwards == 0:
            self._state.counters["acks_without_forwards"] += 1
            return True
        routed = process_routes(request, self._key, flow)
        self._clean(request)
        _count_down(request)
        out.append(RelayedInDialog(request, flow))
        hop = next_hop(serve_strict_router(request))
        if routed.flow is not None:
            self._send_ack(request, routed.flow, out)
        elif hop.is_literal:
            self._send_ack(request, new_flow(hop, ANY_LOCAL, hop.address), out)
        elif len(self._waiting_acks) < MAX_WAITING_ACKS:
            query = self._client.new_query()
            self._waiting_acks[query] = request, hop, flow
            out.append(Resolve(query, hop.host, hop.port, hop.transport if hop.names_transport else None))
        else:
            self._state.counters["acks_unresolved"] += 1
        return True

    def resolved(self, query: int, answers: Sequence[Address | Target], out: list[Output]) -> bool:
        """DNS answered for an ACK; False when it was asked for something else."""
        waiting = self._waiting_acks.pop(query, None)
        if waiting is None:
            return False
        request, hop, _ = waiting
        if answers:
            first = answers[0]
            transport, address = first if isinstance(first, Target) else (hop.transport, first)
            self._send_ack(request, new_flow(hop._replace(transport=transport), ANY_LOCAL, address), out)
        else:
            self._state.counters["acks_unresolved"] += 1
        return True

    def _send_ack(self, request: Request, flow: Flow, out: list[Output]) -> None:
        # Without state a repeated ACK must get the same branch (§16.11).
        came = f"{request.via.branch}\n{request.call_id}\n{request.cseq.number}"
        flow = self._state.with_local(flow)
        request.headers.prepend("Via", self._state.via(flow, f"{MAGIC_COOKIE}{self._key.digest(came)}"))
        out.append(Transmit(request.to_bytes(), flow))

    def _refuse(self, request: Request, flow: Flow, loop_hash: str, out: list[Output]) -> bool:
        """What a request has to pass (§16.3)."""
        server, has_looped = self._server, False
        options = request.headers.get_all("Proxy-Require")
        for via in request.vias:
            has_looped = has_looped or (via.branch or "").endswith(f".{loop_hash}")
        if request.max_forwards == 0:
            server.refuse(request, flow, Refusal.TOO_MANY_HOPS, out)
        elif has_looped:
            server.refuse(request, flow, Refusal.LOOPED, out)
        elif options:
            server.refuse(request, flow, Refusal.UNKNOWN_EXTENSION, out, (("Unsupported", ", ".join(options)),))
        elif self._state.transactions.size() >= self._state.max_transactions:
            server.refuse(request, flow, Refusal.TABLE_FULL, out, (("Retry-After", "10"),))
        else:
            return False
        return True

    def _clean(self, request: Request) -> None:
        """Take out what must not pass."""
        headers = request.headers
        for name in _ASSERTIONS:
            if name in headers:
                headers.remove(name)
        if "Proxy-Authorization" in headers:
            self._consume_credentials(request)

    def _consume_credentials(self, request: Request) -> None:
        """RFC 3261 §22.3: those of another realm are for a proxy further on, which "MUST NOT be consumed" here.

        Ours are nobody's business behind us: a digest is a password to guess at leisure. An ACK has its INVITE's.
        """
        values = request.headers.get_all("Proxy-Authorization")
        request.headers.remove("Proxy-Authorization")
        for value in values:
            params = parse_digest(value)
            if params is None or not self.is_own_realm(params.get("realm", "")):
                request.headers.add("Proxy-Authorization", value)

    def _open(self, key: ServerKey, request: Request, flow: Flow, loop_hash: str, now: float) -> ResponseContext:
        transaction = self._server.open_relayed(key, request, flow, now)
        context = ResponseContext(transaction, request, flow, loop_hash=loop_hash)
        transaction.relay = context
        return context

    def _loop_hash(self, request: Request) -> str:
        """RFC 5393 §4.2.1: all that decides where the request goes; a loop has it twice, a spiral has not."""
        headers = request.headers
        parts = [request.uri_text, request.call_id, request.from_.tag or "", request.to.tag or ""]
        parts += [str(request.cseq.number), request.method, *headers.get_all("Route")]
        parts += headers.get_all("Proxy-Require")
        return self._key.digest("\n".join(parts))

    # Verbs of the transaction user

    def relay(self, transaction: TransactionId, search: Search, now: float, out: list[Output]) -> None:
        """Send the request to its targets; nothing when it has its final response or was cancelled.

        Without a target the answer is 480, and 440 when a group is broader than Max-Breadth allows.
        """
        server = self._state.transactions.get(transaction)
        context = None if server is None else server.relay
        if not isinstance(context, ResponseContext) or context.ended:
            return
        context.search = search
        context.records = search.record_route and context.request.method in ("INVITE", "SUBSCRIBE", "REFER", "NOTIFY")
        breadth = _breadth(context.request)
        if max(map(len, search.groups), default=0) > breadth:
            self._finish(context, 440, None, now, out)
            return
        context.waiting = list(filter(None, search.groups))
        self._next_group(context, now, out)

    def respond(self, transaction: Transaction, now: float, out: list[Output]) -> None:
        """The transaction user answered by itself: nothing more is forwarded."""
        context = transaction.relay
        if isinstance(context, ResponseContext):
            self._close(context, now, out)

    def cancel(self, context: ResponseContext, headers: HeaderPairs, now: float, out: list[Output]) -> None:
        """The caller gave up: so do all branches (§16.10); the 487 that answers it is theirs."""
        context.cancelled = True
        context.waiting.clear()
        self._cancel_pending(context, headers, now, out)
        if not context.branches and not context.ended:
            self._finish(context, 487, None, now, out)

    # Branches

    def _next_group(self, context: ResponseContext, now: float, out: list[Output]) -> None:
        while context.waiting and not context.ended:
            breadth, targets = _breadth(context.request), []
            group = context.waiting.pop(0)
            if len(group) > breadth:
                # RFC 5393 §5.3.3.2: what may not be tried together is tried afterwards. These are of a 3xx.
                context.waiting.insert(0, group[breadth:])
            for each in group[:breadth]:
                # §16.5: a target that was tried is not tried again.
                flow = each.flow
                key = (str(each.uri), flow and (flow.transport, flow.local, flow.remote, flow.connection))
                if key not in context.tried and len(context.tried) < MAX_TARGETS:
                    context.tried.add(key)
                    targets.append(each)
            share = breadth // max(len(targets), 1)
            for target in targets:
                self._try(context, target, share, now, out)
            if context.pending:
                turn = context.search.group_s
                context.group_at = inf if turn is None else now + turn
                self._state.deadlines.schedule(context)
                return
        if not context.pending and not context.ended:
            self._choose(context, now, out)

    def _try(self, context: ResponseContext, target: ProxyTarget, breadth: int, now: float, out: list[Output]) -> None:
        request = context.request.copy()
        if not context.in_dialog:
            request.uri = target.uri
        _count_down(request)
        request.headers.set("Max-Breadth", str(breadth))
        for path in reversed(target.path):
            request.headers.prepend("Route", path)
        hop = serve_strict_router(request)
        branch = Branch(context, self._state.transactions.new_id(), request, target.flow is not None, target.others)
        context.branches.append(branch)
        if request.method == "INVITE":
            branch.timer_c_at = now + self._state.timers.c
        flow = target.flow if not target.path else None
        try:
            silence = FLOW_SILENCE_S if target.others else None
            self._client.send_relayed(branch.id, request, branch, hop, now, out, flow, silence)
        except LocalProtocolError as error:
            self._branch_failed(branch, error.status_hint, now, out)

    def new_branch(self, branch: Branch) -> str:
        """The branch parameter, which ends in the hash of the loop check."""
        return f"{self._state.new_branch()}.{branch.context.loop_hash}"

    def dressed(self, branch: Branch, flow: Flow, parameter: str) -> Request:
        """The request of a branch as it leaves on `flow`."""
        return branch.dressed(self._state, self._key, flow, parameter)

    # Responses (§16.7)

    def received(self, branch: Branch, response: Response, now: float, out: list[Output]) -> None:
        """A response of a branch."""
        context, status = branch.context, response.status
        if not _drop_top_via(response):
            # Step 3: it "MUST NOT be forwarded", and is as good as none.
            if status >= 200:
                self._branch_failed(branch, 502, now, out)
            return
        if status < 200:
            self._provisional(branch, response, now, out)
            return
        branch.is_done = True
        branch.timer_c_at = inf
        if status < 300:
            self._success(context, response, now, out)
            return
        if status in (408, 430) and self._try_other_flow(branch, now, out):
            return
        context.finals.append((status, response))
        if 300 <= status < 400 and context.search.recurse:
            self._recurse(context, response, now, out)
        if status >= 600:
            # "The proxy MUST NOT immediately forward" a 6xx, and "cancel all client transactions pending".
            context.waiting.clear()
            self._cancel_pending(context, (), now, out)
        self._advance(context, now, out)

    def failed(self, branch: Branch, failure: Failure, now: float, out: list[Output]) -> None:
        """A branch ended without a response: 408, or as if it had been 503 (§16.9)."""
        status = 408 if failure is Failure.TIMEOUT else 503
        if branch.by_flow and branch.context.in_dialog and failure is Failure.TRANSPORT:
            # RFC 5626 §5.3.1: the flow that our Route names "no longer exists": 430 (Flow Failed).
            status = 430
        self._branch_failed(branch, status, now, out)

    def _branch_failed(self, branch: Branch, status: int, now: float, out: list[Output]) -> None:
        if branch.is_done:
            return
        branch.is_done = True
        branch.timer_c_at = inf
        if self._try_other_flow(branch, now, out):
            return
        branch.context.finals.append((status, None))
        self._advance(branch.context, now, out)

    def _try_other_flow(self, branch: Branch, now: float, out: list[Output]) -> bool:
        """RFC 5626 §7: whoever got no answer of the phone by one of its flows tries the next; after any other answer

        "the proxy MUST NOT forward the same request to another target representing the same AOR and instance-id".
        """
        context = branch.context
        if not branch.others or branch.was_cancelled or context.cancelled or context.ended:
            return False
        first, *others = branch.others
        self._try(context, replace(first, others=tuple(others)), _breadth(branch.base), now, out)
        self._state.deadlines.schedule(context)
        return True

    def _provisional(self, branch: Branch, response: Response, now: float, out: list[Output]) -> None:
        context = branch.context
        if response.status == 100 or context.server.machine is NONINVITE_SERVER or context.ended:
            # RFC 4320 §4.1: none for a request other than INVITE.
            return
        branch.timer_c_at = now + self._state.timers.c
        self._state.deadlines.schedule(context)
        self._forward(context, response, Input.PROVISIONAL, now, out)

    def _success(self, context: ResponseContext, response: Response, now: float, out: list[Output]) -> None:
        is_first = not context.answered
        context.answered = True
        context.waiting.clear()
        if context.request.method == "INVITE" or is_first:
            # Every 2xx to an INVITE goes back, each has its dialog (step 5).
            self._forward(context, response, Input.SUCCESS, now, out)
        if is_first:
            self._end(context, response.status, response, out)
            self._cancel_pending(context, ELSEWHERE, now, out)

    def _recurse(self, context: ResponseContext, response: Response, now: float, out: list[Output]) -> None:
        try:
            contacts = [each for each in response.contacts if each.uri.scheme in ("sip", "sips")]
        except ParseError:
            return
        # §16.6: "processed in order of q-value", and those of one together.
        by_q: dict[float, list[ProxyTarget]] = {}
        for each in contacts:
            by_q.setdefault(qvalue(each.params.get("q")), []).append(ProxyTarget(each.uri))
        if by_q and not context.cancelled:
            context.finals.pop()
            context.waiting[:0] = [tuple(by_q[q]) for q in sorted(by_q, reverse=True)]

    def _advance(self, context: ResponseContext, now: float, out: list[Output]) -> None:
        if not context.pending and not context.ended:
            context.group_at = inf
            self._next_group(context, now, out)

    def _choose(self, context: ResponseContext, now: float, out: list[Output]) -> None:
        status, response = best_response(context.finals)
        if status == 487 and not context.cancelled:
            # The branch was given up by us: nobody took the call in time.
            status, response = 408, None
        if status == 503:
            # Step 6: a 503 is about the hop behind us; "the proxy SHOULD generate a 500".
            status, response = 500, None
        if response is not None and status in (401, 407):
            gather_challenges(response, context.finals)
        self._finish(context, status, response, now, out)

    def _finish(
        self, context: ResponseContext, status: int, response: Response | None, now: float, out: list[Output]
    ) -> None:
        if response is not None:
            self._forward(context, response, Input.FAILURE, now, out)
        elif context.server.request is not None:  # None: it has timed out itself
            refusal = _REFUSALS.get(status, Refusal.UNROUTABLE)
            headers = self._state.refusal_headers(refusal, context.flow)
            self._server.respond(context.server, status, now, out, None, headers)
        self._end(context, status, response, out)

    def _forward(
        self, context: ResponseContext, response: Response, input_: Input, now: float, out: list[Output]
    ) -> None:
        server = context.server
        actions = server.step(input_, now)
        if not actions:
            self._state.counters["responses_late"] += 1
            return
        server.data = response.to_bytes()
        self._server.perform(server, actions, now, out)

    def _end(self, context: ResponseContext, status: int, response: Response | None, out: list[Output]) -> None:
        if not context.ended:
            context.ended = True
            context.group_at = inf
            if not context.in_dialog:
                out.append(RelayEnded(context.server.id, context.request, status, response))

    def _close(self, context: ResponseContext, now: float, out: list[Output]) -> None:
        context.ended = True
        context.waiting.clear()
        self._cancel_pending(context, (), now, out)

    def _cancel_pending(self, context: ResponseContext, headers: HeaderPairs, now: float, out: list[Output]) -> None:
        for branch in context.pending:
            branch.was_cancelled = True
            branch.timer_c_at = inf
            if context.request.method == "INVITE":
                self._client.cancel(branch.id, now, out, headers)

    # Time

    def handle_timeout(self, context: ResponseContext, now: float, out: list[Output]) -> None:
        """The group's turn is over, or Timer C of a branch has fired (§16.8)."""
        for branch in context.pending:
            if branch.timer_c_at <= now:
                branch.timer_c_at = inf
                self._give_up(branch, now, out)
        if context.group_at <= now:
            context.group_at = inf
            for branch in context.pending:
                self._give_up(branch, now, out)
            if context.waiting:
                self._next_group(context, now, out)

    def _give_up(self, branch: Branch, now: float, out: list[Output]) -> None:
        branch.timer_c_at = inf
        if branch.was_cancelled:
            return
        branch.was_cancelled = True
        self._client.cancel(branch.id, now, out, ())


def _no_realm(realm: str) -> bool:
    return False


def _breadth(request: Request) -> int:
    if "Max-Breadth" not in request.headers:
        return DEFAULT_BREADTH
    text = request.headers.get("Max-Breadth", "").strip()
    return min(int(text), DEFAULT_BREADTH) if text.isdigit() and len(text) < 10 else DEFAULT_BREADTH


def _count_down(request: Request) -> None:
    left = request.max_forwards
    request.headers.set("Max-Forwards", str(MAX_FORWARDS if left is None else left - 1))


def _drop_top_via(response: Response) -> bool:
    """False when there is no other."""
    values = response.headers.get_all("Via")[1:]
    response.headers.remove("Via")
    for value in reversed(values):
        response.headers.prepend("Via", value)
    return bool(values)
