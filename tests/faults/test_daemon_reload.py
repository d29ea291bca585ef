"""Reload while running: a good file is in force at once, a bad one changes nothing and says why."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.rig.processes import wait_until
from pbx import control
from tests.faults.phone_by_hand import PhoneByHand
from tests.faults.running_daemon import COMMAND, OFFICE, ROOT, RunningDaemon

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
    append(daemon, '\n1011 = "shop-1011"\n')
    wanted = {"added": ["shop.test/1011"], "changed": [], "removed": [], "needs_restart": []}
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


def test_a_program_is_read_again_and_one_that_cannot_be_run_changes_nothing(daemon: RunningDaemon) -> None:
    program = daemon.config.parent / "hello.py"
    program.write_text("async def main(call):\n    await call.answer()\n")
    text = f'[[tenant.program]]\nnumber = "750"\nfile = "{program}"\n\n[[tenant.menu]]'
    daemon.config.write_text(daemon.config.read_text().replace("[[tenant.menu]]", text, 1))
    assert daemon.rows("reload")[0]["added"] == ["office.test/program/750"]
    program.write_text("async def main(call):\n    await call.answer(\n")
    done = daemon.ask("reload")
    assert (done.returncode, done.stderr.split(" ")[0]) == (2, f"{program}:2:")
    assert daemon.rows("route", "750", "--from", "1005", "--tenant", "office.test")[-1]["why"] == "program 750"


def test_sighup_reloads(daemon: RunningDaemon) -> None:
    append(daemon, '\n1011 = "shop-1011"\n')
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: "configuration reloaded" in daemon.output, 5, "the reload is logged")
    assert daemon.rows("reload", "--check")[0]["added"] == []


def test_each_of_fifty_bad_files_is_refused_with_its_line_and_nothing_changes(daemon: RunningDaemon) -> None:
    """Every key in turn gets a value that no key takes."""
    text = daemon.config.read_text()
    lines = text.split("\n")
    # The daemon's `--set listen=…` and the like win over the file: what they replace is not looked at.
    keys = [
        place for place, line in enumerate(lines) if re.match(r"(?!listen|media|data|advertised)[a-z0-9_-]+ = ", line)
    ]
    chosen = keys[:: max(1, len(keys) // 50)][:50]
    assert len(chosen) == 50
    before = list(control.request(daemon.data, "export", {}))
    for place in chosen:
        name = lines[place].partition(" = ")[0]
        bad = [*lines[:place], f"{name} = {{ zzz = [1979-05-27] }}", *lines[place + 1 :]]
        daemon.config.write_text("\n".join(bad))
        with pytest.raises(control.ControlError) as refused:
            list(control.request(daemon.data, "reload", {}))
        assert refused.value.exit_status == 2
        assert f"{daemon.config}:{place + 1}: " in str(refused.value), (name, str(refused.value))
    assert list(control.request(daemon.data, "export", {})) == before
    daemon.config.write_text(text)
    assert daemon.rows("reload")[0]["changed"] == []


def test_applied_tenants_are_in_force_at_once_and_survive_a_restart(tmp_path: Path) -> None:
    """A configuration that names no tenant leaves those of the store."""
    config = tmp_path / "server.toml"
    config.write_text('[server]\nmedia = "127.0.0.1:20000-29999"\n')
    first = RunningDaemon(tmp_path, config=config).ready()
    try:
        assert "office.test/1001" in first.rows("apply", str(OFFICE))[0]["added"]
        assert first.rows("set", "office.test/1006", "dnd=on")[0]["dnd"] == "on"
        assert first.rows("apply", str(OFFICE)) == [{"applied": True, "added": [], "changed": [], "removed": []}]
        exported = first.ask("export").stdout
    finally:
        first.close()
    second = RunningDaemon(tmp_path, config=config).ready()
    try:
        assert second.ask("export").stdout == exported
        assert second.rows("show", "office.test/1006")[0]["dnd"] == "on"
        outcome = second.rows("route", "1006", "--from", "1005", "--tenant", "office.test")[-1]
        assert (outcome["status"], outcome["reason"]) == (486, "VP-3301")
    finally:
        second.close()


def test_a_tenant_that_comes_back_has_what_was_set_by_hand(tmp_path: Path) -> None:
    """Taken out, the daemon restarted, put in again: as within the 30 days of the privacy page."""
    config, office_alone = tmp_path / "server.toml", tmp_path / "office.toml"
    config.write_text('[server]\nmedia = "127.0.0.1:20000-29999"\n')
    text, shop = OFFICE.read_text(), '[[tenant]]\ndomain = "shop.test"'
    assert shop in text
    office_alone.write_text(text.partition(shop)[0])
    first = RunningDaemon(tmp_path, config=config).ready()
    try:
        first.rows("apply", str(OFFICE))
        assert first.rows("set", "shop.test/1002", "dnd=on")[0]["dnd"] == "on"
        assert "shop.test/1002" in first.rows("apply", str(office_alone))[0]["removed"]
    finally:
        first.close()
    second = RunningDaemon(tmp_path, config=config).ready()
    try:
        assert second.ask("show", "shop.test/1002").returncode == 3
        second.rows("apply", str(OFFICE))
        assert second.rows("show", "shop.test/1002")[0]["dnd"] == "on"
    finally:
        second.close()


def test_a_misspelt_tenant_is_said_and_no_call_is_made_for_it(daemon: RunningDaemon) -> None:
    for command in (["queues"], ["calls"], ["registrations"], ["cdr"], ["export"], ["call", "1001", "1002"]):
        done = daemon.ask(*command, "--tenant", "offce.test")
        assert (done.returncode, done.stderr) == (3, "voipat: there is no tenant offce.test\n"), command
    assert daemon.rows("cdr") == []


def test_sample_passwords_in_the_store_are_not_opened_to_a_network(tmp_path: Path) -> None:
    """The store was filled while the server listened on loopback alone, or by `apply` while it was down."""
    config = tmp_path / "server.toml"
    config.write_text('[server]\nmedia = "127.0.0.1:20000-29999"\n')
    first = RunningDaemon(tmp_path, config=config).ready()
    first.rows("apply", str(OFFICE))
    first.close()
    command = [*COMMAND, "serve", "--config", str(config), "--set", f"server.data={first.data}"]
    opened = [*command, "--set", f"server.listen=udp://0.0.0.0:{first.port}"]
    done = subprocess.run(opened, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "tenant.office.test.extensions.1001: extension 1001 has a sample password" in done.stderr


def test_digits_by_info_are_refused_in_calls_that_begin_after_the_reload(daemon: RunningDaemon) -> None:
    key = ("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n")
    with PhoneByHand("127.0.0.1", ("127.0.0.1", daemon.port), "1005", "pass-1005") as phone:
        phone.dial("*43", 40000)
        before = phone.ask_within("INFO", *key)
        text = daemon.config.read_text().replace(
            'domain = "office.test"', 'domain = "office.test"\ndtmf_info = false', 1
        )
        daemon.config.write_text(text)
        (said,) = daemon.rows("reload")
        assert said["changed"] == ["office.test"] and said["needs_restart"] == []
        during = phone.ask_within("INFO", *key)
        assert [answer and answer.status for answer in (before, during)] == [200, 200]
        assert phone.hang_up() == ""
        phone.dial("*43", 40000)
        after = phone.ask_within("INFO", *key)
        assert after is not None and after.status == 415
        assert (after.headers.get("Accept"), "VP-6033" in (after.headers.get("Warning") or "")) == ("", True)
        assert phone.hang_up() == ""
