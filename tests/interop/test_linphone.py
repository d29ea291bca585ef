"""Linphone phones through the daemon over UDP, TCP and TLS: registration, audio both ways, hold, transfer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from bench.rig.processes import free_port, wait_until
from bench.rig.server import Server
from tests.certificates import Authority
from tests.interop.linphone import Linphone
from tests.interop.tones import dominant_frequency, longest_gap_ms

pytestmark = pytest.mark.interop


class Office:
    """A server with a UDP and TCP port, a TLS port after it, and phones at them."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory, self._stack = directory, stack
        self.authority = Authority(directory / "certificates")
        pair = self.authority.issue("office.test", "localhost", stem="server")
        port = free_port(run=2)
        listen = f"udp://127.0.0.1:{port},tcp://127.0.0.1:{port},tls://127.0.0.1:{port + 1}"
        tls = {"server.tls.certificate": str(pair.chain), "server.tls.key": str(pair.key)}
        settings = {"server.listen": listen, **tls}
        self.server = stack.enter_context(closing(Server(directory / "server", port=port, **settings)))

    def phone(self, user: str, frequency: float, transport: str) -> Linphone:
        secure = transport == "tls"
        made = Linphone(
            self.directory / user,
            user=user,
            password=f"pass-{user}",
            # Its mbed TLS finds no IP address in a certificate.
            server=f"localhost:{self.server.port + 1}" if secure else self.server.address,
            port=free_port(run=2),
            frequency=frequency,
            transport=transport,
            trusted=self.authority.file if secure else None,
        )
        return self._stack.enter_context(closing(made))


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with ExitStack() as stack:
        yield Office(tmp_path, stack)


def connect(caller: Linphone, callee: Linphone) -> None:
    caller.dial(callee.user)
    callee.answer()
    caller.wait_for("StreamsRunning")
    callee.wait_for("StreamsRunning")


def hears(phone: Linphone, frequency: float) -> None:
    """The tone of the other phone, for a second, without a hole."""
    phone.mark()
    wait_until(lambda: len(phone.heard()) >= 10_000, 5, f"{phone.user} hears")
    samples = phone.heard()[-8000:]
    assert dominant_frequency(samples) == pytest.approx(frequency, abs=2)
    assert longest_gap_ms(samples) <= 60


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_two_linphones_call_and_hold(office: Office, transport: str) -> None:
    alice, bob = office.phone("1001", 440.0, transport), office.phone("1002", 880.0, transport)
    alice.wait_registered()
    bob.wait_registered()
    assert {row["transport"] for row in office.server.rows("registrations")} == {transport.upper()}
    connect(alice, bob)
    hears(alice, 880.0)
    hears(bob, 440.0)
    alice.hold()
    alice.wait_for("Paused")
    bob.wait_for("PausedByRemote")
    alice.mark()
    time.sleep(0.5)
    assert not len(alice.heard())
    alice.resume()
    bob.wait_for("StreamsRunning")
    hears(alice, 880.0)
    hears(bob, 440.0)
    bob.hang_up()
    alice.wait_no_call()
    bob.wait_no_call()
    rows = wait_until(lambda: [row for row in office.server.rows("cdr") if row["ended"]], 5, "the CDR is complete")
    assert [(row["disposition"], row["hangup_by"]) for row in rows] == [("answered", "callee")]
