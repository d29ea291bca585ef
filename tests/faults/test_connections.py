"""F10, H22, H4 at their full numbers (`--soak`): thousands of connections that stand still, drip and lie, stalled
handshakes, slow messages, while a good phone goes on. Each by itself, small: tests/unit/sipcore/aio, `fuzz.hostile`.
"""

from __future__ import annotations

import random
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.rig.processes import free_port, wait_until
from bench.rig.server import Server
from fuzz.hostile import mixture
from tests.certificates import Authority
from tests.faults.phone_by_hand import PhoneByHand
from tests.faults.test_floods import GOOD, STRANGER, make_server

pytestmark = pytest.mark.slow

HALF = b"REGISTER sip:office.test SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.3.1"
TOO_LARGE = b"OPTIONS sip:office.test SIP/2.0\r\nContent-Length: 99999999\r\n\r\n"
HALF_HELLO = b"\x16\x03\x01\x02\x00\x01"


@pytest.fixture(autouse=True)
def _only_in_a_long_run(soak: bool) -> None:
    if not soak:
        pytest.skip("thousands of connections, half a minute each: make soak")


class Crowd:
    """Connections that say `opening`, from 100 addresses; those that drip say one byte more each second."""

    def __init__(self, port: int, openings: tuple[bytes, ...], *, drips: bytes = b"") -> None:
        self._port = port
        self._openings = openings
        self._drips = drips
        self._open: list[tuple[socket.socket, bytes]] = []
        self.closed = 0
        self.first_closed = 0.0
        self._begin = time.monotonic()

    def grow(self, count: int) -> None:
        for number in range(count):
            held, opening = socket.socket(), self._openings[number % len(self._openings)]
            held.bind((f"127.0.3.{number % 100 + 1}", 0))
            held.settimeout(1)
            try:
                held.connect(("127.0.0.1", self._port))
                held.sendall(opening)
            except OSError:
                self._note_closed(held)
            else:
                self._open.append((held, opening))

    def turn(self) -> None:
        """See which were closed, and let those drip that do."""
        ready = select.poll()
        for held, _ in self._open:
            ready.register(held, select.POLLIN)
        readable = {number for number, _ in ready.poll(0)}
        for held, opening in list(self._open):
            ended = held.fileno() in readable
            if not ended and opening == self._drips:
                try:
                    held.send(b"x")
                except OSError:
                    ended = True
            if ended:
                self._open.remove((held, opening))
                self._note_closed(held)

    def leave(self) -> None:
        for held, _ in self._open:
            held.close()
        self._open.clear()

    def _note_closed(self, held: socket.socket) -> None:
        held.close()
        self.closed += 1
        self.first_closed = self.first_closed or time.monotonic() - self._begin


def lives(server: Server, *, tcp: bool) -> list[str]:
    """What failed when a phone came new and called."""
    with PhoneByHand(GOOD, ("127.0.0.1", server.port), "1003", "pass-1003", tcp=tcp) as phone:
        return [failure for failure in (phone.register(), phone.call("*43"), phone.register(expires=0)) if failure]


def test_two_thousand_connections_that_idle_drip_or_lie_leave_a_good_phone_its_udp_and_tcp(tmp_path: Path) -> None:
    server = make_server(tmp_path)
    before = server.stats()["descriptors"]
    crowd = Crowd(server.port, (b"", HALF, TOO_LARGE), drips=HALF)
    try:
        failures: list[str] = []
        crowd.grow(2000)
        end, tries = time.monotonic() + 30, 0
        while time.monotonic() < end:
            failures += lives(server, tcp=False) + lives(server, tcp=True)
            tries += 2
            crowd.turn()
            time.sleep(0.5)
        assert failures == [] and tries >= 20, (failures, tries)
        assert 0.0 < crowd.first_closed < 15.0 and crowd.closed > 1500, (crowd.first_closed, crowd.closed)
        crowd.leave()
        wait_until(lambda: server.stats()["descriptors"] <= before + 5, 30, "the descriptors are back")
    finally:
        crowd.leave()
        server.close()


@contextmanager
def shaking(port: int, authority: Authority, *, rate: int) -> Iterator[Callable[[], tuple[int, list[str]]]]:
    """So many whole handshakes a second from other addresses, each with an OPTIONS that is answered."""
    context = ssl.create_default_context(cafile=authority.file)
    done, failures, over = [0], list[str](), threading.Event()

    def shake(number: int) -> None:
        source = (f"127.0.4.{number % 100 + 1}", 0)
        with (
            socket.create_connection(("127.0.0.1", port), 10, source) as plain,
            context.wrap_socket(plain, server_hostname="pbx.test") as phone,
        ):
            request = PhoneByHand.request(_Named(source[0]), "OPTIONS", "sip:office.test")  # type: ignore[arg-type]
            phone.sendall(request.to_bytes().replace(b"SIP/2.0/TCP", b"SIP/2.0/TLS"))
            answer = phone.recv(65535)
            if not answer.startswith(b"SIP/2.0 200"):
                failures.append(repr(answer[:40]))

    def work() -> None:
        while not over.is_set():
            begin = time.monotonic()
            try:
                shake(done[0])
            except OSError as error:
                failures.append(repr(error))
            done[0] += 1
            over.wait(max(0.0, begin + 1 / rate - time.monotonic()))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield lambda: (done[0], failures)
    finally:
        over.set()
        thread.join()


class _Named:
    """What `PhoneByHand.request` needs to know of a phone."""

    user, tcp, cseq = "1003", True, 0

    def __init__(self, host: str) -> None:
        self.address = (host, 5061)
        self.call_id = f"{random.random()}@{host}"


def test_five_hundred_stalled_handshakes_hurt_no_udp_and_no_tls_phone(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    pair, tls = authority.issue("pbx.test"), free_port()
    udp = free_port()
    server = Server(
        tmp_path,
        port=udp,
        **{
            "server.listen": f'["udp://127.0.0.1:{udp}", "tls://127.0.0.1:{tls}"]',
            "server.tls.certificate": str(pair.chain),
            "server.tls.key": str(pair.key),
            "server.guard.trusted": "[]",
            "server.media": "127.0.0.1:26000-27999",
            "server.log.level": "error",
        },
    )
    crowd = Crowd(tls, (HALF_HELLO, b""))
    try:
        failures: list[str] = []
        end, tries = time.monotonic() + 20, 0
        with shaking(tls, authority, rate=50) as shaken:
            while time.monotonic() < end:
                crowd.grow(500 - (len(crowd._open)))
                failures += lives(server, tcp=False)
                tries += 1
                crowd.turn()
                time.sleep(0.2)
        done, refused = shaken()
        assert failures == [] and tries >= 10, (failures, tries)
        assert done >= 100 and len(refused) <= done // 100, (done, refused[:5])
        assert crowd.closed > 500, "each is cut off at its deadline"
    finally:
        crowd.leave()
        server.close()


def test_hostile_messages_of_64_kb_keep_nobody_waiting(tmp_path: Path) -> None:
    """H4: a second of a core is never gone in one message; another client's requests go between them."""
    server = make_server(tmp_path)
    generator, sent = random.Random(4), 0
    try:
        lives(server, tcp=False)
        cpu, failures = server.cpu_seconds(), list[str]()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind((STRANGER, 0))
            for _ in range(100):
                for _ in range(10):
                    stranger.sendto(mixture(generator)[:65_000], ("127.0.0.1", server.port))
                    sent += 1
                failures += lives(server, tcp=False)
        assert failures == []
        assert (server.cpu_seconds() - cpu) / sent < 0.02
    finally:
        server.close()
