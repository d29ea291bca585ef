"""The native datagram socket: batches, flows that are shared, and what it cannot send."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator

import pytest

from sipcore.aio._datagrams import DatagramSocket
from sipcore.flow import Address, Flow


class Pair:
    """The socket under test, which does not block, and a peer of it."""

    def __init__(self, host: str) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.handle, self.peer = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(2))
        for each in (self.handle, self.peer):
            each.bind((host, 0))
            each.settimeout(5)
        self.local = Address(*self.handle.getsockname()[:2])
        self.remote = Address(*self.peer.getsockname()[:2])
        self.datagrams = DatagramSocket(self.handle.fileno(), self.local)

    def give(self, *datagrams: bytes) -> None:
        for data in datagrams:
            self.peer.sendto(data, self.local)
        assert select.select([self.handle], [], [], 5)[0]


@pytest.fixture(params=["127.0.0.1", "::1"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    made = Pair(request.param)
    yield made
    made.handle.close()
    made.peer.close()


def test_what_waits_comes_in_order_and_in_batches(pair: Pair) -> None:
    sent = [b"message %d" % number for number in range(40)]
    pair.give(*sent)
    batches = []
    while batch := pair.datagrams.receive():
        batches.append([data for data, _ in batch])
    assert [data for batch in batches for data in batch] == sent
    assert 1 < len(batches) < len(sent)


def test_nothing_waits(pair: Pair) -> None:
    assert pair.datagrams.receive() == []


def test_the_largest_and_the_empty_datagram_are_whole(pair: Pair) -> None:
    largest = b"x" * (65507 if ":" not in pair.local.host else 65527)
    pair.give(largest, b"", b"next")
    assert [data for data, _ in pair.datagrams.receive()] == [largest, b"", b"next"]


def test_one_peer_has_one_flow_and_another_peer_another(pair: Pair) -> None:
    pair.give(b"one", b"two")
    (_, first), (_, second) = pair.datagrams.receive()
    assert first is second
    assert first == Flow("UDP", pair.local, pair.remote)
    with socket.socket(pair.peer.family, socket.SOCK_DGRAM) as other:
        other.bind((pair.local.host, 0))
        other.sendto(b"three", pair.local)
        assert select.select([pair.handle], [], [], 5)[0]
        ((_, third),) = pair.datagrams.receive()
        assert third.remote == Address(*other.getsockname()[:2])


def test_what_is_sent_arrives(pair: Pair) -> None:
    for _ in range(2):
        pair.datagrams.send(b"a message", pair.remote)
        assert pair.peer.recvfrom(100)[0] == b"a message"


@pytest.mark.parametrize("remote", [Address("phone.invalid", 5060), Address("127.0.0.1", 65536), Address("", 1)])
def test_what_has_no_address_is_not_sent(pair: Pair, remote: Address) -> None:
    with pytest.raises(OSError, match="no address"):
        pair.datagrams.send(b"a message", remote)


def test_a_closed_socket_says_so(pair: Pair) -> None:
    pair.datagrams.close()
    with pytest.raises(OSError, match="descriptor"):
        pair.datagrams.receive()
    with pytest.raises(OSError, match="descriptor"):
        pair.datagrams.send(b"a message", pair.remote)
