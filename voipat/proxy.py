"""A stateful SIP proxy as a part of an App: calls only pass, their media goes from phone to phone (RFC 3261 §16).

    app = voipat.App(listen="udp://127.0.0.1:5060", registrar=registrar, proxy=voipat.Proxy())

The policy is a pure function of a request: where it goes, or why it does not. It sees no socket and no clock, so that a
test calls it with a request and compares what it returns. Without one, registered users reach each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from itertools import chain, groupby
from typing import TYPE_CHECKING, Final

from sipcore.errors import ParseError
from sipcore.events import RelayedInDialog, RelayEnded, RelayReceived
from sipcore.proxy import MAX_TARGETS, ProxyTarget, Search
from sipcore.uri import Uri, unescape
from voipat import reasons
from voipat.accounts import Identity
from voipat.dialing import flow_to
from voipat.errors import Rejected
from voipat.location import Binding
from voipat.proxied_calls import ProxiedCalls
from voipat.reasons import Reason

if TYPE_CHECKING:
    from sipcore.flow import Flow
    from sipcore.message import Request
    from voipat.exchange import Exchange
    from voipat.switch import Switch

# A policy runs in the path of every message: one that takes longer is noted in the call's trace and counted.
POLICY_BUDGET_S: Final = 50e-6

Destination = str | Uri | Binding


@dataclass(frozen=True, slots=True)
class ProxyRequest:
    """What a policy may look at. `tenant` and `caller` are proven, "" for a stranger; `source` is an IP address."""

    method: str
    uri: Uri
    from_: Uri
    to: Uri
    tenant: str
    caller: str
    source: str
    transport: str
    header: Callable[[str], str | None]
    # The phones of a user of the tenant, best first.
    bindings: Callable[[str], Sequence[Binding]]

    @property
    def callee(self) -> str:
        """The user part of the Request-URI, unescaped."""
        try:
            return unescape(self.uri.user or "")
        except ParseError:
            return self.uri.user or ""


@dataclass(frozen=True, slots=True)
class Forward:
    """Try these: a list of destinations together, or a list of lists one after another, each for `ring_s` seconds.

    `record_route`: see the whole dialog, not only its first request. `recurse`: follow redirections ourselves.
    """

    to: Sequence[Destination] | Sequence[Sequence[Destination]]
    record_route: bool = True
    ring_s: float | None = None
    recurse: bool = False


@dataclass(frozen=True, slots=True)
class Reject:
    """Answer by ourselves, with the reason's status or another one."""

    reason: Reason = reasons.DECLINED
    status: int | None = None


Decision = Forward | Reject
# What a call takes for as long as it lasts, from before it is forwarded; entering raises Rejected when there is none.
Admission = Callable[["ProxyRequest", Forward], AbstractContextManager[object]]
Policy = Callable[[ProxyRequest], Decision]


def to_registered(request: ProxyRequest) -> Decision:
    """The policy when none is given: all phones of the user, those with the highest q first."""
    bindings = request.bindings(request.callee)
    if not bindings:
        return Reject(reasons.NOT_REGISTERED)
    return Forward([list(group) for _, group in groupby(bindings, key=lambda binding: binding.q)], ring_s=30.0)


