"""Text of strangers at every entry (H17, H18, H19): it is data in the store, the log, a CSV and a file's name.

Generated: every header that we know × what injects something, and every text argument of every command × the same.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count, product
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

from bench.rig.processes import free_port, wait_until
from pbx import cli
from pbx.cli_parser import build_parser
from pbx.store import schema
from pbx.store.database import DATABASE_FILE
from sipcore.names import KNOWN
from tests.faults.phone_by_hand import PhoneByHand
from tests.faults.running_daemon import OFFICE, RunningDaemon

pytestmark = pytest.mark.slow

HOSTILE = {
    "quote": "O'Reilly",
    "sql": "'; DROP TABLE cdrs; --",
    "double quote": '" OR 1=1 --',
    "formula": "=cmd|' /C calc'!A0",
    "path": "../../../../tmp/voipat-escaped",
    "absolute path": "/tmp/voipat-escaped",
    "coded path": "%2e%2e%2f%2e%2e%2fvoipat-escaped",
    "shell": "$(touch voipat-escaped)`touch voipat-escaped`; touch voipat-escaped | touch voipat-escaped",
    "markup": "<script>alert(1)</script>",
    "format": "%s%n%(x)s{0.__class__}${x}",
    "terminal": "\x1b[2J\x1b]0;x\x07",
    "right to left": "emoji \N{TELEPHONE RECEIVER} \u202egnp.exe",
    "long": "x" * 300,
}
# Not sent by a phone that is parsed at all, but an operator's shell passes it on.
LINES = {
    "log line": "x\r\ntime=2026-01-01T00:00:00Z level=error msg=FAKE",
    "NUL": "voipat-escaped\0.wav",
    "path and NUL": "../../../../tmp/voipat-escaped\0",
}
# Coded in a URI's user a phone can send these.
USERS = {**HOSTILE, **LINES, "empty": "\0"}
# These tell where a message ends and which transaction it is: without the right one it is no message of ours.
FRAMING = {"Via", "Content-Length", "CSeq", "Max-Forwards"}
DID = "sip:+12025550101@office.test"
ESCAPED = re.compile("voipat-escaped")
# What a data directory may have in it, whatever was said.
OURS = re.compile(r"[a-zA-Z0-9._-]+|t-[A-Za-z0-9.%_-]+|[0-9a-f]+\.(sealed|key)")
_calls = count(1)


class Scene:
    """A daemon, and its carrier, who may say anything."""

    def __init__(self, top: Path) -> None:
        self.top = top
        # Whoever climbs out of the data directory finds folders to write into.
        directory = top / "srv" / "lib" / "voipat"
        self.work = directory / "work"
        for folder in (self.work, top / "tmp"):
            folder.mkdir(parents=True)
        self.port = free_port()
        self.carrier = PhoneByHand("127.0.0.1", ("127.0.0.1", self.port), "carrier")
        config = directory / "office.toml"
        address = f"127.0.0.1:{self.carrier.address[1]}"
        trunk = f'host = "{address}"\noptions_s = 0\n'
        text = OFFICE.read_text()
        assert text.count('host = "127.0.0.1:5090"') == 1
        config.write_text(re.sub(r'host = "127.0.0.1:5090".*\n', trunk, text))
        self.directory = directory
        self.daemon = RunningDaemon(directory, config=config, port=self.port, cwd=self.work).ready()

    def close(self) -> None:
        self.carrier.close()
        self.daemon.close()

    def invites(self, headers: dict[str, str], target: str = DID) -> int:
        """The status of a call of the carrier's that has these headers."""
        invite = self.carrier.request("INVITE", target, call_id=f"{next(_calls)}@carrier")
        for name, value in headers.items():
            invite.headers.set(name, value)
        response = self.carrier.ask(invite, limit=20.0)
        assert response is not None, f"no answer to {headers}"
        self.carrier._acknowledge(invite, response)
        if response.status == 200:
            self.carrier.ask(self.carrier._within(invite, response, "BYE"))
        return response.status

    def files(self) -> dict[Path, str]:
        """What each path is, in the data directory and around it, but the log, the rows and what tenants keep."""
        found = [path for path in self.top.rglob("*") if not self._changes(path)]
        return {path: what_is(path) for path in [*found, *Path("/tmp").glob("voipat-escaped*")]}

    def _changes(self, path: Path) -> bool:
        is_tenants = any(part.startswith("t-") for part in path.relative_to(self.top).parts)
        is_data = path.parent == self.daemon.data and path.name.startswith(DATABASE_FILE)
        return path == self.daemon.log or is_tenants or is_data

    def log(self) -> list[str]:
        lines = self.daemon.output.splitlines()
        start = next(place for place, line in enumerate(lines) if line.startswith("ready in "))
        return lines[start + 1 :]

    def assert_sound(self) -> None:
        assert self.daemon.process.poll() is None
        for line in self.log():
            assert line.startswith("time=") and line.isprintable(), line
            assert "level=error" not in line.split('"')[0] and "trace=" not in line, line
        names = [part for path in self.daemon.data.rglob("*") for part in path.relative_to(self.daemon.data).parts]
        assert all(OURS.fullmatch(name) and not ESCAPED.search(name) for name in names)
        with closing(sqlite3.connect(self.daemon.data / DATABASE_FILE)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert {each for each in tables if not each.startswith("sqlite_")} == set(schema.metadata.tables)


def what_is(path: Path) -> str:
    if path.is_symlink():
        return f"to {path.readlink()}"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with closing(Scene(tmp_path_factory.mktemp("hostile"))) as made:
        yield made


def as_header(name: str, text: str) -> str:
    """The text where a parser of that header lets most of it through."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    if name in ("From", "To", "Contact", "P-Asserted-Identity", "Diversion", "Remote-Party-ID", "Reply-To"):
        return f'"{quoted}" <sip:{quote(text, safe="")[:200]}@office.test>' + (";tag=1" if name == "From" else "")
    if name == "Call-ID":
        return re.sub(r"[^A-Za-z0-9\-.!%*_+`'~()<>:\\\"/\[\]?{}]", "_", text) + f"{next(_calls)}"
    return text


@pytest.mark.parametrize("name", [*dict.fromkeys(KNOWN), "X-Account"])
def test_a_header_with_anything_in_it(scene: Scene, name: str) -> None:
    before = scene.files()
    for text in HOSTILE.values():
        if name not in FRAMING:
            assert scene.invites({name: as_header(name, text)}, "sip:+19999999999@office.test") >= 400
    assert scene.files() == before


@pytest.mark.parametrize("kind", USERS)
def test_nobody_is_called_by_anything(scene: Scene, kind: str) -> None:
    before = scene.files()
    user = quote(USERS[kind], safe="")
    assert scene.invites({}, f"sip:{user}@office.test") >= 400
    assert scene.invites({"From": f"<sip:{user}@office.test>;tag=1"}, f"sip:{user}@office.test") >= 400
    assert scene.files() == before


def test_a_line_feed_in_who_calls_begins_no_line_of_the_log(scene: Scene) -> None:
    text = LINES["log line"].replace("FAKE", "INJECTED")
    injected = text.partition("\r\n")[2]

    def said() -> list[str]:
        """The lines of one call. Of many in a second the log tells but how many they were, so it is made again."""
        own = {"From": f"<sip:{quote(text, safe='')}@office.test>;tag=1", "Call-ID": f"{next(_calls)}@injects"}
        assert scene.invites(own, "sip:9999@office.test") >= 400
        time.sleep(0.5)
        started = [line for line in scene.log() if f"sip={own['Call-ID']}" in line and 'msg="call started"' in line]
        call = re.search(r" call=(\S+)", started[0]) if started else None
        found = [line for line in scene.log() if call and call.group() in line]
        return found if any('msg="call ended"' in line for line in found) else []

    lines = wait_until(said, 10, "the end of the call is in the log")
    assert [re.findall(r'msg="([^"]*)"', line) for line in lines] == [["call started"], ["call ended"]]
    assert "INJECTED" in lines[0] and "INJECTED" not in lines[1]
    assert not any(line.startswith(injected) for line in scene.log())


@pytest.mark.parametrize("kind", HOSTILE)
def test_who_calls_is_kept_as_it_was_said(scene: Scene, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Through the mailbox that answers: CDR, CSV, log line and file."""
    text = HOSTILE[kind]
    call_id = as_header("Call-ID", text)
    headers = {name: as_header(name, text) for name in ("From", "User-Agent", "Subject", "X-Account", "Organization")}
    assert scene.invites({**headers, "Call-ID": call_id}) == 200

    def found() -> list[dict[str, str]]:
        return [row for row in cdrs(scene, capsys) if row["call_id"] in (call_id, f"'{call_id}")]

    (row,) = wait_until(found, 10, "the CDR is there")
    assert row["disposition"] == "answered"
    (stored,) = (each for each in stored_cdrs(scene, capsys) if each["call_id"] == call_id)
    assert stored["caller"] == caller_in(headers["From"])
    for cell in row.values():
        assert cell[:1] not in ("=", "@", "\t", "\r") and not re.match(r"[+-](?!\d+(\.\d+)?$)", cell), cell


def caller_in(from_: str) -> str:
    """The user of a From of ours, as whoever wrote it meant it."""
    return unquote(from_.rpartition("<sip:")[2].partition("@")[0])


def stored_cdrs(scene: Scene, capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    """As `voipat cdr --format jsonl` writes them: every text as it is stored."""
    capsys.readouterr()
    assert cli.main(["cdr", "--legs", "--format", "jsonl", "--data", str(scene.daemon.data)]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def cdrs(scene: Scene, capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    """As `voipat cdr --format csv` writes them."""
    capsys.readouterr()
    assert cli.main(["cdr", "--legs", "--format", "csv", "--data", str(scene.daemon.data)]) == 0
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out, newline="")))


def command_lines() -> dict[str, list[list[str]]]:
    """Every command that asks the daemon × its choices × each text argument, which is None in its place."""
    parser = build_parser()
    (commands,) = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    found: dict[str, list[list[str]]] = {}
    for name, command in commands.choices.items():
        actions = [each for each in command._actions if each.nargs != 0 and each.dest != "help"]
        if not any(each.dest == "data" for each in actions):
            continue
        choices = [each for each in actions if each.choices and not each.option_strings]
        texts = [each for each in actions if each not in choices and each.type is not Path]
        for chosen, one in product(product(*(each.choices or () for each in choices)), texts):
            words = [*map(str, chosen)]
            for each in texts:
                value = "\0" if each is one else "1001"
                if each.option_strings:
                    words += [f"{each.option_strings[0]}={value}"] if each is one or each.required else []
                elif each is one or each.nargs != "?":
                    words.append(value)
            found.setdefault(f"{name} {one.dest}", []).append(words)
    return found


COMMANDS = command_lines()


@pytest.mark.parametrize("where", COMMANDS)
def test_an_argument_with_anything_in_it(scene: Scene, where: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = scene.files()
    name = where.split()[0]
    for words, text in product(COMMANDS[where], (*HOSTILE.values(), *LINES.values())):
        said = [word.replace("\0", text) for word in words]
        try:
            status = cli.main([name, *said, "--data", str(scene.daemon.data)])
        except SystemExit as end:
            status = int(str(end.code))
        shown = capsys.readouterr()
        assert status in (0, 1, 2, 3), said
        assert "internal error" not in shown.err, said
        for line in (shown.out + shown.err).split("\n"):
            assert line.isprintable(), f"{said}: {line!r}"
    assert scene.files() == before


def test_nothing_came_of_it(scene: Scene) -> None:
    """The last one of this file: after everything above."""
    scene.assert_sound()
    assert not Path("/tmp/voipat-escaped").exists()
    assert os.listdir(scene.directory)


def test_every_command_that_takes_text_is_tried() -> None:
    assert {where.split()[0] for where in COMMANDS} >= {
        "cdr",
        "set",
        "show",
        "list",
        "route",
        "voicemail",
        "recordings",
    }
