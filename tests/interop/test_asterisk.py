"""Asterisk 22 as trunk of the office, and as the PBX of phones at the other side of that trunk.

Run by `make interop-asterisk`, not by `make test`: its chroot needs root and 500 MB.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from bench.rig.processes import free_port, wait_until
from tests.certificates import Authority
from tests.interop.asterisk import Asterisk
from tests.interop.linphone import Linphone
from tests.interop.outcomes import ASTERISK_PBX, ASTERISK_TRUNK, Outcomes
from tests.interop.phones import (
    FREQUENCIES,
    Office,
    hears,
    hold_and_resume,
    office_with_trunk,
    talk,
    transfer_attended,
    transfer_blind,
)

pytestmark = [pytest.mark.interop, pytest.mark.matrix]

FIRST, SECOND = "+12025550298", "+12025550299"
EARLY, ECHO = "2025550201", "2025550202"
TRANSPORTS = ["UDP", "TCP", "TLS", "UDP over IPv6"]
SESSIONS = """\
session_expires_s = 90
min_se_s = 90
"""


class Sides:
    """The office and Asterisk, each a trunk of the other by `transport`; the phones of both speak UDP."""

    def __init__(self, directory: Path, stack: ExitStack, transport: str, **settings: str) -> None:
        self._directory, self._stack = directory, stack
        self._ipv6 = "IPv6" in transport
        protocol = transport.split()[0].lower()
        secure = protocol == "tls"
        # An address of its own, where there is one: by TCP and TLS a carrier is known by its address alone.
        theirs = "::1" if self._ipv6 else "127.0.0.2"
        port = free_port(run=2)
        office = f"{'[::1]' if self._ipv6 else '127.0.0.1'}:{port + secure}"
        authority = Authority(directory / "authority")
        self.asterisk = Asterisk(
            office=office,
            transport=protocol,
            host=theirs,
            phones=(FIRST, SECOND),
            authority=authority if secure else None,
            **settings,
        )
        stack.callback(self.asterisk.close)
        config = directory / "office.toml"
        config.write_text(office_with_trunk(self.asterisk.address, protocol, server=SESSIONS))
        with pytest.MonkeyPatch.context() as patched:
            if secure:
                patched.setenv("SSL_CERT_FILE", str(authority.file))
            self.office = Office(directory / "office", stack, ipv6=self._ipv6, config=config, port=port)
        wait_until(lambda: self.office.server.rows("trunks")[0]["last"] == "answered", 15, "Asterisk answers OPTIONS")

    def inside(self, user: str) -> Linphone:
        """A registered phone of the office."""
        phone: Linphone = self.office.phone(Linphone, user, "UDP over IPv6" if self._ipv6 else "UDP")
        phone.wait_registered()
        return phone

    def outside(self, user: str) -> Linphone:
        """A phone that registers at Asterisk."""
        phone = Linphone(
            self._directory / user,
            user=user,
            password=f"pass-{user}",
            server=self.asterisk.phones_at,
            port=free_port(run=5),
            frequency=FREQUENCIES[user],
            host="::1" if self._ipv6 else "127.0.0.1",
            domain="carrier.test",
        )
        self._stack.enter_context(closing(phone))
        phone.wait_registered()
        return phone


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_asterisk_as_trunk(tmp_path: Path, stack: ExitStack, outcomes: Outcomes, transport: str) -> None:
    row = outcomes.row(ASTERISK_TRUNK, transport)
    with row("call"):  # a trunk that does not come up is no empty row
        sides = Sides(tmp_path, stack, transport, reliable="required", timers="always")
    office, asterisk, alice, bob = sides.office, sides.asterisk, sides.inside("1001"), sides.inside("1002")
    row.not_offered("register", "the trunk is known by its address")
    row.not_offered("attended transfer", "a trunk transfers nobody; see the phones behind it")
    with row("early media"):
        alice.dial("9" + EARLY)
        alice.wait_for("OutgoingEarlyMedia")
        hears(alice, 770.0)
    with row("call"):
        alice.wait_talking()
        hears(alice, FREQUENCIES["1001"])
    with row("hold"):
        alice.hold()
        alice.wait_for("Paused")
        alice.resume()
        alice.wait_talking()
        hears(alice, FREQUENCIES["1001"])
        alice.hang_up()
        alice.wait_no_call()
    with row("PRACK"):
        assert asterisk.requests("PRACK") == 1, "the 183 of Asterisk has its PRACK"
        office.ring(lambda: asterisk.call("+12025550101"), alice)
        alice.wait_talking()
        hears(alice, FREQUENCIES["1001"])
        assert asterisk.requests("PRACK", "Transmitting") == 1, "Asterisk requires 100rel and gets it"
    with row("blind transfer"):
        office.ring(lambda: alice.transfer("1002"), bob)
        bob.wait_talking()
        alice.wait_no_call()
        hears(bob, FREQUENCIES["1002"])
    with row("session timer"):
        refreshed = wait_until(
            lambda: asterisk.requests("UPDATE") + asterisk.requests("UPDATE", "Transmitting"), 75, "a refresh"
        )
        assert refreshed
        hears(bob, FREQUENCIES["1002"])
        bob.hang_up()
        wait_until(lambda: "0 active calls" in asterisk.cli("core show channels"), 10, "Asterisk has no call")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_asterisk_as_the_pbx_over_there(tmp_path: Path, stack: ExitStack, outcomes: Outcomes, transport: str) -> None:
    row = outcomes.row(ASTERISK_PBX, transport)
    with row("register"):
        sides = Sides(tmp_path, stack, transport)
    office, alice, bob = sides.office, sides.inside("1001"), sides.inside("1002")
    for feature in ("early media", "PRACK", "session timer"):
        row.not_offered(feature, "a matter of its trunk: see there")
    with row("register"):
        first, second = sides.outside(FIRST), sides.outside(SECOND)
    with row("call"):
        office.connect(alice, first, "9" + FIRST.removeprefix("+1"))
        talk(alice, first)
        alice.hang_up()
        first.wait_no_call()
        office.connect(first, alice, "+12025550101")
        talk(alice, first)
    with row("hold"):
        hold_and_resume(alice, first, told=False)
        hold_and_resume(first, alice, told=False)
    with row("blind transfer"):
        transfer_blind(office, first, alice, second)
        office.connect(first, alice, "+12025550101")
        transfer_blind(office, alice, first, bob)
    with row("attended transfer"):
        office.connect(first, alice, "+12025550101")
        transfer_attended(office, alice, first, bob)
        office.connect(first, alice, "+12025550101")
        transfer_attended(office, first, alice, second)
