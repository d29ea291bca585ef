"""Kamailio beside the daemon: as the edge proxy that phones register through (Path, Record-Route), and as a carrier.

One transport of each is in `make test`, the others in `make interop`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from bench.rig.processes import free_port, wait_until
from tests.certificates import Authority
from tests.interop.kamailio import CARRIER, EDGE, Kamailio
from tests.interop.linphone import Linphone
from tests.interop.outcomes import KAMAILIO_PROXY, KAMAILIO_TRUNK, Outcomes, Row
from tests.interop.phones import (
    FREQUENCIES,
    Office,
    flow_of,
    hears,
    hold_and_resume,
    office_with_trunk,
    talk,
    transfer_attended,
    transfer_blind,
)

pytestmark = pytest.mark.interop

OUTSIDE = "+12025550199"
SESSIONS = {"server.session_expires_s": "90", "server.min_se_s": "90"}
REFRESH = r"UPDATE sip:.*\nSIP/2.0 200 O[Kk]"
LOGIN = """\
username = "office"
password = "pass-office"
domain = "carrier.test"
realm = "carrier.test"
register = true
"""


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


TRANSPORTS = ["UDP", *(pytest.param(each, marks=pytest.mark.matrix) for each in ("TCP", "TLS"))]


def phone(
    stack: ExitStack,
    directory: Path,
    at: Kamailio,
    user: str,
    transport: str,
    domain: str,
    trusted: Path | None = None,
    **settings: Any,
) -> Linphone:
    made = Linphone(
        directory / user,
        user=user,
        password=f"pass-{user}",
        server=at.address.replace("127.0.0.1", "localhost") if transport == "tls" else at.plain,
        port=free_port(run=5),
        frequency=FREQUENCIES[user],
        transport=transport,
        domain=domain,
        trusted=trusted,
        **settings,
    )
    return stack.enter_context(closing(made))


def behind_kamailio(tmp_path: Path, stack: ExitStack, transport: str, **settings: str) -> tuple[Office, Kamailio]:
    """The office, and the proxy that its phones register through."""
    office = Office(tmp_path, stack, **settings)
    secure = transport == "TLS"
    edge = Kamailio(
        tmp_path / "edge",
        EDGE,
        server=f"127.0.0.1:{office.server.port + secure}",
        transport=transport.lower(),
        authority=office.authority if secure else None,
    )
    stack.callback(edge.close)
    return office, edge


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_phones_behind_kamailio(tmp_path: Path, stack: ExitStack, outcomes: Outcomes, transport: str) -> None:
    row, protocol = outcomes.row(KAMAILIO_PROXY, transport), transport.lower()
    office, edge = behind_kamailio(tmp_path, stack, transport)
    with row("register"):
        users = ("1001", "1002", "1003")
        alice, bob, carol = (
            phone(stack, tmp_path, edge, user, protocol, "office.test", office.authority.file) for user in users
        )
        for each in (alice, bob, carol):
            each.wait_registered()
        seen = office.server.rows("registrations")
        assert {each["transport"] for each in seen} == {transport}
        assert len({each["received"] for each in seen}) == 1
    with row("call"):
        office.connect(alice, bob)
        talk(alice, bob)
    with row("hold"):
        hold_and_resume(alice, bob)
    with row("blind transfer"):
        transfer_blind(office, bob, alice, carol)
    with row("attended transfer"):
        office.connect(alice, bob)
        transfer_attended(office, bob, alice, carol)


def subscriber(stack: ExitStack, directory: Path, at: Kamailio, transport: str, **settings: Any) -> Linphone:
    """A phone of the carrier."""
    protocol = "tcp" if transport == "TCP" else "udp"
    return phone(stack, directory, at, OUTSIDE, protocol, "carrier.test", **settings)


def at_kamailio(tmp_path: Path, stack: ExitStack, transport: str, **settings: str) -> tuple[Office, Kamailio]:
    """The office with a trunk, and the carrier at its other end."""
    protocol = transport.lower()
    ours = free_port(run=2)
    # An address of its own: by TCP a carrier is known without a port, and phones must not be taken for it.
    secure = transport == "TLS"
    authority = Authority(tmp_path / "authority")
    carrier = Kamailio(
        tmp_path / "carrier",
        CARRIER,
        server=f"127.0.0.1:{ours + secure}",
        transport=protocol,
        host="127.0.0.2",
        authority=authority if secure else None,
    )
    stack.callback(carrier.close)
    config = tmp_path / "office.toml"
    config.write_text(office_with_trunk(carrier.address, protocol, trunk=LOGIN))
    with pytest.MonkeyPatch.context() as patched:
        if secure:
            patched.setenv("SSL_CERT_FILE", str(authority.file))
        office = Office(tmp_path, stack, config=config, port=ours, **settings)
    return office, carrier


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_kamailio_as_carrier(tmp_path: Path, stack: ExitStack, outcomes: Outcomes, transport: str) -> None:
    row = outcomes.row(KAMAILIO_TRUNK, transport)
    office, carrier = at_kamailio(tmp_path, stack, transport)
    with row("register"):
        wait_until(
            lambda: office.server.rows("trunks")[0]["registration"] == "registered", 20, "the trunk is registered"
        )
        assert office.server.rows("trunks")[0]["state"] == "in"
    alice, bob = (office.phone(Linphone, user, "UDP") for user in ("1001", "1002"))
    outside = subscriber(stack, tmp_path, carrier, transport)
    for each in (alice, bob, outside):
        each.wait_registered()
    with row("call"):
        office.connect(alice, outside, "9" + OUTSIDE.removeprefix("+1"))
        talk(alice, outside)
        outside.hang_up()
        alice.wait_no_call()
        office.connect(outside, alice, "+12025550101")
        talk(alice, outside)
    with row("hold"):
        hold_and_resume(alice, outside)
        hold_and_resume(outside, alice)
    with row("blind transfer"):
        transfer_blind(office, alice, outside, bob)
    with row("attended transfer"):
        office.connect(outside, alice, "+12025550101")
        transfer_attended(office, alice, outside, bob)


def test_a_trunk_by_mutual_tls(tmp_path: Path, stack: ExitStack) -> None:
    """Each side asks for the other's certificate; of two trunks at one address the name in it tells who calls."""
    authority = Authority(tmp_path / "authority")
    ours = free_port(run=2)
    listener = f"127.0.0.1:{ours + 1}"
    carrier = Kamailio(
        tmp_path / "carrier",
        CARRIER,
        server=listener,
        transport="tls",
        host="127.0.0.2",
        authority=authority,
        mutual=True,
    )
    stack.callback(carrier.close)
    config = tmp_path / "office.toml"
    text = office_with_trunk(carrier.address, "tls", trunk=LOGIN + 'certificate_name = "carrier.test"\n')
    other = '[[tenant.trunk]]\nname = "other"\nhost = "127.0.0.2"\ntransport = "tls"\noptions_s = 0\n'
    config.write_text(text + other + 'certificate_name = "other.test"\n')
    mutual = {"server.tls.mutual": f"tls://{listener}", "server.tls.client_ca": str(authority.file)}
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SSL_CERT_FILE", str(authority.file))
        office = Office(tmp_path, stack, config=config, port=ours, authority=authority, **mutual)
    alice = office.phone(Linphone, "1001", "UDP")
    outside = subscriber(stack, tmp_path, carrier, "TLS")
    for each in (alice, outside):
        each.wait_registered()
    wait_until(lambda: office.server.rows("trunks")[0]["registration"] == "registered", 20, "the trunk is registered")
    office.connect(alice, outside, "9" + OUTSIDE.removeprefix("+1"))
    talk(alice, outside)
    outside.hang_up()
    alice.wait_no_call()
    office.connect(outside, alice, "+12025550101")
    outside.hang_up()
    alice.wait_no_call()
    assert [row["disposition"] for row in office.cdrs(2)] == ["answered", "answered"]
    assert "driver_tls_refused_certificate" not in office.server.stats()


