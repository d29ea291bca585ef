"""Phones of two makers through the daemon over UDP, TCP, TLS and IPv6: registration, audio, hold, transfer.

Of the table in docs/interop.md `make test` runs one transport of each kind; `make interop` runs them all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.rig.processes import wait_until
from tests.interop.baresip import Baresip
from tests.interop.linphone import Linphone
from tests.interop.outcomes import BARESIP, LINPHONE, Outcomes
from tests.interop.phones import (
    FREQUENCIES,
    Office,
    flow_of,
    hears,
    hold_and_resume,
    hold_shown,
    talk,
    transfer_attended,
    transfer_blind,
)

pytestmark = pytest.mark.interop

TLS6 = "its mbed TLS finds no IP address in a certificate, and this machine has no name for ::1"
Offices = Callable[[bool], Office]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Offices]:
    """One server for IPv4 and one for IPv6, made when asked for."""
    with ExitStack() as stack:
        made: dict[bool, Office] = {}

        def office(ipv6: bool) -> Office:
            if ipv6 not in made:
                made[ipv6] = Office(tmp_path_factory.mktemp("office"), stack, ipv6=ipv6)
            return made[ipv6]

        yield office


@pytest.fixture
def offices(opened: Offices) -> Iterator[Offices]:
    """Phones end with each test."""
    with ExitStack() as stack:

        def office(ipv6: bool) -> Office:
            stack.callback(opened(ipv6).clear)
            return opened(ipv6)

        yield office


def everywhere(*in_test: str, of: tuple[str, ...]) -> pytest.MarkDecorator:
    """Parametrized by transport; those not named first are left to `make interop`."""
    marks = [each if each in in_test else pytest.param(each, marks=pytest.mark.matrix) for each in of]
    return pytest.mark.parametrize("transport", marks)


@everywhere("UDP", "TLS", of=("UDP", "TCP", "TLS", "UDP over IPv6", "TCP over IPv6"))
def test_linphones_call_and_hold(offices: Offices, outcomes: Outcomes, transport: str) -> None:
    office, row = offices("IPv6" in transport), outcomes.row(LINPHONE, transport)
    with row("register"):
        alice, bob = (office.phone(Linphone, user, transport) for user in ("1001", "1002"))
        alice.wait_registered()
        bob.wait_registered()
    with row("call"):
        office.connect(alice, bob)
        talk(alice, bob)
    with row("hold"):
        hold_and_resume(alice, bob)
    with row("call"):
        bob.hang_up()
        alice.wait_no_call()
        bob.wait_no_call()


@everywhere("UDP", of=("UDP", "TCP", "TLS", "UDP over IPv6", "TCP over IPv6"))
def test_early_media_of_linphone_and_its_prack(offices: Offices, outcomes: Outcomes, transport: str) -> None:
    office, row = offices("IPv6" in transport), outcomes.row(LINPHONE, transport)
    alice = office.phone(Linphone, "1001", transport)
    bob = office.phone(Linphone, "1002", transport, early=True, reliable=True)
    carol = office.phone(Baresip, "1003", transport)
    for phone in (alice, bob, carol):
        phone.wait_registered()
    with row("early media"):
        alice.dial("1002")
        alice.wait_for("OutgoingEarlyMedia")
        hears(alice, FREQUENCIES["1002"])
    with row("PRACK"):
        wait_until(
            lambda: re.search(r"PRACK sip:.*\nSIP/2.0 200 Ok", flow_of(bob)), 5, "a 183 of the phone has its PRACK"
        )
        assert "Require: 100rel" in bob.log()
        bob.answer()
        alice.wait_talking()
        talk(alice, bob)
        alice.hang_up()
        bob.wait_no_call()
    with outcomes.row(BARESIP, transport)("early media"):
        carol.dial("1002")
        bob.wait_for("IncomingEarlyMedia")
        hears(carol, FREQUENCIES["1002"])
        carol.hang_up()
        bob.wait_no_call()


@pytest.mark.matrix
@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
def test_linphone_and_the_daemon_refresh_sessions(tmp_path: Path, outcomes: Outcomes, family: str) -> None:
    """The daemon refreshes the caller's leg, the phone its own: who was agreed on does, by UPDATE."""
    transports = {"IPv4": ("UDP", "TCP", "TLS"), "IPv6": ("UDP over IPv6", "TCP over IPv6")}[family]
    pairs = (("1001", "1002"), ("1003", "1004"), ("1005", "1006"))
    settings = {"server.session_expires_s": "90", "server.min_se_s": "90"}
    with ExitStack() as stack:
        office = Office(tmp_path, stack, ipv6=family == "IPv6", **settings)
        calls = {}
        for transport, users in zip(transports, pairs, strict=False):
            caller, callee = (office.phone(Linphone, user, transport, session_s=90) for user in users)
            caller.wait_registered()
            callee.wait_registered()
            office.connect(caller, callee)
            calls[transport] = caller, callee
        for transport, (caller, callee) in calls.items():
            with outcomes.row(LINPHONE, transport)("session timer"):
                for phone, words in (
                    (caller, r"UPDATE sip:\d+@.*\nSIP/2.0 200 Ok"),
                    (callee, r"UPDATE sip:.*\nSIP/2.0 200 OK"),
                ):
                    wait_until(lambda: re.search(words, flow_of(phone)), 75, f"a refresh at {phone.user}")  # noqa: B023
                talk(caller, callee)
                caller.hang_up()
                callee.wait_no_call()


@everywhere("UDP", of=("UDP", "TCP", "TLS", "UDP over IPv6", "TCP over IPv6"))
def test_linphone_transfers(offices: Offices, outcomes: Outcomes, transport: str) -> None:
    office, row = offices("IPv6" in transport), outcomes.row(LINPHONE, transport)
    alice, bob, carol = (office.phone(Linphone, user, transport) for user in ("1001", "1002", "1003"))
    for phone in (alice, bob, carol):
        phone.wait_registered()
    with row("blind transfer"):
        office.connect(alice, bob)
        transfer_blind(office, bob, alice, carol)
    with row("attended transfer"):
        office.connect(alice, bob)
        transfer_attended(office, bob, alice, carol)


@everywhere("TCP", of=("UDP", "TCP", "TLS", "UDP over IPv6", "TCP over IPv6", "TLS over IPv6"))
def test_baresip_calls_holds_and_transfers(offices: Offices, outcomes: Outcomes, transport: str) -> None:
    office, row = offices("IPv6" in transport), outcomes.row(BARESIP, transport)
    row.not_offered("attended transfer", "sends no REFER with Replaces")
    row.not_offered("PRACK", "knows no 100rel")
    if transport == "TLS over IPv6":
        row.not_offered("early media", "the phone that plays it has no TLS over IPv6: " + TLS6)
    row.not_offered("session timer", "knows no session timer")
    with row("register"):
        alice = office.phone(Baresip, "1001", transport)
        alice.wait_registered()
    bob, carol = (office.phone(Linphone, user, transport.replace("TLS", "UDP")) for user in ("1002", "1003"))
    bob.wait_registered()
    carol.wait_registered()
    with row("call"):
        office.connect(alice, bob)
        talk(alice, bob)
    with row("hold"):
        hold_shown(alice, bob)
        hears(bob, FREQUENCIES["1001"])
    with row("blind transfer"):
        transfer_blind(office, alice, bob, carol)
