"""The contract of examples/office.toml in virtual time: each ladder is that captured from the real daemon."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.ladder import path_of
from tests.contract.scenarios import ALL, SECOND_TENANT, SILENT_TRUNK, Scenario
from tests.contract.simulated import ladders


@pytest.mark.parametrize("scenario", [*ALL, *SECOND_TENANT, *SILENT_TRUNK], ids=lambda each: each.name)
def test_the_ladder_is_that_of_the_real_daemon(scenario: Scenario, tmp_path: Path) -> None:
    found = ladders(scenario, tmp_path)
    assert found == [path_of(scenario.name, number).read_text() for number in range(len(scenario.dials))]
