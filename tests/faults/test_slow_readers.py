"""F10: peers over TCP that stop reading what they asked for. Each costs what its buffers may hold, and is cut off."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from bench.rig.processes import wait_until
from bench.rig.server import Server
from sipcore.aio.tcp import TcpLimits
from tests.faults.test_connections import lives
from tests.faults.test_floods import make_server

pytestmark = pytest.mark.slow

LIMITS: Final = TcpLimits()


class SlowReader:
    """Asks as fast as it is taken, and reads nothing: its window is zero soon."""

    def __init__(self, host: str, server: tuple[str, int]) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        self._socket.bind((host, 0))
        self._socket.connect(server)
        self._socket.setblocking(False)
        self.sent = 0
        self.is_open = True
        self._request = self._options()
        self._rest = b""

    def __enter__(self) -> SlowReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self) -> None:
        """Send until nothing more is taken, or the connection is cut off."""
        try:
            while True:
                self._rest = self._rest or self._request * 50
                taken = self._socket.send(self._rest)
                self.sent += taken
                self._rest = self._rest[taken:]
        except BlockingIOError:
            pass
        except OSError:
            self.is_open = False

    def look(self) -> None:
        """Whether it was cut off: without reading."""
        ready = select.poll()
        ready.register(self._socket, select.POLLERR | select.POLLHUP)
        self.is_open = self.is_open and not ready.poll(0)

    def _options(self) -> bytes:
        host, port = self._socket.getsockname()
        return (
            f"OPTIONS sip:office.test SIP/2.0\r\nVia: SIP/2.0/TCP {host}:{port};branch=z9hG4bKslow{port};rport\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:x@office.test>;tag=1\r\nTo: <sip:office.test>\r\n"
            f"Call-ID: {port}@{host}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        ).encode()


@contextmanager
def slow_readers(server: Server, count: int) -> Iterator[list[SlowReader]]:
    readers: list[SlowReader] = []
    try:
        for number in range(count):
            readers.append(SlowReader(f"127.0.5.{number % 100 + 1}", ("127.0.0.1", server.port)))
        yield readers
    finally:
        for each in readers:
            each.__exit__()


def unread_in_kernel(port: int) -> int:
    """The most octets that the kernel holds of what we sent on one connection of this local port."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return max((int(row[4].partition(":")[0], 16) for row in rows if row[1].endswith(f":{port:04X}")), default=0)


def test_who_stops_reading_is_cut_off_and_others_notice_nothing(tmp_path: Path, soak: bool) -> None:
    count = 200 if soak else 6
    server = make_server(tmp_path)
    try:
        assert lives(server, tcp=True) == []
        before, memory = server.stats()["descriptors"], server.resident_kb()
        failures, deadline = list[str](), time.monotonic() + 240
        most = queued = 0
        with slow_readers(server, count) as readers:
            while any(each.is_open for each in readers):
                assert time.monotonic() < deadline, f"{sum(each.is_open for each in readers)} are still there"
                for each in readers:
                    each.ask()
                    each.look()
                    queued = max(queued, unread_in_kernel(server.port))
                failures += lives(server, tcp=False) + lives(server, tcp=True)
                most = max(most, server.resident_kb())
            assert failures == []
            assert server.stats()["driver_tcp_slow_reader"] + server.stats().get("driver_tcp_too_slow", 0) == count
        # By itself the kernel would hold megabytes for each. What it holds is looked at now and then: how near it came
        # to its bound is chance.
        assert 0 < queued <= 2 * LIMITS.write_queue + 65536
        assert most - memory < 8192 + count * 2 * LIMITS.write_queue // 1024
        wait_until(lambda: server.stats()["descriptors"] <= before + 5, 30, "the descriptors are back")
    finally:
        server.close()
