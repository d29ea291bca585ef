from __future__ import annotations

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--outcomes", type=Path, help="interop: run the whole table and write its cells here, JSON lines")
    parser.addoption("--soak", action="store_true", help="full length where the default is a short run of the same")
    parser.addoption(
        "--soak-scale", type=float, default=1.0, help="with --soak, for a machine that is busy: this part of it"
    )


@pytest.fixture
def soak(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--soak"))


@pytest.fixture
def soak_scale(request: pytest.FixtureRequest) -> float:
    """What part of its full rate and count a soak is to have."""
    return float(request.config.getoption("--soak-scale"))
