"""The command line: what it prints, how it ends, and whom it asks."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pbx import cli, cli_parser, config
from pbx.cdr import CdrWriter, LegAnswered, LegEnded, LegMedia, LegStarted
from pbx.control import Arguments, Command, ControlError, ControlServer
from pbx.output import Row
from pbx.store.base import BindingRecord
from pbx.store.sqlite import SqliteStore

OFFICE = """\
[server]
data = "{data}"

[[tenant]]
domain = "office.test"
[tenant.extensions]
1001 = "pass-1001"
"""
WALLCLOCK = datetime(2026, 11, 24, 20, 0, tzinfo=UTC).timestamp()


@contextmanager
def daemon(data: Path, **commands: Command) -> Iterator[None]:
    """A control socket with these commands, on a loop of its own thread."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        server = ControlServer(data, commands)
        await server.start()
        ready.set()
        await stop.wait()
        await server.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(5)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def rows(*given: Row) -> Command:
    async def command(arguments: Arguments) -> AsyncIterator[Row]:
        for row in given:
            yield row

    return command


async def echo(arguments: Arguments) -> AsyncIterator[Row]:
    yield dict(arguments)


def office(directory: Path) -> Path:
    path = directory / "office.toml"
    path.write_text(OFFICE.format(data=directory / "data"))
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A data directory whose daemon is down, with a binding and a call of two legs."""
    data = tmp_path / "data"
    opened = SqliteStore.open(data, wallclock=lambda: WALLCLOCK)
    fields = {"remote": ["127.0.0.1", 5070], "transport": "UDP", "user_agent": "phone/1"}
    tenant = opened.tenant("office.test")
    tenant.save_binding(BindingRecord("sip:1001@office.test", "k", "sip:1001@127.0.0.1:5070", 4e9, fields))
    tenant.save_binding(BindingRecord("sip:1002@office.test", "k", "sip:1002@127.0.0.1:5071", WALLCLOCK - 1, fields))
    writer = CdrWriter(opened)
    for leg, side in (("l1", "a"), ("l2", "b")):
        started = LegStarted(
            leg, "l1", "office.test", "a" if side == "a" else "b", "internal", "1001", "1002", f"{leg}@x", WALLCLOCK
        )
        writer.started(started)
        writer.answered(LegAnswered(leg, WALLCLOCK + 2, codec="PCMU"))
        media = LegMedia("PCMU", 500, 0.0, 1.5)
        writer.ended(LegEnded(leg, WALLCLOCK + 12, "answered", hangup_by="caller", media=media))
    opened.close()
    return data


def test_check_accepts_a_good_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", str(office(tmp_path))]) == 0
    assert capsys.readouterr().out.endswith("office.toml: ok, 1 tenant, 1 extension\n")


def test_check_names_file_line_key_and_reason_and_exits_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.toml"
    path.write_text('[server]\ndrain_s = "long"\n')
    assert cli.main(["check", str(path), "--set", "server.listen=[]"]) == 2
    error = capsys.readouterr().err.splitlines()
    assert any(line.startswith(f"{path}:2: server.drain_s: ") for line in error)
    assert any(line.startswith("--set:1: server.listen: ") for line in error)


@pytest.mark.parametrize(
    "arguments", [[], ["dance"], ["serve"], ["cdr", "--limit", "0"], ["cdr", "--since", "soon"], ["hangup"]]
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert "usage: voipat" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["calls", "stats", "reload", "drain", "registrations", "cdr", "trace"])
def test_nothing_there_is_one_line_and_exit_status_3(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([command, "--data", str(tmp_path)]) == 3
    captured = capsys.readouterr()
    assert captured.out == "" and len(captured.err.splitlines()) == 1 and str(tmp_path) in captured.err


def test_calls_are_a_table_for_people_and_objects_for_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {
        "id": "c1",
        "tenant": "office.test",
        "caller": "1001",
        "callee": "\x1b[2J",
        "state": "answered",
        "started": "2026-11-24T20:00:00.000Z",
        "answered": None,
        "codec": "PCMU",
        "crypto": "AEAD_AES_128_GCM SDES",
    }
    with daemon(tmp_path, calls=rows(row)):
        assert cli.main(["calls", "--data", str(tmp_path)]) == 0
        heading, line = capsys.readouterr().out.splitlines()
        assert heading.split() == [column.upper() for column in row]
        assert line.isprintable() and line.startswith("c1  office.test  1001    \\x1b[2J  answered  ")
        assert cli.main(["calls", "--json", "--data", str(tmp_path)]) == 0
        assert json.loads(capsys.readouterr().out) == row


def test_the_data_directory_comes_from_the_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = office(tmp_path)
    data = config.load(path).server.data
    data.mkdir()
    with daemon(data, stats=rows({"calls": 3})):
        assert cli.main(["stats", "--config", str(path)]) == 0
    assert capsys.readouterr().out == "calls  3\n"


def test_filters_of_cdr_reach_the_daemon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--since", "2026-11-24T20:00:00Z", "--caller", "1001", "--disposition", "busy", "--limit", "5", "--legs"]
    with daemon(tmp_path, cdr=echo):
        assert cli.main(["cdr", "--json", "--data", str(tmp_path), *asked]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "since": WALLCLOCK,
        "caller": "1001",
        "disposition": "busy",
        "limit": 5,
        "legs": True,
    }


def test_an_error_of_the_daemon_ends_with_its_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def hangup(arguments: Arguments) -> AsyncIterator[Row]:
        raise ControlError(f"there is no call {arguments['id']}", exit_status=3)
        yield {}

    with daemon(tmp_path, hangup=hangup):
        assert cli.main(["hangup", "c9", "--data", str(tmp_path)]) == 3
    assert capsys.readouterr().err == "voipat: there is no call c9\n"


def test_a_refused_reload_prints_the_faults_and_exits_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def reload(arguments: Arguments) -> AsyncIterator[Row]:
        raise ControlError("a.toml:3: server.x: unknown\na.toml:4: server.y: unknown", exit_status=2)
        yield {}

    with daemon(tmp_path, reload=reload):
        assert cli.main(["reload", "--data", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "a.toml:3: server.x: unknown\na.toml:4: server.y: unknown\n"


def test_reload_says_what_changed_and_what_waits_for_a_restart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {
        "applied": True,
        "added": ["office.test/1011"],
        "changed": [],
        "removed": [],
        "needs_restart": ["server.media"],
    }
    with daemon(tmp_path, reload=rows(row)):
        assert cli.main(["reload", "--data", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "reloaded\n  added: office.test/1011\n  needs restart: server.media\n"


def test_drain_says_what_is_still_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with daemon(tmp_path, drain=rows({"draining": True, "calls": 2, "limit_s": 30.0}, {"ended": True})):
        assert cli.main(["drain", "--wait", "--data", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "draining: 2 calls up, ended after 30.0 s at the latest\nended\n"


def test_registrations_are_read_from_the_store_when_no_daemon_runs(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["registrations", "--json", "--data", str(store)]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row.pop("expires_s") > 0
    assert row == {
        "tenant": "office.test",
        "aor": "sip:1001@office.test",
        "contact": "sip:1001@127.0.0.1:5070",
        "received": "127.0.0.1:5070",
        "transport": "UDP",
        "user_agent": "phone/1",
        "vendor": "",
        "model": "",
        "firmware": "",
        "instance": "",
        "reachable": None,
    }


def test_cdrs_are_read_from_the_store_when_no_daemon_runs(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cdr", "--json", "--data", str(store)]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["caller"], row["callee"], row["disposition"], row["billable_s"]) == ("1001", "1002", "answered", 10)
    assert row["a_leg"]["packets"] == row["b_leg"]["packets"] == 500
    assert cli.main(["cdr", "--json", "--legs", "--data", str(store)]) == 0
    assert {json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()} == {"l1", "l2"}
    assert cli.main(["cdr", "--json", "--caller", "4711", "--data", str(store)]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("command", ["registrations", "cdr"])
def test_a_misspelt_tenant_is_said_when_no_daemon_runs(
    command: str, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([command, "--json", "--tenant", "office.test", "--data", str(store)]) == 0
    assert json.loads(capsys.readouterr().out)["tenant"] == "office.test"
    assert cli.main([command, "--json", "--tenant", "offce.test", "--data", str(store)]) == 3
    assert capsys.readouterr() == ("", "voipat: there is no tenant offce.test\n")


def test_the_cdr_tables_have_a_line_per_call_or_leg(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cdr", "--data", str(store)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert cli.main(["cdr", "--legs", "--data", str(store)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and all(" PCMU " in line for line in lines[1:])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90m", WALLCLOCK - 5400),
        ("2h", WALLCLOCK - 7200),
        ("7d", WALLCLOCK - 604_800),
        ("2026-11-24T19:00:00Z", WALLCLOCK - 3600),
        ("2026-11-24T20:00:00+01:00", WALLCLOCK - 3600),
    ],
)
def test_a_time_is_a_moment_or_an_age(text: str, seconds: float) -> None:
    assert cli_parser.moment(text, datetime.fromtimestamp(WALLCLOCK, UTC)) == seconds


def test_a_bug_is_one_line_with_a_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Path) -> None:
        raise KeyError("x\ny")

    monkeypatch.setattr(config, "load", lambda path, settings=(): broken(path))
    assert cli.main(["check", "x.toml"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("voipat: internal error: KeyError: ") and len(error.splitlines()) == 1


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["version"]) == 0
    assert capsys.readouterr().out.startswith("voipat 0.")


def test_trace_needs_a_call_or_a_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in (["--messages"], ["--pcap", "x.pcapng"], ["c1", "--failed"], ["c1", "--last"]):
        assert cli.main(["trace", *wrong, "--data", str(tmp_path)]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_trace_prints_a_ladder_objects_or_writes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decision = {"time": "2026-11-24T20:00:00.000Z", "kind": "decision", "text": "routed nowhere"}
    message = {
        "time": "2026-11-24T20:00:00.010Z",
        "kind": "message",
        "sent": True,
        "transport": "UDP",
        "from": "127.0.0.1:5060",
        "to": "127.0.0.1:5070",
        "text": "404 Not Found (INVITE)",
        "message": "SIP/2.0 404",
    }
    with daemon(tmp_path, trace=rows(decision, message)):
        assert cli.main(["trace", "c1", "--data", str(tmp_path)]) == 0
        first, second = capsys.readouterr().out.splitlines()
        assert first.endswith("  · routed nowhere") and second.endswith(
            "voipat → 127.0.0.1:5070  404 Not Found (INVITE)"
        )
        assert cli.main(["trace", "c1", "--json", "--data", str(tmp_path)]) == 0
        assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [decision, message]
        file = tmp_path / "c1.pcapng"
        assert cli.main(["trace", "c1", "--pcap", str(file), "--data", str(tmp_path)]) == 0
        assert capsys.readouterr().out == f"{file}: 1 packets\n" and file.read_bytes()[:4] == b"\n\r\r\n"
        assert cli.main(["trace", "c1", "--pcap", str(tmp_path / "no" / "x"), "--data", str(tmp_path)]) == 1
    assert "No such file" in capsys.readouterr().err


def test_explain_says_what_an_id_means(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", "vp-3002"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "VP-3002  Not registered" and "SIP 480" in lines[1]
    assert lines[2] == "  cause: The extension exists, but no phone is registered for it now."
    assert lines[3].startswith("  fix:   Switch the phone on")
    assert cli.main(["explain", "VP-3002", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == 480
    assert cli.main(["explain", "VP-0000"]) == 3
    assert capsys.readouterr().err == "voipat: there is no id VP-0000\n"


def test_a_command_that_asks_the_daemon_loads_neither_engine_nor_configuration(tmp_path: Path) -> None:
    program = (
        f"import sys; from pbx.cli import main; assert main(['stats', '--data', {str(tmp_path)!r}]) == 3; "
        "print({'voipat', 'media', 'numpy', 'pbx.config'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout == "set()\n", done.stderr
