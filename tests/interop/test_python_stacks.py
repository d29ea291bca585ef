"""SIP stacks of PyPI as phones. `make interop` installs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.rig.processes import wait_until
from tests.interop.aiosipua_phone import Aiosipua
from tests.interop.linphone import Linphone
from tests.interop.outcomes import AIOSIPUA, SIPPY, Outcomes
from tests.interop.phones import FREQUENCIES, Office, call_back, hears, hold_shown, talk, transfer_blind
from tests.interop.sippy_phone import Sippy

# What these libraries leave open is their own matter.
LEAKS = ("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::DeprecationWarning")
pytestmark = [pytest.mark.interop, pytest.mark.matrix, *(pytest.mark.filterwarnings(each) for each in LEAKS)]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.mark.parametrize("transport", ["UDP", "TCP", "UDP over IPv6", "TCP over IPv6"])
def test_aiosipua(tmp_path: Path, stack: ExitStack, outcomes: Outcomes, transport: str) -> None:
    row = outcomes.row(AIOSIPUA, transport)
    row.not_offered("attended transfer", "sends no REFER with Replaces")
    settings = {"server.session_expires_s": "90", "server.min_se_s": "90"}
    office = Office(tmp_path, stack, ipv6="IPv6" in transport, **settings)
    with row("register"):
        alice = office.phone(Aiosipua, "1001", transport, session_s=90)
        alice.wait_registered()
    bob, carol = (office.phone(Linphone, user, transport) for user in ("1002", "1003"))
    early = office.phone(Aiosipua, "1004", transport, early=True)
    for phone in (bob, carol, early):
        phone.wait_registered()
    with row("call"):
        office.connect(bob, alice)
        call_back(office, alice, bob)
    with row("hold"):
        hold_shown(alice, bob)
        talk(alice, bob)
    with row("blind transfer"):
        transfer_blind(office, alice, bob, carol)
    with row("early media"):
        carol.dial("1004")
        carol.wait_for("OutgoingEarlyMedia")
        hears(carol, FREQUENCIES["1004"])
    with row("PRACK"):
        assert any(line.startswith("< PRACK") for line in early.lines), early.lines
        early.answer()
        carol.wait_talking()
        talk(carol, early)
        early.hang_up()
        carol.wait_no_call()
    with row("session timer"):
        office.connect(alice, bob)
        begun = len(alice.lines)
        # It says nothing of UPDATE in its INVITE: the daemon refreshes by re-INVITE.
        wait_until(lambda: any(each.startswith("< INVITE") for each in alice.lines[begun:]), 75, "a refresh")
        talk(alice, bob)
        alice.hang_up()
        bob.wait_no_call()


@pytest.mark.parametrize("transport", ["UDP", "UDP over IPv6"])
def test_sippy(tmp_path: Path, stack: ExitStack, outcomes: Outcomes, transport: str) -> None:
    row = outcomes.row(SIPPY, transport)
    row.not_offered("attended transfer", "sends no REFER with Replaces")
    row.not_offered("PRACK", "knows no 100rel")
    row.not_offered("session timer", "knows no session timer")
    office = Office(tmp_path, stack, ipv6="IPv6" in transport)
    with row("register"):
        alice = office.phone(Sippy, "1001", transport, early=True)
        alice.wait_registered()
    bob, carol = (office.phone(Linphone, user, transport) for user in ("1002", "1003"))
    for phone in (bob, carol):
        phone.wait_registered()
    with row("early media"):
        bob.dial("1001")
        bob.wait_for("OutgoingEarlyMedia")
        hears(bob, FREQUENCIES["1001"])
    with row("call"):
        alice.answer()
        bob.wait_talking()
        call_back(office, alice, bob)
    with row("hold"):
        hold_shown(alice, bob)
        talk(alice, bob)
    with row("blind transfer"):
        transfer_blind(office, alice, bob, carol)
