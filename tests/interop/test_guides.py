"""The guides of a newcomer's path: their files, commands and programs as they stand, with real phones."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from bench.rig.processes import Process, free_port, wait_until
from bench.rig.server import REPOSITORY, VOIPAT
from tests.contract.sounds import heard_prompts
from tests.interop.baresip import Baresip

GUIDES = REPOSITORY / "docs" / "guides"


def blocks(page: str) -> list[tuple[str, str]]:
    """(language, text) of each block of a page."""
    return re.findall(r"^```(\w+)\n(.*?)^```", (GUIDES / page).read_text(), re.MULTILINE | re.DOTALL)


class Newcomer:
    """Types what the guides say, in a directory and with a data directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.typed: list[str] = []
        self.environment = {"XDG_DATA_HOME": str(directory / "share"), "PATH": f"{VOIPAT.parent}:{os.environ['PATH']}"}
        self.daemon: Process | None = None

    @property
    def config(self) -> Path:
        return self.directory / "office.toml"

    def type_all(self, text: str) -> None:
        for line in text.splitlines():
            command = line.removeprefix("$ ").partition("  #")[0]
            self.typed.append(command)
            if command.startswith("voipat serve"):
                self.daemon = Process(
                    shlex.split(command), cwd=self.directory, log=self.directory / "log", **self.environment
                )
                wait_until(self._is_ready, 20, "the daemon is ready")
            else:
                self.run(command)

    def run(self, command: str) -> str:
        done = subprocess.run(
            shlex.split(command), cwd=self.directory, capture_output=True, text=True, timeout=30,
            env={**os.environ, **self.environment},
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def phone(self, user: str, frequency: float) -> Baresip:
        account = f"<sip:{user}@office.example>;auth_user={user};auth_pass=a-secret-of-{user};"
        account += f'outbound="sip:127.0.0.1:{self.port};transport=udp";regint=120;answermode=manual\n'
        return Baresip(
            self.directory / user, user=user, password="", server=f"127.0.0.1:{self.port}", port=free_port(run=5),
            frequency=frequency, accounts=account,
        )  # fmt: skip

    def _is_ready(self) -> bool:
        assert self.daemon is not None and self.daemon.alive(), self.daemon and self.daemon.output()
        return "ready" in self.daemon.output()


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Newcomer]:
    found = Newcomer(tmp_path)
    yield found
    if found.daemon is not None:
        found.daemon.close()


def test_the_first_office_and_its_cdrs(newcomer: Newcomer) -> None:
    (_, office), (_, start), (_, look), (_, ask), (_, change), (_, program), (_, number), (_, last) = blocks(
        "first-office.md"
    )
    newcomer.config.write_text(office.replace("127.0.0.1:5060", f"127.0.0.1:{newcomer.port}"))
    newcomer.type_all(start)
    with ExitStack() as stack:
        one, two = (stack.enter_context(closing(newcomer.phone(user, 1500.0))) for user in ("101", "102"))
        one.wait_registered()
        two.wait_registered()
        one.command("dial", "sip:102@office.example")
        two.wait_for("CALL_INCOMING")
        two.command("accept")
        one.wait_for("CALL_ESTABLISHED")
        one.wait_heard(0.5)
        one.command("hangup")
        two.wait_for("CALL_CLOSED")
        newcomer.type_all(look + ask + change)
        hello = newcomer.directory / "hello.py"
        hello.write_text(program)
        newcomer.config.write_text(
            newcomer.config.read_text() + "\n" + number.replace("/etc/voipat/hello.py", str(hello))
        )
        newcomer.type_all(last)
        one.forget()
        one.command("dial", "sip:750@office.example")
        one.wait_for("CALL_CLOSED", count=2, timeout=15)
    assert [name for _, name in heard_prompts(one.heard())] == ["goodbye"]
    for language, text in blocks("cdrs.md"):
        assert language == "console"
        newcomer.type_all(text)
    rows = [json.loads(line) for line in newcomer.run("voipat cdr --json").splitlines()]
    assert [(row["callee"], row["disposition"]) for row in rows] == [("750", "answered"), ("102", "answered")]
    assert len((newcomer.directory / "calls.csv").read_text().splitlines()) == 3
    assert (newcomer.directory / "legs.parquet").stat().st_size > 0
    typed = {command.split()[1] for command in newcomer.typed}
    assert typed >= {"check", "serve", "registrations", "calls", "cdr", "route", "set", "show", "reload", "list"}
