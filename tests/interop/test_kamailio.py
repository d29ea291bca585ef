"""Kamailio beside the daemon: as the edge proxy that phones register through (Path, Record-Route), and as a carrier.

One transport of each is in `make test`, the other in `make interop`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from bench.rig.processes import free_port, wait_until
from tests.interop.kamailio import CARRIER, EDGE, Kamailio
from tests.interop.linphone import Linphone
from tests.interop.outcomes import KAMAILIO_PROXY, KAMAILIO_TRUNK, Outcomes
from tests.interop.phones import (
    FREQUENCIES,
    Office,
    hold_and_resume,
    office_with_trunk,
    talk,
    transfer_attended,
    transfer_blind,
)

pytestmark = pytest.mark.interop

OUTSIDE = "+12025550199"
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


def phone(stack: ExitStack, directory: Path, at: Kamailio, user: str, transport: str, domain: str) -> Linphone:
    made = Linphone(
        directory / user,
        user=user,
        password=f"pass-{user}",
        server=at.address,
        port=free_port(run=5),
        frequency=FREQUENCIES[user],
        transport=transport,
        domain=domain,
    )
    return stack.enter_context(closing(made))


@pytest.mark.parametrize("transport", ["UDP", pytest.param("TCP", marks=pytest.mark.matrix)])
def test_phones_behind_kamailio(tmp_path: Path, stack: ExitStack, outcomes: Outcomes, transport: str) -> None:
    row, protocol = outcomes.row(KAMAILIO_PROXY, transport), transport.lower()
    office = Office(tmp_path, stack)
    edge = Kamailio(tmp_path / "edge", EDGE, server=office.server.address, transport=protocol)
    stack.callback(edge.close)
    with row("register"):
        users = ("1001", "1002", "1003")
        alice, bob, carol = (phone(stack, tmp_path, edge, user, protocol, "office.test") for user in users)
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


@pytest.mark.parametrize("transport", ["UDP", pytest.param("TCP", marks=pytest.mark.matrix)])
def test_kamailio_as_carrier(tmp_path: Path, stack: ExitStack, outcomes: Outcomes, transport: str) -> None:
    row, protocol = outcomes.row(KAMAILIO_TRUNK, transport), transport.lower()
    ours = free_port(run=2)
    # An address of its own: by TCP a carrier is known without a port, and phones must not be taken for it.
    carrier = Kamailio(tmp_path / "carrier", CARRIER, server=f"127.0.0.1:{ours}", transport=protocol, host="127.0.0.2")
    stack.callback(carrier.close)
    config = tmp_path / "office.toml"
    config.write_text(office_with_trunk(carrier.address, protocol, trunk=LOGIN))
    office = Office(tmp_path, stack, config=config, port=ours)
    with row("register"):
        wait_until(
            lambda: office.server.rows("trunks")[0]["registration"] == "registered", 20, "the trunk is registered"
        )
        assert office.server.rows("trunks")[0]["state"] == "in"
    alice, bob = (office.phone(Linphone, user, "UDP") for user in ("1001", "1002"))
    outside = phone(stack, tmp_path, carrier, OUTSIDE, protocol, "carrier.test")
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
