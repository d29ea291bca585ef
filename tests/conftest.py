"""What all tests share: the seed of simulations, the check that nothing is left behind, the form of the RFC markers.

`--sim-seed N` (or VOIPAT_SEED=N) replays a simulation. docs/rfc-coverage.md comes from `tools/rfc_coverage.py`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("voipat")
    seed = int(os.environ.get("VOIPAT_SEED") or 1)
    group.addoption("--sim-seed", type=int, default=seed, help="seed of the simulated worlds (VOIPAT_SEED, else 1)")


def pytest_configure(config: pytest.Config) -> None:
    """Properties have the same examples each time, and as long for them as they take; with `--soak` new ones."""
    settings.register_profile(
        "voipat",
        derandomize=not config.getoption("--soak", default=False),
        suppress_health_check=[HealthCheck.too_slow],
        deadline=None,
    )
    settings.load_profile("voipat")


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
            if len(marker.args) not in (2, 3) or not all(isinstance(value, str) for value in marker.args):
                raise pytest.UsageError(f'{item.nodeid}: write @pytest.mark.rfc("3261", "17.1.1.2", "the sentence")')