class Proxy:
    """Proxies the requests of an App's tenants, instead of ending them here.

    `serves` says of which tenants, by domain (all when None). With `public`, strangers may call the tenants' users.
    `admit` says what each call takes that the policy lets pass.
    """

    def __init__(
        self,
        policy: Policy = to_registered,
        *,
        serves: Callable[[str], bool] | None = None,
        public: bool = False,
        admit: Admission | None = None,
    ) -> None:
        self.policy: Final = policy
        self.admit: Final = admit
        self.public: Final = public
        # Whether the calls of a domain are proxied.
        self.serves: Final[Callable[[str], bool]] = serves or _serves_all
        self._switch: Switch | None = None
        self._calls: ProxiedCalls | None = None

    def attach(self, switch: Switch) -> None:
        """Called by the App at its start."""
        self._switch = switch
        self._calls = ProxiedCalls(switch)

    def detach(self) -> None:
        """Called by the App when it ends."""
        if self._calls is not None:
            self._calls.close()

    # Events of the endpoint

    def on_event(self, event: RelayReceived | RelayEnded | RelayedInDialog) -> None:
        """One that concerns a proxied request."""
        assert self._calls is not None, "events come between start and end"
        if isinstance(event, RelayReceived):
            self._received(event)
        elif isinstance(event, RelayEnded):
            self._calls.answered_or_failed(event)
        else:
            self._calls.passed(event)

    def _received(self, event: RelayReceived) -> None:
        assert self._switch is not None and self._calls is not None, "events come between start and end"
        switch, request = self._switch, event.request
        identity = event.identity if isinstance(event.identity, Identity) else None
        call = self._calls.started(event, identity) if request.method == "INVITE" else None
        tenant = identity.tenant if identity is not None else switch.domain_of(request.uri, event.flow) or ""
        began = switch.loop.time()
        view = _view(request, event.flow, identity, tenant, switch)
        decision = self._decide(view, request.call_id)
        if switch.loop.time() - began > POLICY_BUDGET_S:
            switch.counters["proxy_policy_slow"] += 1
        if isinstance(decision, Forward) and call is not None:
            decision = self._admitted(event, view, decision)
        if isinstance(decision, Forward) and (search := self._search(decision)) is not None:
            if call is not None:
                switch.recorder.note(call, "proxied to %d targets", sum(len(group) for group in search.groups))
            switch.exchange.relay(event.transaction, search)
            return
        reason = decision.reason if isinstance(decision, Reject) else reasons.NOT_REGISTERED
        status = (decision.status if isinstance(decision, Reject) else None) or reason.status
        self._refuse(switch.exchange, event, reason, status)

    def _decide(self, request: ProxyRequest, call_id: str) -> Decision:
        assert self._switch is not None, "asked by _received"
        try:
            return self.policy(request)
        except Exception:
            self._switch.exchange.failed("the policy of the proxy failed", call_id)
            return Reject(reasons.INTERNAL_ERROR)

    def _admitted(self, event: RelayReceived, request: ProxyRequest, decision: Forward) -> Decision:
        """The decision once the call has its place."""
        if self.admit is None or self._calls is None:
            return decision
        with ExitStack() as place:
            try:
                place.enter_context(self.admit(request, decision))
            except Rejected as refused:
                return Reject(refused.reason)
            self._calls.hold(event.transaction, place.pop_all())
        return decision

    def _search(self, decision: Forward) -> Search | None:
        groups: list[Sequence[Destination]] = []
        for each in decision.to:
            group = each if isinstance(each, Sequence) and not isinstance(each, str) else None
            if group is None:
                groups = [decision.to]  # type: ignore[list-item]  # one flat list
                break
            groups.append(group)
        left, bounded = MAX_TARGETS, []
        for targets in _targets(groups):
            bounded.append(targets[:left])
            left -= len(bounded[-1])
        if left == MAX_TARGETS:
            return None
        return Search(tuple(bounded), decision.record_route, decision.ring_s, decision.recurse)

    def _refuse(self, exchange: Exchange, event: RelayReceived, reason: Reason, status: int) -> None:
        exchange.respond(event.transaction, status, (reason.warning(str(event.flow.local)),))
        if self._calls is not None:
            self._calls.refused(event, reason, status)


def _targets(groups: Sequence[Sequence[Destination]]) -> list[tuple[ProxyTarget, ...]]:
    """Raises: ParseError for a text that is no URI.

    RFC 5626 §7: "The proxy MUST NOT populate the target set with more than one contact with the same AOR and
    instance-id at a time": a phone stands where the first of its flows does.
    """
    flows: dict[tuple[str, str, str], list[ProxyTarget]] = {}
    for each in chain.from_iterable(groups):
        if isinstance(each, Binding) and each.reg_id:
            flows.setdefault((each.tenant, each.aor, each.device), []).append(_target(each))
    found = []
    for group in groups:
        targets = []
        for each in group:
            if not isinstance(each, Binding) or not each.reg_id:
                targets.append(_target(each))
            elif phone := flows.pop((each.tenant, each.aor, each.device), None):
                first, *others = phone
                targets.append(replace(first, others=tuple(others)))
        found.append(tuple(targets))
    return found


def _target(destination: Destination) -> ProxyTarget:
    if isinstance(destination, Binding):
        uri = Uri.parse(destination.contact)
        return ProxyTarget(uri, flow_to(destination, uri), destination.path)
    return ProxyTarget(Uri.parse(destination) if isinstance(destination, str) else destination)


def _view(request: Request, flow: Flow, identity: Identity | None, tenant: str, switch: Switch) -> ProxyRequest:
    return ProxyRequest(
        method=request.method,
        uri=request.uri,
        from_=request.from_.uri,
        to=request.to.uri,
        tenant=tenant,
        caller="" if identity is None else identity.user,
        source=flow.remote.host,
        transport=flow.transport,
        header=request.headers.get,
        bindings=lambda user: sorted(switch.lookup(tenant, user), key=lambda binding: -binding.q),
    )


def _serves_all(domain: str) -> bool:
    return True
