"""Every line of the contract of examples/office.toml by real phones: what is heard, how calls end, their ladders.

VOIPAT_LADDERS=write keeps the ladders that were captured, for tests/sim/test_contract_ladders.py to compare with.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime

import pytest

from tests.contract.ladder import path_of
from tests.contract.scenarios import ALL, BY_NAME, Scenario
from tests.contract.sounds import is_heard
from tests.interop.contract_office import ContractOffice, Played


def compare_or_keep(scenario: str, number: int, ladder: str) -> None:
    """Raises: AssertionError when the call's ladder is not that which is kept."""
    path = path_of(scenario, number)
    if os.environ.get("VOIPAT_LADDERS") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(ladder)
    assert ladder == path.read_text()


@pytest.fixture(scope="module")
def results(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[dict[str, Played | BaseException]]:
    office = ContractOffice(tmp_path_factory.mktemp("contract"), patient=pytestconfig.getoption("--soak"))
    try:
        yield office.play_all(ALL)
        stats = office.server.stats()
        assert (stats["calls"], stats["ports"], stats["cdr_open_legs"]) == (0, 0, 0)
    finally:
        office.close()


@pytest.mark.parametrize("scenario", ALL, ids=lambda each: each.name)
def test_a_line_of_the_contract(scenario: Scenario, results: dict[str, Played | BaseException]) -> None:
    played = results[scenario.name]
    if isinstance(played, BaseException):
        raise played
    for number, (dials, heard, ladder) in enumerate(zip(scenario.dials, played.heard, played.ladders, strict=True)):
        assert is_heard(dials.hears, heard), f"{dials.user} heard {heard}, not {dials.hears}"
        compare_or_keep(scenario.name, number, ladder)
    assert not scenario.kept_in or played.messages > 0
    if scenario.taped is not None:
        for wanted, channel in zip((scenario.taped.said, scenario.taped.told), played.taped, strict=True):
            assert is_heard((wanted,), channel), f"the recording has {channel}, not {wanted}"


def test_a_digit_that_can_begin_an_extension_waits_two_seconds_for_the_next(
    results: dict[str, Played | BaseException],
) -> None:
    scenario = BY_NAME["menu key 1 leads to the group"]
    played = results[scenario.name]
    assert isinstance(played, Played)
    moments = {
        what: datetime.fromisoformat(str(entry["time"])).timestamp()
        for what in ("answered, ", "menu 500: a key leads to 600")
        for entry in reversed(played.entries[0])
        if what in str(entry["text"])
    }
    answered, decided = moments.values()
    ((pressed_after, _),) = scenario.dials[0].keys
    assert decided - answered > pressed_after + 2.0
