"""Reload while running: a good file is in force at once, a bad one changes nothing and says why."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.rig.processes import wait_until
from tests.faults.running_daemon import OFFICE, RunningDaemon

pytestmark = pytest.mark.slow


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[RunningDaemon]:
    config = tmp_path / "office.toml"
    config.write_text(OFFICE.read_text())
    running = RunningDaemon(tmp_path, config=config).ready()
    yield running
    running.close()


def append(daemon: RunningDaemon, text: str) -> None:
    daemon.config.write_text(daemon.config.read_text() + text)


def test_a_new_extension_is_there_after_reload_and_check_only_says_so(daemon: RunningDaemon) -> None:
    append(daemon, '\n1011 = "pass-1011"\n')
    wanted = {"added": ["office.test/1011"], "changed": [], "removed": [], "needs_restart": []}
    assert daemon.rows("reload", "--check") == [{"applied": False, **wanted}]
    assert daemon.rows("reload") == [{"applied": True, **wanted}]
    assert daemon.rows("reload") == [{"applied": True, **wanted, "added": []}]


def test_a_bad_file_is_refused_with_its_line_and_the_old_configuration_stays(daemon: RunningDaemon) -> None:
    append(daemon, "\n1012 = 5\n")
    done = daemon.ask("reload")
    line = len(daemon.config.read_text().splitlines())
    assert done.returncode == 2
    assert done.stderr.startswith(f"{daemon.config}:{line}: ")
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: "reload refused" in daemon.output, 5, "the refusal is logged")
    assert "Traceback" not in daemon.output
    assert daemon.rows("stats")[0]["calls"] == 0


def test_sighup_reloads(daemon: RunningDaemon) -> None:
    append(daemon, '\n1011 = "pass-1011"\n')
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: "configuration reloaded" in daemon.output, 5, "the reload is logged")
    assert daemon.rows("reload", "--check")[0]["added"] == []
