"""The native datagram socket: batches, flows that are shared, and what it cannot send."""

from __future__ import annotations

import errno
import select
import socket
import time
from collections.abc import Iterator

import pytest

from sipcore.aio._datagrams import Alarm, DatagramSocket
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


def heard(pair: Pair) -> list[bytes]:
    pair.peer.settimeout(0.2)
    found = []
    try:
        while True:
            found.append(pair.peer.recv(65535))
    except TimeoutError:
        return found


def test_what_is_kept_leaves_together_and_in_order(pair: Pair) -> None:
    flow = Flow("UDP", pair.local, pair.remote)
    sent = [b"message %d" % number for number in range(20)]
    assert [pair.datagrams.put(data, flow) for data in sent[:2]] == [False, False]
    assert heard(pair) == []
    for data in sent[2:]:
        pair.datagrams.put(data, flow)
    assert pair.datagrams.flush() is None
    assert heard(pair) == sent
    assert pair.datagrams.flush() is None and heard(pair) == []


def test_there_is_room_for_so_many(pair: Pair) -> None:
    """And nobody needs to know how many."""
    flow = Flow("UDP", pair.local, pair.remote)
    sent = [b"message %d" % number for number in range(100)]
    for data in sent:
        if pair.datagrams.put(data, flow):
            assert pair.datagrams.flush() is None
    assert pair.datagrams.flush() is None
    assert heard(pair) == sent


def test_without_a_flush_there_is_an_end(pair: Pair) -> None:
    flow = Flow("UDP", pair.local, pair.remote)
    while not pair.datagrams.put(b"x", flow):
        pass
    kept = [b"x"] * 32
    with pytest.raises(BufferError, match="flush was due"):
        list(map(pair.datagrams.put, kept, [flow] * len(kept)))
    assert pair.datagrams.flush() is None
    assert not pair.datagrams.put(b"y", flow)
    assert pair.datagrams.flush() is None


def test_a_flush_is_due_when_the_first_has_waited_a_millisecond(pair: Pair) -> None:
    flow = Flow("UDP", pair.local, pair.remote)
    assert not pair.datagrams.put(b"first", flow)
    time.sleep(0.002)
    assert pair.datagrams.put(b"second", flow)
    pair.datagrams.flush()


def test_one_that_cannot_be_sent_keeps_no_other_back(pair: Pair) -> None:
    flow = Flow("UDP", pair.local, pair.remote)
    too_large = b"x" * 70_000
    for data in (b"first", too_large, b"second", too_large, b"third"):
        pair.datagrams.put(data, flow)
    for _ in range(2):
        failed = pair.datagrams.flush()
        assert failed is not None
        assert failed[:2] == (flow, too_large) and failed[2].errno == errno.EMSGSIZE
    assert pair.datagrams.flush() is None
    assert heard(pair) == [b"first", b"second", b"third"]


def test_a_remote_of_another_family_is_not_kept(pair: Pair) -> None:
    other = "::1" if pair.local.host == "127.0.0.1" else "127.0.0.1"
    with pytest.raises(OSError, match="no address of this socket's family"):
        pair.datagrams.put(b"x", Flow("UDP", pair.local, Address(other, 9)))
    assert pair.datagrams.flush() is None


def test_what_is_kept_when_the_socket_closes_fails(pair: Pair) -> None:
    flow = Flow("UDP", pair.local, pair.remote)
    pair.datagrams.put(b"late", flow)
    pair.datagrams.close()
    failed = pair.datagrams.flush()
    assert failed is not None and failed[2].errno == errno.EBADF
    assert pair.datagrams.flush() is None and heard(pair) == []


def test_an_alarm_is_readable_when_its_time_has_come() -> None:
    alarm = Alarm()

    def waits(seconds: float) -> bool:
        return not select.select([alarm], [], [], seconds)[0]

    alarm.set(1)
    assert not waits(5)
    alarm.set(3_600_000_000_000)
    assert waits(0), "setting it made it unreadable"
    alarm.set(1)
    assert not waits(5)
    alarm.set(0)
    assert waits(0.01)
    alarm.close()
    assert alarm.fileno() == -1
    with pytest.raises(OSError, match="Bad file descriptor"):
        alarm.set(1)
    alarm.close()
