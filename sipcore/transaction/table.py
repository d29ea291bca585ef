"""The transactions under way, and how a message finds its own: RFC 3261 §17.1.3 and §17.2.3."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from sipcore.events import TransactionId
from sipcore.flow import Address, Flow
from sipcore.message import Request
from sipcore.timers import Deadlines, Timers
from sipcore.transaction import Machine, State, Transaction

MAGIC_COOKIE: Final = "z9hG4bK"

# What `Request.server_key` gives.
ServerKey = tuple[Hashable, ...]
# Call-ID, From tag, CSeq number and method.
MergeKey = tuple[str, str, int, str]


class TransactionTable:
    """All transactions of one endpoint, each until it is `Terminated`."""

    __slots__ = ("_by_connection", "_clients", "_deadlines", "_ids", "_last_id", "_merged", "_servers", "_timers",
                 "get", "merged", "server", "size")  # fmt: skip

    def __init__(self, deadlines: Deadlines, timers: Timers) -> None:
        self._deadlines = deadlines
        self._timers = timers
        self._ids: dict[TransactionId, Transaction] = {}
        self._clients: dict[tuple[Hashable, ...], Transaction] = {}
        self._servers: dict[ServerKey, Transaction] = {}
        self._merged: dict[MergeKey, Transaction] = {}
        self._by_connection: dict[tuple[str, Address], set[Transaction]] = {}
        self._last_id = 0
        # How many there are, which each new request asks.
        self.size: Final = self._ids.__len__
        # The transaction of this id, while it lives.
        self.get: Final = self._ids.get
        # The server transaction that a repeated request, an ACK or a CANCEL belongs to.
        self.server: Final = self._servers.get
        # RFC 3261 §8.2.2.2: the transaction of the same request that came another way.
        self.merged: Final = self._merged.get

    def __len__(self) -> int:
        return len(self._ids)

    def new_id(self) -> TransactionId:
        """An id that was never given before."""
        self._last_id += 1
        return TransactionId(self._last_id)

    def client(self, branch: str | None, method: str) -> Transaction | None:
        """The client transaction that a response belongs to."""
        return self._clients.get((branch or "", method))

    def open_client(self, transaction: Transaction, branch: str, flow: Flow, now: float) -> None:
        """Put a client transaction whose request is ready into the table and start its timers."""
        transaction.key = (branch, transaction.method)
        transaction.flow = flow
        self._ids[transaction.id] = transaction
        self._clients[branch, transaction.method] = transaction
        self._begin(transaction, flow, now)

    def open_server(
        self,
        machine: Machine,
        key: ServerKey,
        request: Request,
        flow: Flow,
        now: float,
        merge_key: MergeKey | None = None,
    ) -> Transaction:
        """Make the server transaction of a new request; with `merge_key` the same on another branch finds it."""
        transaction = Transaction(machine, self._timers, reliable=flow.transport != "UDP")
        self._last_id += 1
        transaction.id = TransactionId(self._last_id)
        transaction.key = key
        transaction.request = request
        transaction.flow = flow
        number, method = request.cseq
        transaction.cseq = number
        transaction.method = method
        self._ids[transaction.id] = transaction
        self._servers[key] = transaction
        if merge_key is not None:
            transaction.merge_key = merge_key
            self._merged[merge_key] = transaction
        self._begin(transaction, flow, now)
        return transaction

    def _begin(self, transaction: Transaction, flow: Flow, now: float) -> None:
        if transaction.reliable:
            self._by_connection.setdefault((flow.transport, flow.remote), set()).add(transaction)
        transaction.machine.enter(transaction, transaction.state, now)
        self._deadlines.schedule(transaction)

    def settle(self, transaction: Transaction) -> bool:
        """After a step: forget the transaction when it has terminated (True), else see to its deadline."""
        if transaction.state is not State.TERMINATED:
            self._deadlines.schedule(transaction)
            return False
        self.forget(transaction)
        return True

    def give_up_id(self, transaction: Transaction) -> None:
        """Let another transaction have this one's id; it ends under a new one that nobody knows."""
        if self._ids.pop(transaction.id, None) is not None:
            transaction.id = self.new_id()
            self._ids[transaction.id] = transaction

    def forget(self, transaction: Transaction) -> None:
        """Take the transaction out of every index; twice does no harm."""
        if self._ids.pop(transaction.id, None) is None:
            return
        if transaction.machine.client:
            self._clients.pop(transaction.key, None)
        else:
            self._servers.pop(transaction.key, None)
            if transaction.merge_key is not None:
                self._merged.pop(transaction.merge_key, None)
        if transaction.reliable and transaction.flow is not None:
            self._leave_connection(transaction, transaction.flow)
        transaction.request = None

    def on_connection(self, flow: Flow) -> list[Transaction]:
        """The transactions that a lost stream connection concerns, oldest first."""
        concerned = self._by_connection.get((flow.transport, flow.remote), ())
        return sorted((t for t in concerned if _uses(t.flow, flow)), key=lambda t: t.id)

    def on_datagram_flow(self, flow: Flow) -> list[Transaction]:
        """The client transactions that wait for a UDP peer now known to be unreachable. Rare, so a scan will do."""
        return [t for t in self._clients.values() if t.flow is not None and _same_peer(t.flow, flow)]

    def move(self, transaction: Transaction, flow: Flow) -> None:
        """Send what is left of the transaction on another flow."""
        if transaction.reliable and transaction.flow is not None:
            self._leave_connection(transaction, transaction.flow)
            self._by_connection.setdefault((flow.transport, flow.remote), set()).add(transaction)
        transaction.flow = flow

    def _leave_connection(self, transaction: Transaction, flow: Flow) -> None:
        key = (flow.transport, flow.remote)
        neighbours = self._by_connection.get(key)
        if neighbours is not None:
            neighbours.discard(transaction)
            if not neighbours:
                del self._by_connection[key]


def _uses(flow: Flow | None, lost: Flow) -> bool:
    # A client that asked for "the connection to this remote" (number 0) lost whichever it was given.
    return flow is not None and (flow.connection in (0, lost.connection) or lost.connection == 0)


def _same_peer(flow: Flow, lost: Flow) -> bool:
    return flow.transport == lost.transport and flow.remote == lost.remote