@pytest.mark.matrix
@pytest.mark.parametrize("transport", ["UDP", "TCP", "TLS"])
def test_early_media_and_refreshes_pass_kamailio(
    tmp_path: Path, stack: ExitStack, outcomes: Outcomes, transport: str
) -> None:
    """It adds nothing of its own to them, and must not lose them."""
    office, edge = behind_kamailio(tmp_path / "in", stack, transport, **SESSIONS)
    asking = {"early": True, "reliable": True, "session_s": 90}
    trusted, protocol = office.authority.file, transport.lower()
    alice = phone(stack, tmp_path, edge, "1001", protocol, "office.test", trusted)
    bob = phone(stack, tmp_path, edge, "1002", protocol, "office.test", trusted, **asking)
    other, carrier = at_kamailio(tmp_path / "out", stack, transport, **SESSIONS)
    carol = other.phone(Linphone, "1001", "UDP")
    outside = subscriber(stack, tmp_path, carrier, transport, **asking)
    for each in (alice, bob, carol, outside):
        each.wait_registered()
    early(outcomes.row(KAMAILIO_PROXY, transport), alice, bob, "1002")
    early(outcomes.row(KAMAILIO_TRUNK, transport), carol, outside, "9" + OUTSIDE.removeprefix("+1"))
    for peer, caller, callee in ((KAMAILIO_PROXY, alice, bob), (KAMAILIO_TRUNK, carol, outside)):
        with outcomes.row(peer, transport)("session timer"):
            wait_until(lambda: re.search(REFRESH, flow_of(callee)), 75, "a refresh at who is called")  # noqa: B023
            talk(caller, callee)


def early(row: Row, caller: Linphone, callee: Linphone, number: str) -> None:
    """The caller hears the tone of who rings, and its PRACK arrives; then they talk."""
    with row("early media"):
        caller.dial(number)
        caller.wait_for("OutgoingEarlyMedia")
        hears(caller, FREQUENCIES[callee.user])
    with row("PRACK"):
        wait_until(lambda: re.search(r"PRACK sip:.*\nSIP/2.0 200 Ok", flow_of(callee)), 5, "a 183 has its PRACK")
        callee.answer()
        caller.wait_talking()
        talk(caller, callee)
