"""The wallclock of a running daemon is set by an hour (F11): phones and calls stay, what is billed is what was talked.

A library before the C library's moves CLOCK_REALTIME of the daemon alone; its monotonic clock is the machine's.
"""

from __future__ import annotations

import mmap
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import pytest

from bench.rig.processes import free_port, program, wait_until
from bench.rig.server import Server
from pbx import control
from tests.interop.baresip import Baresip

pytestmark = pytest.mark.slow

HOUR = 3600.0
SOURCE = Path(__file__).with_name("set_clock.c")
# Whose clock this is does not hear from the machine's within the test.
NEAR_S = 60.0


class Clock:
    """What the daemon's wallclock is ahead by."""

    def __init__(self, directory: Path) -> None:
        self.library, self.path = directory / "set_clock.so", directory / "clock"
        subprocess.run([program("gcc"), "-shared", "-fPIC", "-O1", "-o", self.library, SOURCE, "-ldl"], check=True)
        self.path.write_bytes(bytes(mmap.PAGESIZE))
        self.ahead = 0.0

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.library), "VOIPAT_CLOCK": str(self.path)}

    def step(self, by: float) -> None:
        self.ahead += by
        with self.path.open("r+b") as file, mmap.mmap(file.fileno(), mmap.PAGESIZE) as page:
            page[:8] = struct.pack("<q", round(self.ahead * 1e9))

    def is_now(self, stamp: str) -> bool:
        """Whether a stamp of the daemon is of its time."""
        return abs(datetime.fromisoformat(stamp).timestamp() - time.time() - self.ahead) < NEAR_S


class Scene:
    """A daemon whose clock is set, and three phones."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.clock = Clock(directory)
        self.server = Server(directory / "server", environment=self.clock.environment)
        stack.callback(self.server.close)
        self.phones = {}
        for place, user in enumerate(("1006", "1007", "1008")):
            phone = self.phones[user] = Baresip(
                directory / user, user=user, password=f"pass-{user}", server=self.server.address,
                port=free_port(run=5), frequency=900.0 + 200 * place,
            )  # fmt: skip
            stack.callback(phone.close)
            phone.wait_registered()

    def registered(self) -> dict[str, int]:
        """Seconds left, by user."""
        return {str(row["aor"])[4:8]: int(row["expires_s"]) for row in self.server.rows("registrations")}

    def wait_no_call(self) -> None:
        wait_until(lambda: self.server.stats()["calls"] == 0, 20, "nobody talks any more")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with ExitStack() as stack:
        yield Scene(tmp_path, stack)


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_only_stamps_notice_that_the_clock_was_set(scene: Scene, step: float) -> None:
    caller, callee = scene.phones["1006"], scene.phones["1007"]
    before = scene.registered()
    caller.reach("1007", lambda: bool(callee.seen("CALL_INCOMING")))
    callee.command("accept")
    wait_until(lambda: scene.server.stats()["calls_answered"] == 1, 20, "they talk")
    answered = time.monotonic()
    scene.clock.step(step)
    after = scene.registered()
    assert after.keys() == before.keys() and all(0 < after[user] <= before[user] for user in before)
    time.sleep(2.0)
    assert scene.server.stats()["calls_answered"] == 1
    caller.hang_up()
    scene.wait_no_call()
    talked = time.monotonic() - answered
    (row,) = [row for row in scene.server.rows("cdr") if row["disposition"] == "answered"]
    assert 2.0 <= row["billable_s"] <= talked + 1.0
    assert scene.clock.is_now(str(row["ended"])) and not scene.clock.is_now(str(row["started"]))
    # A phone that registers after the step is granted no other time, and is called.
    scene.phones["1008"].reach("1007", lambda: len(callee.seen("CALL_INCOMING")) == 2)
    scene.phones["1008"].hang_up()
    scene.wait_no_call()
    # A message says when it was left.
    established = len(caller.seen("CALL_ESTABLISHED"))
    caller.reach("1001", lambda: len(caller.seen("CALL_ESTABLISHED")) > established)
    caller.press("#")
    sealed = scene.server.data / "voicemail"
    wait_until(lambda: sum(each.stat().st_size for each in sealed.rglob("*.sealed")) > 32_000, 20, "two seconds")
    caller.hang_up()
    (message,) = wait_until(lambda: messages(scene), 20, "the message is kept")
    assert scene.clock.is_now(str(message["received"]))
    scene.server.kill()
    scene.server.start()
    assert scene.registered().keys() == before.keys(), "what is stored has moved with the clock"
    assert f"the clock was set by {step:+.1f} s" in (scene.server.directory / "voipat-1.log").read_text()


def messages(scene: Scene) -> list[dict[str, object]]:
    return [dict(row) for row in control.request(scene.server.data, "voicemail", {"action": "list"})]
