"""Streams of the simulated network: bytes arrive in order and once, connections open on demand and can be lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sipcore.errors import ParseError
from sipcore.flow import Address, Flow
from sipcore.stream_parser import StreamParser

if TYPE_CHECKING:
    from voipat.testing.network import Receiver, SimNetwork


@dataclass(slots=True)
class _End:
    """One end of a connection. `arrives` keeps its segments in order."""

    transport: SimTcp
    flow: Flow
    parser: StreamParser = field(default_factory=StreamParser)
    peer: _End | None = None
    arrives: float = 0.0
    is_open: bool = True


class SimTcp:
    """A stream transport on a simulated network: listens at `local`, and connects when a flow has no connection."""

    name = "TCP"

    def __init__(self, network: SimNetwork, driver: Receiver, local: Address) -> None:
        self.local = local
        self._network = network
        self._driver = driver
        self._ends: dict[int, _End] = {}
        self._by_remote: dict[Address, _End] = {}
        self._next_connection = 1

    def send(self, flow: Flow, data: bytes) -> None:
        """Send on the flow's connection, or on one to its remote; a connection that cannot be is a lost flow."""
        end = self._ends.get(flow.connection) if flow.connection else self._by_remote.get(flow.remote)
        if end is None and not flow.connection:
            end = self._connect(flow.remote)
        if end is None:
            self._network.loop.call_soon(self._driver.flow_lost, flow)
            return
        self._send(end, data)

    def close_flow(self, flow: Flow) -> None:
        """Close the connection; the peer learns of it one latency later."""
        end = self._ends.get(flow.connection) if flow.connection else self._by_remote.get(flow.remote)
        if end is not None:
            self._close(end)

    async def close(self) -> None:
        """Stop listening and close every connection."""
        self._network.stop_listening(self.local)
        for end in list(self._ends.values()):
            self._close(end)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._ends)

    def _connect(self, remote: Address) -> _End | None:
        listener = self._network.listener_at(remote)
        if listener is None:
            return None
        mine, theirs = self._add(remote), listener._add(self._network.ephemeral(self.local.host))
        mine.peer, theirs.peer = theirs, mine
        return mine

    def _add(self, remote: Address) -> _End:
        number = self._next_connection
        self._next_connection += 1
        # As in the real transport: the listening address names the transport, also on connections that we opened.
        end = _End(self, Flow("TCP", self.local, remote, number))
        self._ends[number] = self._by_remote[remote] = end
        return end

    def _send(self, end: _End, data: bytes) -> None:
        delay = self._network.stream_delay(end.flow.local, end.flow.remote, data)
        if delay is None:
            return
        loop = self._network.loop
        end.arrives = max(end.arrives, loop.time() + delay)
        loop.call_at(end.arrives, _arrive, end, data)

    def _close(self, end: _End) -> None:
        if not end.is_open:
            return
        end.is_open = False
        self._ends.pop(end.flow.connection, None)
        self._by_remote.pop(end.flow.remote, None)
        if end.peer is not None:
            loop = self._network.loop
            latency = self._network.conditions.latency
            loop.call_at(max(end.arrives, loop.time() + latency), _peer_closed, end.peer)


def _arrive(sender: _End, data: bytes) -> None:
    end = sender.peer
    if end is None or not end.is_open:
        return
    try:
        items = end.parser.feed(data)
    except ParseError:
        end.transport._close(end)
        end.transport._driver.flow_lost(end.flow)
        return
    for item in items:
        if isinstance(item, bytes):
            end.transport._driver.receive(item, end.flow)


def _peer_closed(end: _End) -> None:
    if end.is_open:
        end.transport._close(end)
        end.transport._driver.flow_lost(end.flow)
