"""The disk of a running daemon is full (F8): calls go on, what cannot be kept says so, and room heals it by itself."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from bench.rig import sipp
from bench.rig.processes import free_port, wait_until
from bench.rig.server import Server
from pbx import control
from tests.interop.baresip import Baresip
from tests.interop.test_sipp import call_rows

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a disk that is small")

# The spool reserves 16 MiB of it.
DISK_MB = 20
CALLS = 20
# Two channels of one second, sealed.
SECOND = 32_000
TONES = {"1005": 900.0, "1006": 1100.0, "1007": 1300.0}


@contextmanager
def small_disk(path: Path) -> Iterator[Path]:
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=700", "voipat-test", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def fill(disk: Path) -> Path:
    """A file that takes all the room that is left."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(65536)):
                pass
        except OSError:
            return ballast
    raise AssertionError("a disk has an end")


class Scene:
    """A daemon whose data is on a small disk, and phones at it."""

    def __init__(self, directory: Path, disk: Path, stack: ExitStack) -> None:
        self.directory = directory
        self.disk = disk
        self.server = Server(directory / "server", **{"server.data": str(disk / "data")})
        stack.callback(self.server.close)
        self.server.data = disk / "data"
        self.phones = {
            user: Baresip(
                directory / user, user=user, password=f"pass-{user}", server=self.server.address,
                port=free_port(run=5), frequency=hertz,
            )
            for user, hertz in TONES.items()
        }  # fmt: skip
        for phone in self.phones.values():
            stack.callback(phone.close)
            phone.wait_registered()

    @property
    def log(self) -> str:
        return self.server.process.output()

    def call_many(self, name: str) -> None:
        """As many calls to the echo; sipp says when one of them fails."""
        sipp.run(
            self.directory / name, "call", target=self.server.address, port=free_port(), calls=CALLS, rate=20,
            hold_ms=100, rows=call_rows("*43"),
        )  # fmt: skip

    def states(self) -> list[str]:
        """Of the recordings, the oldest first."""
        rows = control.request(self.server.data, "recordings", {"do": "list"})
        return [str(row["state"]) for row in rows][::-1]

    def recorded_call(self) -> None:
        """1006 talks with 1005, whose calls are recorded."""
        caller, callee = self.phones["1006"], self.phones["1005"]
        rung = len(callee.seen("CALL_INCOMING"))
        caller.reach("1005", lambda: len(callee.seen("CALL_INCOMING")) > rung)
        callee.command("accept")

    def hang_up(self) -> None:
        """The recorded call is over."""
        self.phones["1006"].hang_up()
        self.wait_no_call()

    def wait_no_call(self) -> None:
        wait_until(lambda: self.server.stats()["calls"] == 0, 20, "nobody talks any more")

    def speak(self) -> None:
        """1007 leaves a message for 1001, who is away, until it is told that it cannot."""
        caller = self.phones["1007"]
        established = len(caller.seen("CALL_ESTABLISHED"))
        caller.reach("1001", lambda: len(caller.seen("CALL_ESTABLISHED")) > established)
        caller.press("#")

    def wait_logged(self, text: str, count: int = 1) -> None:
        wait_until(lambda: self.log.count(text) >= count, 20, f"the log says {text!r} {count} times")

    def sealed_bytes(self, folder: str) -> int:
        return sum(each.stat().st_size for each in (self.server.data / folder).rglob("*.sealed"))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with small_disk(tmp_path / "disk") as disk, ExitStack() as stack:
        yield Scene(tmp_path, disk, stack)


@pytest.mark.slow
def test_calls_go_on_and_what_could_not_be_kept_is_said(scene: Scene) -> None:
    scene.recorded_call()
    wait_until(lambda: scene.sealed_bytes("recordings") > SECOND, 20, "a second is kept")
    ballast = fill(scene.disk)
    # The recording ends and says so; the call stays.
    scene.wait_logged("No space left on device")
    assert scene.server.stats()["calls"] == 1
    scene.call_many("full")
    scene.wait_logged("the store cannot be written")
    stats = scene.server.stats()
    assert stats["store_error"] == "database or disk is full" and stats["store_pending"] > 0
    scene.hang_up()
    # Neither a recording nor a message can begin.
    scene.recorded_call()
    scene.wait_logged("is failed: ")
    scene.hang_up()
    scene.speak()
    scene.wait_no_call()
    assert not scene.sealed_bytes("voicemail")

    ballast.unlink()
    wait_until(lambda: scene.server.stats()["store_error"] is None, 20, "the store writes again")
    scene.wait_logged("the store writes again after: database or disk is full")
    scene.recorded_call()
    wait_until(lambda: scene.sealed_bytes("recordings") > 3 * SECOND, 20, "a second is kept again")
    scene.hang_up()
    scene.speak()
    wait_until(lambda: scene.sealed_bytes("voicemail") > SECOND, 20, "a message is kept again")
    scene.phones["1007"].hang_up()
    scene.wait_no_call()
    assert scene.states() == ["partial", "failed", "kept"]
    rows = scene.server.rows("cdr", "--limit", "1000")
    # A machine that has too much to do refuses some, which is no fault of the disk.
    answered = Counter(str(row["callee"]) for row in rows if row["disposition"] == "answered")
    assert answered == {"*43": CALLS, "1005": 3, "1001": 2}
    assert "Traceback" not in scene.log and "trace=" not in scene.log
