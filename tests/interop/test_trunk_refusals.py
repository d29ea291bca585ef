"""What the contract says of trunks that nothing comes of: a carrier that is silent, and who has only its address.

By baresip phones at the real daemon, whose trunk leads to a socket that reads nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from bench.rig.processes import wait_until
from tests.contract.scenarios import CARRIER, SILENT_TRUNK, STRANGER, Scenario
from tests.interop.contract_office import ContractOffice
from tests.interop.test_contract import compare_or_keep

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContractOffice]:
    users = {user for scenario in SILENT_TRUNK for user in scenario.users} - {CARRIER}
    with ExitStack() as stack:
        made = ContractOffice(tmp_path_factory.mktemp("silent"), there=sorted(users), asks_trunk=False)
        stack.callback(made.close)
        silent = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        silent.bind(("127.0.0.1", made.carrier_port))
        yield made


@pytest.mark.parametrize("scenario", SILENT_TRUNK, ids=lambda each: each.name)
def test_a_trunk_that_nothing_comes_of(scenario: Scenario, office: ContractOffice) -> None:
    played = office.play(scenario)
    for number, ladder in enumerate(played.ladders):
        compare_or_keep(scenario.name, number, ladder)


def test_calls_to_a_silent_carrier_end_by_one_line_of_the_log(office: ContractOffice) -> None:
    (row,) = office.server.rows("trunks")
    assert (row["state"], row["failures"]) == ("out", 3), "as the scenarios before left it"
    wait_until(lambda: "trunk is out of service" in office.server.process.output(), 10, "the log says so")
    assert office.server.process.output().count("trunk is out of service") == 1
    assert not office.phone(STRANGER).seen("CALL_ESTABLISHED")
