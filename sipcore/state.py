"""What the two cores of an endpoint share: tables, deadlines, entropy, and how our own address is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from sipcore.dialog import Dialog, DialogTable
from sipcore.entropy import Entropy
from sipcore.flow import Address, Flow
from sipcore.message import Request
from sipcore.refusals import RefusalHeaders, no_headers
from sipcore.routing import SECURE, contact_value, via_value, wants_sips
from sipcore.timers import Deadlines, Timers
from sipcore.transaction import HeaderPairs
from sipcore.transaction.table import MAGIC_COOKIE, TransactionTable
from sipcore.values import value_object


@value_object(frozen=True, slots=True)
class Admit:
    """The gate lets the request in; `identity` comes back in `RequestReceived`."""

    identity: object | None = None


@value_object(frozen=True, slots=True)
class Refuse:
    """The gate wants this response sent, without any state (RFC 3261 §8.2.7)."""

    status: int
    reason: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


@value_object(frozen=True, slots=True)
class Answer:
    """The gate knows the answer to a request that changes nothing (OPTIONS): sent when the request is acceptable at

    all, without any state.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()


@value_object(frozen=True, slots=True)
class Relay:
    """The gate lets the request pass through us as a proxy; `identity` comes back in `RelayReceived`."""

    identity: object | None = None


@value_object(frozen=True, slots=True)
class Drop:
    """The gate wants silence; `reason` is the counter's name."""

    reason: str


Verdict = Admit | Answer | Refuse | Drop | Relay
Gate = Callable[[Request, Flow, float], Verdict]
StrayGate = Callable[[Request, Flow, float], bool]


@dataclass(slots=True, eq=False)
class EndpointState:
    """Everything an endpoint knows. `supported` are the option tags that a Require may name."""

    entropy: Entropy
    gate: Gate | None
    timers: Timers
    advertised: Callable[[Flow], Address] | None
    server: str
    supported: frozenset[str]
    symmetric: bool
    max_transactions: int
    deadlines: Deadlines
    transactions: TransactionTable
    dialogs: DialogTable
    counters: Counter[str]
    # Our addresses per transport, to give a new flow its local end; `source` says which of several reaches a host.
    locals: dict[str, list[Address]]
    source: Callable[[str], str | None] | None = None
    answers_stray: StrayGate | None = None
    # How long the message in hand is: what is answered without state may be so many times as long, and no more.
    received_bytes: int = 0
    # RFC 3261 §18.1.1: requests over 1300 bytes leave UDP.
    large_by_tcp: bool = True
    # RFC 5627 §6.1: the contact behind a GRUU of our own registrar; None: no GRUU of ours, or nobody there.
    contact_at: Callable[[str], str | None] | None = None
    # What our own refusals say beyond their status.
    refusal_headers: RefusalHeaders = no_headers
    # Our SUBSCRIBEs by Call-ID and From tag: the NOTIFY that comes for one, maybe before its 2xx, makes the dialog.
    subscribing: dict[tuple[str, str], Request] = field(default_factory=dict)

    def sent_by(self, flow: Flow) -> Address:
        """Our address as the peer on `flow` can reach it."""
        return flow.local if self.advertised is None else self.advertised(flow)

    def contact(self, flow: Flow, request: Request) -> str:
        """Our Contact for the peer on `flow`, in the request or in the response to it."""
        own = flow.local if self.advertised is None else self.advertised(flow)
        return contact_value(flow, own, sips=flow.transport in SECURE and wants_sips(request))

    def request_uri(self, dialog: Dialog) -> str:
        """The Request-URI within a dialog: a proxy on the way could not resolve a GRUU that is ours to resolve."""
        uri = dialog.request_uri
        if self.contact_at is None or ";gr" not in uri:
            return uri
        return self.contact_at(uri) or uri

    def new_branch(self) -> str:
        """A branch that no other transaction has (RFC 3261 §8.1.1.7)."""
        return MAGIC_COOKIE + self.entropy.token(8)

    def via(self, flow: Flow, branch: str) -> str:
        """Our Via for a request on `flow`."""
        return via_value(flow, flow.local if self.advertised is None else self.advertised(flow), branch)

    def with_local(self, flow: Flow) -> Flow:
        """The flow with one of our listening addresses as its local end, when it has none, or one that is gone."""
        known = self.locals.get(flow.transport)
        if not known or flow.connection or flow.local in known:
            return flow
        local = self._local_towards(flow.remote.host, known)
        return flow if local is None else replace(flow, local=local)

    def _local_towards(self, remote: str, known: list[Address]) -> Address | None:
        is_v6 = ":" in remote
        fitting = [local for local in known if (":" in local.host) == is_v6]
        if len(fitting) > 1 and self.source is not None:
            host = self.source(remote)
            fitting.sort(key=lambda local: local.host != host)
        return fitting[0] if fitting else None


def has_header(headers: HeaderPairs, name: str) -> bool:
    """True when the pairs name this header; `name` in lower case."""
    for own, _ in headers:  # noqa: SIM110  # a generator costs more than the few headers that there are
        if own.lower() == name:
            return True
    return False
