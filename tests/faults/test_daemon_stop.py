"""How the daemon ends: drained, at once, or killed; and that the next one starts."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.faults.running_daemon import RunningDaemon

pytestmark = pytest.mark.slow

DRAIN_S = 30  # what `server.drain_s` is when nobody says


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_with_no_calls_it_ends_with_status_0_before_its_time_to_drain(tmp_path: Path, number: signal.Signals) -> None:
    running = RunningDaemon(tmp_path).ready()
    try:
        running.signal(number)
        assert running.wait(DRAIN_S) == 0
    finally:
        running.close()
    assert "Traceback" not in running.output
    assert not (running.data / "control.sock").exists()


def test_drain_with_wait_returns_when_the_next_daemon_can_start(tmp_path: Path) -> None:
    running = RunningDaemon(tmp_path).ready()
    try:
        assert running.rows("drain", "--wait")[-1] == {"ended": True}
        following = RunningDaemon(tmp_path).ready()
        following.signal(signal.SIGTERM)
        assert following.wait(60) == 0
        assert running.wait(60) == 0
    finally:
        running.close()


def test_kill_9_leaves_nothing_that_stops_the_next_start(tmp_path: Path) -> None:
    running = RunningDaemon(tmp_path).ready()
    running.signal(signal.SIGKILL)
    running.wait(5)
    assert running.ask("calls").returncode == 3
    assert running.ask("cdr").returncode == 0
    following = RunningDaemon(tmp_path, port=running.port).ready()
    try:
        assert following.rows("stats")[0]["calls"] == 0
    finally:
        following.close()
