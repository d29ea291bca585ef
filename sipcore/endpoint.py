"""The SIP endpoint without I/O: every verb takes `now` and returns all that it caused.

The layers of RFC 3261 §5 below it: transactions (`sipcore.transaction`), the UAC and UAS cores (`uac`, `uas`),
dialogs (`dialog`) and what an INVITE makes of them (`invite_usage`). Whatever bytes come, `receive` returns.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from sipcore.dialog import Dialog, DialogTable, DialogView, SavedDialog
from sipcore.entropy import Entropy
from sipcore.errors import ParseError
from sipcore.events import DialogId, MessageDropped, TransactionId
from sipcore.fields import NameAddr
from sipcore.flow import Address, Flow
from sipcore.invite_usage import UnacknowledgedSuccess, close_usage, end_dialog
from sipcore.limits import Limits
from sipcore.locate import Target
from sipcore.message import Request, Response
from sipcore.outputs import Datagram, Output
from sipcore.parser import answerable, read_message
from sipcore.proxy import ProxyCore, ResponseContext, Search
from sipcore.refusals import Refusal, RefusalHeaders, no_headers
from sipcore.reliable import Provisionals
from sipcore.state import Admit, Answer, Drop, EndpointState, Gate, Refuse, Relay, StrayGate, Verdict
from sipcore.timers import Deadlines, Timers
from sipcore.transaction import HeaderPairs, Transaction
from sipcore.transaction.table import TransactionTable
from sipcore.uac import UserAgentClient
from sipcore.uas import UserAgentServer

__all__ = ["Admit", "Answer", "DialogView", "Drop", "Endpoint", "Gate", "Refuse", "Relay", "StrayGate", "Verdict"]

# The start line and our Via, as `uac` writes them; routers quote at least the first half kilobyte (RFC 1812 §4.3.2.3).
_OUR_BRANCH: Final = re.compile(rb"^([A-Z]+) [^\r\n]*\r\nVia: [^\r\n]*?;branch=([\w.-]+)[;\r]")
_QUOTED: Final = 1280

_NO_TIMERS: Final = Timers()
_NO_LIMITS: Final = Limits()


class Endpoint:
    """All SIP state of one process: transactions, dialogs, CSeq, route sets.

    `gate` is asked about every new request before anything is kept of it; `answers_stray`, whether those get an
    answer that the gate never sees: requests that cannot be read, or of calls that nobody knows. `advertised`
    gives the address that the peer on a flow can reach us at (Via, Contact). `supported` are the option tags
    a Require may name. `symmetric` answers UDP requests to their source port even without `rport` (RFC 3581).
    `large_by_tcp` sends requests over 1300 bytes by TCP where a URI said UDP (`sipcore.large_requests`).
    `refusal_headers` gives what our own refusals say beyond their status.
    `route_secret` signs the Record-Route of what is proxied; without one dialogs do not outlive the process.
    """

    __slots__ = ("_client", "_limits", "_proxy", "_server", "_state", "deadlines")

    def __init__(  # noqa: PLR0913  # the composition: every part by name
        self,
        *,
        entropy: Entropy,
        gate: Gate | None = None,
        answers_stray: StrayGate | None = None,
        timers: Timers = _NO_TIMERS,
        limits: Limits = _NO_LIMITS,
        advertised: Callable[[Flow], Address] | None = None,
        contact_at: Callable[[str], str | None] | None = None,
        server: str = "voipat",
        supported: Sequence[str] = (),
        symmetric: bool = True,
        large_by_tcp: bool = True,
        route_secret: bytes = b"",
        refusal_headers: RefusalHeaders = no_headers,
    ) -> None:
        # Its `soonest` is no later than `next_timeout`, and costs nothing to look at.
        self.deadlines: Final = Deadlines()
        self._state = EndpointState(
            entropy=entropy,
            gate=gate,
            timers=timers,
            advertised=advertised,
            contact_at=contact_at,
            server=server,
            supported=frozenset(option.lower() for option in supported),
            symmetric=symmetric,
            large_by_tcp=large_by_tcp,
            max_transactions=limits.max_transactions,
            deadlines=self.deadlines,
            transactions=TransactionTable(self.deadlines, timers),
            dialogs=DialogTable(),
            counters=Counter(),
            locals={},
            answers_stray=answers_stray,
            refusal_headers=refusal_headers,
        )
        self._limits = limits
        self._server = UserAgentServer(self._state)
        self._client = UserAgentClient(self._state, self._server)
        secret = route_secret or entropy.bytes(32)
        self._proxy = ProxyCore(self._state, self._server, self._client, secret)
        self._server.proxy = self._client.proxy = self._proxy

    # Input from below

    def receive(self, datagram: Datagram, now: float) -> list[Output]:
        """Take one whole message; never raises, whatever the bytes are."""
        out: list[Output] = []
        flow = datagram.flow
        self._state.received_bytes = len(datagram.data)
        message, error = read_message(datagram.data, self._limits)
        if error is not None:
            self._receive_malformed(answerable(message), error, flow, now, out)
        elif isinstance(message, Request):
            acknowledged = self._server.receive(message, flow, now, out)
            if acknowledged is not None:
                self._client.send_deferred_bye(acknowledged, now, out)
        elif isinstance(message, Response):
            self._client.receive(message, flow, now, out)
        return out

    def flow_lost(self, flow: Flow, now: float) -> list[Output]:
        """The connection is gone, or the UDP peer is unreachable."""
        out: list[Output] = []
        state = self._state
        if not flow.reliable:
            concerned = state.transactions.on_datagram_flow(flow)
        else:
            concerned = state.transactions.on_connection(flow)
            state.dialogs.lose_flow(flow)
        for transaction in concerned:
            if transaction.machine.client:
                self._client.lose_connection(transaction, now, out)
            else:
                self._server.lose_connection(transaction, flow)
        return out

    def undelivered(self, flow: Flow, beginning: bytes, now: float) -> list[Output]:
        """ICMP says that a datagram that began so did not reach the UDP peer on `flow` (RFC 3261 §18.4).

        An error can be forged by who knows both addresses; it counts only when it quotes the branch of a request
        that waits for this peer. Everything else that waits for the peer then fails with it.
        """
        found = _OUR_BRANCH.search(beginning[:_QUOTED])
        transaction = None
        if found is not None:
            transaction = self._state.transactions.client(found[2].decode(), found[1].decode())
        if transaction is None or transaction.flow is None or transaction.flow.remote != flow.remote:
            self._state.counters["undelivered_ignored"] += 1
            return []
        self._state.counters["undelivered"] += 1
        return self.flow_lost(transaction.flow, now)

    def resolved(self, query: int, answers: Sequence[Address | Target], now: float) -> list[Output]:
        """DNS answered a `Resolve`, best first; no answers means the name has no address.

        The next one is tried, under another branch, when one cannot be reached, says nothing for
        `Timers.failover`, or answers 503 (RFC 3263 §4.3).
        """
        out: list[Output] = []
        if not self._proxy.resolved(query, answers, out):
            self._client.resolved(query, answers, now, out)
        return out

    def handle_timeout(self, now: float) -> list[Output]:
        """Fire every timer that is due."""
        out: list[Output] = []
        for owner in self._state.deadlines.due(now):
            if isinstance(owner, Transaction):
                core = self._client if owner.machine.client else self._server
                core.handle_timeout(owner, now, out)
            elif isinstance(owner, UnacknowledgedSuccess):
                dialog = self._server.repeat_success(owner, now, out)
                if dialog is not None:
                    self._client.send_deferred_bye(dialog, now, out)
            elif isinstance(owner, ResponseContext):
                self._proxy.handle_timeout(owner, now, out)
            elif isinstance(owner, Provisionals):
                self._server.repeat_provisional(owner, now, out)
            elif isinstance(owner, Dialog):
                end_dialog(self._state, owner, now, out)
        return out

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is due; None when nothing waits."""
        return self._state.deadlines.next_timeout()

    # Verbs of the transaction user

    def respond(
        self,
        transaction: TransactionId,
        status: int,
        now: float,
        *,
        reason: str | None = None,
        headers: HeaderPairs = (),
        body: bytes = b"",
        reliable: bool = False,
    ) -> list[Output]:
        """Answer a request. A response that comes after the final one, or after CANCEL, is dropped and counted.

        `reliable`: the 1xx is repeated until its PRACK comes (RFC 3262); it is anyhow when the INVITE requires that.
        A response that must not go out before the PRACK of an earlier one is kept and sent then.

        Raises: LocalProtocolError for a status that SIP forbids here, and a reliable one that the caller can't take.
        """
        out: list[Output] = []
        self._server.respond_to(transaction, status, now, out, reason, headers, body, reliable=reliable)
        return out

    def fail(self, transaction: TransactionId, flow: Flow, now: float) -> list[Output]:
        """Answer a request, which came on `flow`, that whoever was told of it failed on."""
        refusal = Refusal.FAILED
        return self.respond(transaction, refusal.status, now, headers=self.refusal_headers(refusal, flow))

    def refusal_headers(self, refusal: Refusal, flow: Flow) -> HeaderPairs:
        """What a refusal says beyond its status, also when it is sent without the endpoint."""
        return self._state.refusal_headers(refusal, flow)

    def is_held_back(self, transaction: TransactionId) -> bool:
        """Whether our final response to this INVITE waits for a PRACK, so that a CANCEL may still come."""
        return self._server.is_held_back(transaction)

    def prack(
        self,
        dialog: DialogId,
        transaction: TransactionId,
        now: float,
        *,
        headers: HeaderPairs = (),
        body: bytes = b"",
    ) -> list[Output]:
        """Acknowledge the newest reliable provisional response of a dialog, with the answer to its offer if it had one.

        Raises: LocalProtocolError when there is nothing to acknowledge.
        """
        out: list[Output] = []
        self._client.prack(dialog, transaction, now, out, headers, body)
        return out

    def consumes_credentials(self, is_own_realm: Callable[[str], bool]) -> None:
        """As a proxy, take the Proxy-Authorization of these realms out of what passes."""
        self._proxy.is_own_realm = is_own_realm

    def relay(self, transaction: TransactionId, search: Search, now: float) -> list[Output]:
        """Proxy a request that `RelayReceived` told of to its targets (RFC 3261 §16.5)."""
        out: list[Output] = []
        self._proxy.relay(transaction, search, now, out)
        return out

    def new_transaction(self) -> TransactionId:
        """An id for `send` or `send_in_dialog`; nothing is kept until it is used."""
        return self._state.transactions.new_id()

    def send(
        self, transaction: TransactionId, request: Request, now: float, *, flow: Flow | None = None
    ) -> list[Output]:
        """Send a request outside of any dialog. The request is taken over: Via is replaced; Max-Forwards, From

        and its tag, To, Call-ID, CSeq and Contact are added when missing. Without a flow it goes by the first
        Route or the Request-URI.

        Raises: LocalProtocolError for ACK and CANCEL, and for a transaction that is under way.
        """
        out: list[Output] = []
        self._client.send(transaction, request, now, out, flow)
        return out

    def send_in_dialog(
        self,
        dialog: DialogId,
        transaction: TransactionId,
        method: str,
        now: float,
        *,
        headers: HeaderPairs = (),
        body: bytes = b"",
    ) -> list[Output]:
        """Send a request within a dialog.

        Raises: LocalProtocolError when the dialog has ended, for BYE before we answered, and for an INVITE while
        another is under way (`status_hint` 481 or 491).
        """
        out: list[Output] = []
        self._client.send_in_dialog(dialog, transaction, method, now, out, headers, body)
        return out

    def cancel(self, transaction: TransactionId, now: float, *, headers: HeaderPairs = ()) -> list[Output]:
        """Cancel our INVITE, as soon as a provisional response allows; nothing when it has its final response."""
        out: list[Output] = []
        self._client.cancel(transaction, now, out, headers)
        return out

    def ack(self, dialog: DialogId, now: float, *, headers: HeaderPairs = (), body: bytes = b"") -> list[Output]:
        """Acknowledge the 2xx to our INVITE; nothing when there is none to acknowledge."""
        out: list[Output] = []
        self._client.ack(dialog, now, out, headers, body)
        return out

    def bye(self, dialog: DialogId, now: float, *, headers: HeaderPairs = ()) -> list[Output]:
        """Hang up: BYE, held back while our 2xx waits for its ACK; nothing when the dialog is ending or gone.

        Raises: LocalProtocolError for a dialog that we have not answered: refuse its INVITE instead.
        """
        out: list[Output] = []
        self._client.bye(dialog, self.new_transaction(), now, out, headers)
        return out

    # Subscriptions (RFC 6665), which share dialogs with INVITEs or have their own

    def open_usage(self, dialog: DialogId) -> None:
        """A subscription uses the dialog from now on: before the 2xx to a SUBSCRIBE, or after the first NOTIFY."""
        found = self._state.dialogs.get(dialog)
        if found is not None:
            found.usages += 1

    def close_usage(self, dialog: DialogId, now: float) -> list[Output]:
        """The subscription is over; the last usage takes the dialog with it."""
        out: list[Output] = []
        found = self._state.dialogs.get(dialog)
        if found is not None:
            close_usage(self._state, found, now, out)
        return out

    def save_dialog(self, dialog: DialogId) -> SavedDialog | None:
        """What `restore_dialog` of another process needs; None when it has ended, or an INVITE uses it."""
        found = self._state.dialogs.get(dialog)
        return None if found is None or found.has_invite else found.saved()

    def restore_dialog(self, saved: SavedDialog) -> DialogId | None:
        """A dialog of a process before this one, for `open_usage`; None when its names are taken."""
        found = self._state.dialogs.open_saved(saved)
        return None if found is None else found.id

    def has_lost_flow(self, dialog: DialogId) -> bool:
        """Whether the connection is gone on which the peer of the dialog was heard last."""
        found = self._state.dialogs.get(dialog)
        return found is not None and found.flow.reliable and not found.flow.connection

    def move_dialog(self, dialog: DialogId, flow: Flow) -> None:
        """The peer of the dialog was heard on `flow`, outside of it."""
        found = self._state.dialogs.get(dialog)
        if found is not None:
            self._state.dialogs.set_flow(found, flow)

    def expect_notify(self, request: Request) -> None:
        """A NOTIFY for this SUBSCRIBE of ours makes a dialog, before or after the 2xx; until `forget_notify`."""
        self._state.subscribing[request.call_id, request.from_.tag or ""] = request

    def forget_notify(self, request: Request) -> None:
        """A NOTIFY that comes now for the SUBSCRIBE is answered 481."""
        self._state.subscribing.pop((request.call_id, request.from_.tag or ""), None)

    def dialog_named(self, call_id: str, local_tag: str, remote_tag: str) -> DialogId | None:
        """The dialog of these identifiers as we see it, for Replaces (RFC 3891) and Target-Dialog."""
        found = self._state.dialogs.named(call_id, local_tag, remote_tag)
        return None if found is None else found.id

    # What can be seen

    def dialog(self, dialog: DialogId) -> DialogView | None:
        """The dialog as it is now; None when it has ended."""
        found = self._state.dialogs.get(dialog)
        return None if found is None else found.view()

    def request_uri(self, dialog: DialogId) -> str | None:
        """The Request-URI of our requests of this dialog, for a digest over it; None when it has ended."""
        found = self._state.dialogs.get(dialog)
        return None if found is None else self._state.request_uri(found)

    def set_local_identity(self, dialog: DialogId, name: NameAddr) -> None:
        """What From says in our requests of this dialog from now on, its tag apart (RFC 4916 §4.3)."""
        found = self._state.dialogs.get(dialog)
        if found is not None:
            found.local = f"{NameAddr(name.uri, name.display_name)};tag={found.local_tag}"

    def find_dialog(self, request: Request) -> DialogId | None:
        """The dialog that an incoming request names by Call-ID and tags; for a gate that lets calls go on."""
        found = self._state.dialogs.find(request)
        return None if found is None else found.id

    def listening(self, transport: str, local: Address) -> None:
        """Tell of a socket that requests can leave from; a new flow without a local end gets the first that fits."""
        known = self._state.locals.setdefault(transport, [])
        if local not in known:
            known.append(local)

    def not_listening(self, transport: str, local: Address) -> None:
        """This socket is closed: what would leave from it leaves from another one that reaches the peer."""
        known = self._state.locals.get(transport, [])
        if local in known:
            known.remove(local)

    def choose_source_by(self, source: Callable[[str], str | None]) -> None:
        """Of several sockets that fit, a new flow gets the one on the address that `source` gives for its peer."""
        self._state.source = source

    @property
    def counters(self) -> Mapping[str, int]:
        """How often a message was dropped, refused, repeated or came late."""
        return MappingProxyType(self._state.counters)

    @property
    def transaction_count(self) -> int:
        """Transactions under way, those that wait for DNS included."""
        return len(self._state.transactions) + self._client.unresolved_count

    @property
    def dialog_count(self) -> int:
        """Dialogs in the table."""
        return len(self._state.dialogs)

    def _receive_malformed(
        self, request: Request | None, error: ParseError, flow: Flow, now: float, out: list[Output]
    ) -> None:
        self._state.counters["messages_malformed"] += 1
        if request is None:
            out.append(MessageDropped("messages_malformed", flow))
        else:
            self._server.refuse_malformed(request, flow, error.status_hint, str(error), now, out)
