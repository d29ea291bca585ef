"""The contract of examples/office.toml in virtual time: each ladder is that captured from the real daemon."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.ladder import path_of
from tests.contract.scenarios import ALL, SECOND_TENANT, SILENT_TRUNK, Scenario, chain
from tests.contract.simulated import ladders


@pytest.mark.parametrize("scenario", [*ALL, *SECOND_TENANT, *SILENT_TRUNK], ids=lambda each: each.name)
def test_the_ladder_is_that_of_the_real_daemon(scenario: Scenario, tmp_path: Path) -> None:
    found = ladders(scenario, tmp_path)
    assert found == [path_of(scenario.name, number).read_text() for number in range(len(scenario.dials))]


@pytest.mark.parametrize("user", ["1004", "1005"])
def test_who_is_to_be_absent_is_not_there_before(user: str) -> None:
    (absent,) = [each for each in ALL if user in [act.user for act in each.acts if act.does == "absent"]]
    early = [each.name for each in ALL if user in each.users and absent not in chain(each)]
    assert early == [], f"their phone {user} could be there before {absent.name!r}"
