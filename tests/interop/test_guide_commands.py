"""Every shell block of the guides is typed as it stands, here or in the test that is named for its page."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.rig.processes import wait_until
from bench.rig.server import OFFICE, REPOSITORY, VOIPAT, Server
from tests.interop.test_in_call import phones, talk

GUIDES = REPOSITORY / "docs" / "guides"
TESTS = REPOSITORY / "tests"
ELSEWHERE = {
    "capacity.md": "unit/pbx/capacity/test_plan_reports.py",
    "cdrs.md": "interop/test_guides.py",
    "first-office.md": "interop/test_guides.py",
    "tls.md": "examples/test_tls_guide.py",
    "voicemail.md": "interop/test_voicemail_guide.py",
    "why-did-it-fail.md": "interop/test_flight_recorder_peers.py",
}


def shell_blocks(page: Path) -> list[str]:
    return re.findall(r"^```(?:console|sh|shell|bash)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


PAGES = sorted(page.name for page in GUIDES.glob("*.md") if shell_blocks(page))


def commands_of(page: str) -> Iterator[tuple[str, list[str]]]:
    """(command, what it must print among other lines)."""
    for block in shell_blocks(GUIDES / page):
        for shown in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *printed = shown.splitlines()
            yield command, printed


class Machine:
    """A directory with the files that the guides name, and a daemon with one recorded call."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        for name in ("office.toml", "my.toml"):
            (directory / name).write_bytes(OFFICE.read_bytes())
        for name in ("examples", ".venv"):
            (directory / name).symlink_to(REPOSITORY / name)
        self.server = Server(directory / "server", config=directory / "office.toml")
        stack.callback(self.server.close)
        (directory / "voipat").symlink_to(self.server.data)
        one, five = phones(stack, directory, self.server, "1001", "1005")
        talk(one, five)
        wait_until(self._recordings, 10, "the call is recorded")
        one.wait_heard(1.0)
        one.command("hangup")
        five.wait_for("CALL_CLOSED")
        kept = wait_until(lambda: [row for row in self._recordings() if row["state"] == "kept"], 5, "it is kept")
        self.recording = str(kept[0]["id"])

    def _recordings(self) -> list[dict[str, object]]:
        return self.server.rows("recordings", "list")

    def type(self, command: str) -> str:
        """What it prints. `make` only says what it would do: its port and its folders are this machine's own."""
        typed = command.replace(" ID", f" {self.recording}")
        typed = re.sub(r"^make ", f"make --no-print-directory -n -C {REPOSITORY} ", typed)
        path = f"{VOIPAT.parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["sh", "-ec", typed], cwd=self.directory, capture_output=True, text=True, timeout=60,
            env={**os.environ, "PATH": path, "XDG_DATA_HOME": str(self.directory)},
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with ExitStack() as stack:
        yield Machine(tmp_path_factory.mktemp("machine"), stack)


@pytest.mark.parametrize("page", [page for page in PAGES if page not in ELSEWHERE])
def test_the_commands_of_the_guide_work(machine: Machine, page: str) -> None:
    commands = list(commands_of(page))
    assert commands, "a command stands behind a $"
    for command, printed in commands:
        output = machine.type(command)
        missing = [line for line in printed if line not in output.splitlines()]
        assert not missing, f"{command} prints {output}"


@pytest.mark.parametrize(("page", "test"), ELSEWHERE.items())
def test_who_types_the_commands_elsewhere_reads_that_page(page: str, test: str) -> None:
    assert page in PAGES and f'"{page}"' in (TESTS / test).read_text()
