"""What all tests share: the seed of simulations, the check that nothing is left behind, and the RFC coverage page.

`--sim-seed N` (or VOIPAT_SEED=N) replays a simulation; `--rfc-coverage FILE` writes which test holds which section of
which RFC.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("voipat")
    seed = int(os.environ.get("VOIPAT_SEED") or 1)
    group.addoption("--sim-seed", type=int, default=seed, help="seed of the simulated worlds (VOIPAT_SEED, else 1)")
    group.addoption("--rfc-coverage", type=Path, default=None, help="write the table of RFC sections and their tests")


@pytest.fixture
def seed(pytestconfig: pytest.Config) -> int:
    """The seed of this run's simulated worlds."""
    value: int = pytestconfig.getoption("--sim-seed")
    return value


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Fails the test when it leaves descriptors or threads behind."""
    descriptors, threads = _descriptors(), set(threading.enumerate())
    yield
    left = {thread.name for thread in threading.enumerate() if thread not in threads and thread.is_alive()}
    assert not left, f"threads left: {sorted(left)}"
    opened = {number: what for number, what in _descriptors().items() if number not in descriptors}
    assert not opened, f"descriptors left: {opened}"


def _descriptors() -> dict[str, str]:
    found = {}
    for entry in os.scandir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
        try:
            target = os.readlink(entry.path)
        except OSError:
            continue
        if target != "/proc/self/fd" and not target.endswith("/fd"):
            found[entry.name] = target
    return found


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for marker in item.iter_markers("rfc"):
            if len(marker.args) != 2 or not all(isinstance(value, str) for value in marker.args):
                raise pytest.UsageError(f'{item.nodeid}: write @pytest.mark.rfc("3261", "17.1.1.2")')


def pytest_collection_finish(session: pytest.Session) -> None:
    path: Path | None = session.config.getoption("--rfc-coverage")
    if path is not None:
        path.write_text(_rfc_coverage(session.items), encoding="utf-8")


def _rfc_coverage(items: list[pytest.Item]) -> str:
    rows = {
        (int(marker.args[0]), _section_key(marker.args[1]), marker.args[1], _test_name(item), _state(item))
        for item in items
        for marker in item.iter_markers("rfc")
    }
    lines = ["# RFC coverage", "", "Generated from the markers of the tests.", ""]
    lines += ["| RFC | section | test | state |", "|---|---|---|---|"]
    lines += [f"| {rfc} | {section} | {name} | {state} |" for rfc, _, section, name, state in sorted(rows)]
    return "\n".join(lines) + "\n"


def _section_key(section: str) -> tuple[tuple[int, str], ...]:
    return tuple((int(part), "") if part.isdigit() else (0, part) for part in section.split("."))


def _test_name(item: pytest.Item) -> str:
    return getattr(item, "originalname", item.name).removeprefix("test_").replace("_", " ")


def _state(item: pytest.Item) -> str:
    marker = item.get_closest_marker("xfail")
    return "holds" if marker is None else f"not implemented: {marker.kwargs.get('reason', '')}"
