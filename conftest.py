from __future__ import annotations

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--outcomes", type=Path, help="interop: run the whole table and write its cells here, JSON lines")
    parser.addoption("--soak", action="store_true", help="full length where the default is a short run of the same")


@pytest.fixture
def soak(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--soak"))
