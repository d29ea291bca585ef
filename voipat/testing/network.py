"""A network in memory: UDP with latency, jitter, loss, reordering and duplicates by seed, and streams like TCP.

It implements the `Network` and `Transport` protocols, so that the server and the phones run on it unchanged.
Nothing here opens a socket. Every message is recorded in the ladder at the time it was sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sipcore.aio.resolver import BUDGET_S
from sipcore.entropy import Entropy
from sipcore.flow import Address, Flow
from sipcore.outputs import Resolve
from voipat.network import parse_listen
from voipat.testing.ladder import Ladder, Rung
from voipat.testing.streams import SimTcp
from voipat.trace import kind_of

# A stream does not lose: what a lost segment costs is one retransmission, about Linux's smallest RTO.
SEGMENT_RETRANSMISSION = 0.2

DatagramReceiver = Callable[[bytes, Address], None]


class Receiver(Protocol):
    """What a transport gives its messages to: `sipcore.aio.Driver` is one."""

    def receive(self, data: bytes, flow: Flow) -> None: ...

    def flow_lost(self, flow: Flow) -> None: ...


@dataclass(frozen=True, slots=True)
class Conditions:
    """How a way behaves: one-way `latency` plus up to `jitter` seconds; the rest are probabilities of one packet."""

    latency: float = 0.01
    jitter: float = 0.0
    loss: float = 0.0
    reorder: float = 0.0
    duplicate: float = 0.0


@dataclass(slots=True)
class Fault:
    """What happens to the next `count` messages of a kind ("ACK", "200 INVITE", "200") on a way."""

    kind: str
    source: str | None
    destination: str | None
    count: int
    delay: float | None  # None: lost
    hits: int = 0

    def strikes(self, kind: str, source: str, destination: str) -> bool:
        """True when this message is one of those meant."""
        return (
            self.hits < self.count
            and (kind == self.kind or kind.split(" ")[0] == self.kind)
            and self.source in (None, source)
            and self.destination in (None, destination)
        )


class Datagram(NamedTuple):
    """One that waits to be delivered by hand."""

    source: Address
    destination: Address
    data: bytes


class SimNetwork:
    """All nodes of one simulated world. Addresses are literals; a host has a name for the ladder."""

    def __init__(self, loop: asyncio.AbstractEventLoop, entropy: Entropy, conditions: Conditions | None = None) -> None:
        self.loop = loop
        self.conditions = conditions or Conditions()
        self.ladder = Ladder(self.name_of)
        self.counters = {"sent": 0, "lost": 0, "duplicated": 0, "reordered": 0, "undeliverable": 0}
        self._entropy = entropy
        self._names: dict[str, str] = {}
        self._ways: dict[tuple[str, str], Conditions] = {}
        self._cut: set[tuple[str, str]] = set()
        self._dead: set[str] = set()
        self._faults: list[Fault] = []
        self._sockets: dict[Address, DatagramReceiver] = {}
        self._hosts: dict[str, Callable[[bytes, Address, Address], None]] = {}
        self._listeners: dict[Address, SimTcp] = {}
        self._next_ephemeral = 49152
        # Its DNS: the addresses of names, and seconds until an answer; None: it never answers.
        self.names: dict[str, Sequence[Address]] = {}
        self.dns_delay: float | None = 0.0
        # A list here keeps every datagram but media until `deliver`, so that a test says in which order they arrive.
        self.kept: list[Datagram] | None = None

    # Nodes and ways

    def name(self, host: str, name: str) -> None:
        """Call `host` by this name in the ladder and in faults."""
        self._names[host] = name

    def name_of(self, address: Address) -> str:
        """The name of the node at `address`, or the address itself."""
        return self._names.get(address.host) or str(address)

    def between(self, one: str, other: str, conditions: Conditions) -> None:
        """Let both directions between two named nodes behave differently from the rest."""
        self._ways[one, other] = self._ways[other, one] = conditions

    def partition(self, one: str, other: str) -> None:
        """Lose everything between two named nodes until `heal`."""
        self._cut |= {(one, other), (other, one)}

    def heal(self, one: str, other: str) -> None:
        """Undo `partition`."""
        self._cut -= {(one, other), (other, one)}

    def cut_off(self, name: str) -> None:
        """Lose everything to and from one node: its power is gone."""
        self._dead.add(name)

    def restore(self, name: str) -> None:
        """Undo `cut_off`."""
        self._dead.discard(name)

    def lose(self, kind: str, *, source: str | None = None, destination: str | None = None, count: int = 1) -> Fault:
        """Lose the next `count` messages of `kind`: "ACK", "200 INVITE", or "200" for any method."""
        return self._add_fault(Fault(kind, source, destination, count, None))

    def delay(
        self, kind: str, seconds: float, *, source: str | None = None, destination: str | None = None, count: int = 1
    ) -> Fault:
        """Hold the next `count` messages of `kind` back for `seconds` more."""
        return self._add_fault(Fault(kind, source, destination, count, seconds))

    def _add_fault(self, fault: Fault) -> Fault:
        self._faults.append(fault)
        return fault

    def resolving(self, answered: Callable[[int, Sequence[Address]], None]) -> Callable[[Resolve], None]:
        """The look-ups of one node: `names`, after `dns_delay`, and nothing when that is longer than anybody waits."""

        def resolve(question: Resolve) -> None:
            delay = self.dns_delay
            if delay is None or delay > BUDGET_S:
                self.loop.call_later(BUDGET_S, answered, question.query, ())
            else:
                self.loop.call_later(delay, answered, question.query, self.names.get(question.host, ()))

        return resolve

    # Datagrams

    async def open(self, driver: Receiver, url: str) -> SimUdp | SimTcp:
        """A transport bound as `url` says: "udp://HOST:PORT" or "tcp://HOST:PORT"."""
        scheme, local = parse_listen(url)
        if scheme == "udp":
            return SimUdp(self, driver, local)
        if scheme == "tcp":
            if local in self._listeners:
                raise OSError(f"{local} is in use in this simulated network")
            listener = self._listeners[local] = SimTcp(self, driver, local)
            return listener
        raise ValueError(f"{url}: the simulated network has udp and tcp")

    def bind(self, local: Address, receiver: DatagramReceiver) -> None:
        """Give datagrams for `local` to `receiver(data, source)`."""
        if local in self._sockets:
            raise OSError(f"{local} is in use in this simulated network")
        self._sockets[local] = receiver

    def unbind(self, local: Address) -> None:
        """Give `local` back."""
        self._sockets.pop(local, None)

    def bind_host(self, host: str, receiver: Callable[[bytes, Address, Address], None]) -> None:
        """Give datagrams for any other port of `host` to `receiver(data, source, destination)`: a media engine."""
        self._hosts[host] = receiver

    def send(self, source: Address, destination: Address, data: bytes, *, media: bool = False) -> None:
        """Send one datagram; `media` keeps it out of the ladder's lines."""
        self.counters["sent"] += 1
        conditions, fate, held = self._fate(source, destination, data, media=media)
        rung = Rung(self.loop.time(), source, destination, data, fate)
        if media:
            self.ladder.add_media(rung)
        else:
            self.ladder.add(rung)
        if fate.startswith("lost"):
            self.counters["lost"] += 1
            return
        if self.kept is not None and not media:
            self.kept.append(Datagram(source, destination, data))
            return
        self._deliver_after(conditions.latency + held, source, destination, data)
        if fate == "duplicated":
            self._deliver_after(2 * conditions.latency + held, source, destination, data)

    def deliver(self, datagram: Datagram) -> None:
        """Let one of `kept` arrive now."""
        self._deliver(*datagram)

    def _fate(
        self, source: Address, destination: Address, data: bytes, *, media: bool
    ) -> tuple[Conditions, str, float]:
        """(conditions of the way, what happens, seconds beyond the latency)."""
        conditions, way = self.conditions, ("", "")
        if self._ways or self._cut or self._dead or self._faults:
            way = (self.name_of(source), self.name_of(destination))
            conditions = self._ways.get(way, conditions)
            if way in self._cut or (self._dead and not self._dead.isdisjoint(way)):
                return conditions, "lost in the partition", 0.0
            fault = None if media else self._struck(data, *way)
            if fault is not None:
                return (conditions, "lost", 0.0) if fault.delay is None else (conditions, "delayed", fault.delay)
        if conditions.loss and self._chance(conditions.loss):
            return conditions, "lost", 0.0
        held = self._entropy.uniform(0.0, conditions.jitter) if conditions.jitter else 0.0
        if conditions.reorder and self._chance(conditions.reorder):
            self.counters["reordered"] += 1
            return conditions, "held back", held + self._entropy.uniform(1.0, 3.0) * max(conditions.latency, 0.005)
        if conditions.duplicate and self._chance(conditions.duplicate):
            self.counters["duplicated"] += 1
            return conditions, "duplicated", held
        return conditions, "", held

    def _struck(self, data: bytes, source: str, destination: str) -> Fault | None:
        kind = kind_of(data)
        for fault in self._faults:
            if fault.strikes(kind, source, destination):
                fault.hits += 1
                return fault
        return None

    def _chance(self, probability: float) -> bool:
        return self._entropy.uniform(0.0, 1.0) < probability

    def _deliver_after(self, seconds: float, source: Address, destination: Address, data: bytes) -> None:
        self.loop.call_at(self.loop.time() + seconds, self._deliver, source, destination, data)

    def _deliver(self, source: Address, destination: Address, data: bytes) -> None:
        receiver = self._sockets.get(destination)
        if receiver is not None:
            receiver(data, source)
            return
        host = self._hosts.get(destination.host)
        if host is not None:
            host(data, source, destination)
            return
        self.counters["undeliverable"] += 1

    # Streams

    def listener_at(self, remote: Address) -> SimTcp | None:
        """The stream transport that accepts connections to `remote`."""
        return self._listeners.get(remote)

    def stop_listening(self, local: Address) -> None:
        """Accept no more connections at `local`."""
        self._listeners.pop(local, None)

    def ephemeral(self, host: str) -> Address:
        """A local address for an outgoing connection."""
        self._next_ephemeral += 1
        return Address(host, self._next_ephemeral)

    def stream_delay(self, source: Address, destination: Address, data: bytes) -> float | None:
        """Seconds until a segment sent now arrives, or None when the way is cut; records it in the ladder."""
        conditions, fate, held = self._fate(source, destination, data, media=False)
        self.counters["sent"] += 1
        cut = fate == "lost in the partition"
        self.ladder.add(Rung(self.loop.time(), source, destination, data, fate if cut or fate == "delayed" else ""))
        if cut:
            return None
        late = SEGMENT_RETRANSMISSION if fate == "lost" else 0.0
        return conditions.latency + held + late


class SimUdp:
    """A UDP transport on a simulated network."""

    name = "UDP"

    def __init__(self, network: SimNetwork, driver: Receiver, local: Address) -> None:
        self.local = local
        self._network = network
        self._driver = driver
        self._flows: dict[Address, Flow] = {}
        network.bind(local, self._receive)

    def send(self, flow: Flow, data: bytes) -> None:
        """Send to the flow's remote address."""
        self._network.send(self.local, flow.remote, data)

    def close_flow(self, flow: Flow) -> None:
        """Nothing: UDP has no connection to close."""

    async def close(self) -> None:
        """Give the address back."""
        self._network.unbind(self.local)

    def _receive(self, data: bytes, source: Address) -> None:
        flow = self._flows.get(source)
        if flow is None:
            flow = self._flows[source] = Flow("UDP", self.local, source)
        self._driver.receive(data, flow)
