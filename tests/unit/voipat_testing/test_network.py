"""The simulated network: what arrives, when, and what the ladder says of it."""

from __future__ import annotations

import asyncio

import pytest

from sipcore.entropy import SeededEntropy
from sipcore.flow import Address, Flow
from voipat.testing.loop import VirtualLoop
from voipat.testing.network import Conditions, SimNetwork
from voipat.testing.streams import SimTcp

ALICE = Address("10.0.0.1", 5060)
BOB = Address("10.0.0.2", 5060)
BYE = b"BYE sip:bob@10.0.0.2 SIP/2.0\r\nCSeq: 2 BYE\r\nContent-Length: 0\r\n\r\n"
OK = b"SIP/2.0 200 OK\r\nCSeq: 2 BYE\r\nContent-Length: 0\r\n\r\n"


class Mailbox:
    """A driver that only keeps what it is given."""

    def __init__(self) -> None:
        self.received: list[tuple[bytes, Flow]] = []
        self.lost: list[Flow] = []

    def receive(self, data: bytes, flow: Flow) -> None:
        self.received.append((data, flow))

    def flow_lost(self, flow: Flow) -> None:
        self.lost.append(flow)


@pytest.fixture
def loop() -> VirtualLoop:
    loop = VirtualLoop()
    yield loop
    loop.close()


def network_of(loop: VirtualLoop, seed: int = 1, **conditions: float) -> SimNetwork:
    network = SimNetwork(loop, SeededEntropy(seed), Conditions(**conditions))
    network.name("10.0.0.1", "alice")
    network.name("10.0.0.2", "bob")
    return network


def arrivals(loop: VirtualLoop, network: SimNetwork, count: int) -> list[tuple[float, int]]:
    seen: list[tuple[float, int]] = []
    start = loop.time()
    network.bind(BOB, lambda data, source: seen.append((loop.time() - start, int(data))))
    for number in range(count):
        network.send(ALICE, BOB, str(number).encode(), media=True)
    loop.run_until(start + 10.0)
    return seen


def test_a_datagram_arrives_after_the_latency(loop: VirtualLoop) -> None:
    assert arrivals(loop, network_of(loop, latency=0.03), 1) == [(0.03, 0)]


def test_without_jitter_order_is_kept(loop: VirtualLoop) -> None:
    assert [number for _, number in arrivals(loop, network_of(loop), 50)] == list(range(50))


def test_loss_is_about_what_was_asked_for_and_the_same_for_one_seed(loop: VirtualLoop) -> None:
    first = arrivals(loop, network_of(loop, 7, loss=0.2), 1000)
    again = arrivals(loop, network_of(loop, 7, loss=0.2), 1000)
    assert 750 < len(first) < 850
    assert [number for _, number in first] == [number for _, number in again]


def test_reordering_and_duplication_happen(loop: VirtualLoop) -> None:
    network = network_of(loop, reorder=0.1, duplicate=0.1)
    numbers = [number for _, number in arrivals(loop, network, 200)]
    assert len(numbers) == 200 + network.counters["duplicated"] > 200
    assert network.counters["reordered"] > 5 and sorted(set(numbers)) == list(range(200))


def test_a_partition_loses_everything_until_it_heals(loop: VirtualLoop) -> None:
    network = network_of(loop)
    network.partition("alice", "bob")
    assert arrivals(loop, network, 3) == []
    network.heal("alice", "bob")
    network.unbind(BOB)
    assert len(arrivals(loop, network, 3)) == 3


def test_a_fault_strikes_the_named_message_so_many_times(loop: VirtualLoop) -> None:
    network = network_of(loop)
    seen: list[bytes] = []
    network.bind(BOB, lambda data, source: seen.append(data))
    fault = network.lose("BYE", source="alice")
    for data in (BYE, OK, BYE):
        network.send(ALICE, BOB, data)
    loop.run_until(1.0)
    assert (seen, fault.hits) == ([OK, BYE], 1)
    assert network.ladder.text(times=False, uris=False).splitlines() == [
        "alice → bob  BYE  lost",
        "alice → bob  200 BYE",
        "alice → bob  BYE",
    ]


def test_the_ladder_shows_time_way_and_first_line(loop: VirtualLoop) -> None:
    network = network_of(loop)
    loop.run_until(1.25)
    network.send(ALICE, BOB, BYE)
    network.send(BOB, ALICE, OK)
    assert network.ladder.lines() == [
        "    1.250 alice → bob  BYE sip:bob@10.0.0.2",
        "    1.250 bob → alice  200 OK (BYE)",
    ]


def streams(loop: VirtualLoop, network: SimNetwork) -> tuple[Mailbox, SimTcp, Mailbox, SimTcp]:
    async def open_both() -> tuple[Mailbox, SimTcp, Mailbox, SimTcp]:
        one, other = Mailbox(), Mailbox()
        mine = await network.open(one, "tcp://10.0.0.1:5060")
        theirs = await network.open(other, "tcp://10.0.0.2:5060")
        assert isinstance(mine, SimTcp) and isinstance(theirs, SimTcp)
        return one, mine, other, theirs

    return loop.run_until_complete(open_both())


def test_a_stream_opens_on_demand_loses_nothing_keeps_order_and_answers_on_itself(loop: VirtualLoop) -> None:
    network = network_of(loop, loss=0.3, jitter=0.05)
    one, mine, other, theirs = streams(loop, network)
    for _ in range(20):
        mine.send(Flow("TCP", ALICE, BOB), BYE)
    loop.run_until(10.0)
    assert [data for data, _ in other.received] == [BYE] * 20
    assert (mine.connections, theirs.connections) == (1, 1)
    theirs.send(other.received[0][1], OK)
    loop.run_until(20.0)
    assert [data for data, _ in one.received] == [OK]


def test_a_closed_stream_is_a_lost_flow_at_the_other_end(loop: VirtualLoop) -> None:
    network = network_of(loop)
    _, mine, other, theirs = streams(loop, network)
    mine.send(Flow("TCP", ALICE, BOB), BYE)
    loop.run_until(1.0)
    asyncio.run_coroutine_threadsafe(mine.close(), loop)
    loop.run_until(2.0)
    assert other.lost == [other.received[0][1]]
    assert (mine.connections, theirs.connections) == (0, 0)


def test_a_stream_to_nobody_is_a_lost_flow(loop: VirtualLoop) -> None:
    network = network_of(loop)
    one, mine, _, _ = streams(loop, network)
    flow = Flow("TCP", ALICE, Address("10.0.0.9", 5060))
    mine.send(flow, BYE)
    loop.run_until(1.0)
    assert one.lost == [flow]


def test_an_address_is_bound_once(loop: VirtualLoop) -> None:
    network = network_of(loop)
    network.bind(BOB, lambda data, source: None)
    with pytest.raises(OSError, match="in use"):
        network.bind(BOB, lambda data, source: None)
