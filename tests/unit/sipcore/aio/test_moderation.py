"""A busy socket is read after a pause, a quiet one at once."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator

import pytest

from sipcore.aio import moderation
from sipcore.aio.moderation import Moderation

FULL = 16


class Scene:
    """A socket with its moderation, on a clock of the test's."""

    def __init__(self) -> None:
        self.now = 0.0
        self.handle, self.peer = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        self.handle.bind(("127.0.0.1", 0))
        self.reads = Moderation(self.handle, FULL, lambda: self.now)

    def give(self) -> None:
        self.peer.sendto(b"x", self.handle.getsockname())

    def is_due(self, wait: float = 0.0) -> bool:
        return bool(select.select([self.reads.descriptor], [], [], wait)[0])

    def make_busy(self) -> None:
        """32 datagrams in ten milliseconds."""
        self.now += 0.01
        for _ in range(32):
            assert not self.reads.pauses
            self.reads.has_read(1)
        assert self.reads.pauses


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    # Longer than this machine may stand still.
    monkeypatch.setattr(moderation, "PAUSE_NS", 500_000_000)
    made = Scene()
    yield made
    made.reads.close()
    made.handle.close()
    made.peer.close()


def test_a_quiet_socket_is_read_at_once(scene: Scene) -> None:
    for _ in range(1000):
        scene.now += 0.001
        scene.reads.has_read(1)
    assert not scene.reads.pauses and not scene.is_due()
    scene.give()
    assert scene.is_due(5)


def test_a_busy_socket_is_read_after_a_pause(scene: Scene) -> None:
    scene.make_busy()
    scene.reads.has_read(2)
    scene.give()
    assert not scene.is_due(), "not for the datagram"
    assert scene.is_due(5), "for the time"


def test_more_than_one_read_takes_is_read_at_once(scene: Scene) -> None:
    scene.make_busy()
    scene.reads.has_read(2)
    assert not scene.is_due()
    scene.reads.has_read(FULL)
    assert scene.is_due(0.25)


def test_pauses_end_when_they_gain_nothing(scene: Scene) -> None:
    scene.make_busy()
    for count in (1, 1, 1, 3, 1, 0, 1, 1, 0, 0, 1):
        scene.reads.has_read(count)
        assert scene.reads.pauses
    scene.reads.has_read(1)
    assert not scene.reads.pauses and not scene.is_due()
    scene.give()
    assert scene.is_due(5), "for the datagram"
