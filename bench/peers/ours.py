"""voipat in the same seats: the daemon as it ships, and the media engine in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

from bench.peers import dial_plan
from bench.peers.base import Contender, MediaContender, SipContender
from bench.rig import sound, usage
from bench.rig.extensions import CALLEE, EXTENSIONS, MANY, many_extensions
from bench.rig.processes import Process, free_port, wait_until
from bench.rig.server import REPOSITORY, VOIPAT, Server
from pbx.capacity.rig import Rig

LOW, HIGH = 20000, 25999
# A relay of G.711 fills 80 % of a core with more calls than that range has ports for.
ENGINE_LOW = 12000

PROGRAM = """\
async def play(call):
    await call.answer()
    await call.play("{prompt}", loop=True)


async def ask(call):
    await call.answer()
    await call.ask("{question}", digits=1, timeout=5.0)
    await call.hangup()
"""


def own_version() -> str:
    """`voipat version`, its first line, and the commit."""
    done = subprocess.run([str(VOIPAT), "version"], capture_output=True, text=True, check=True)
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False).stdout.strip()
    return f"{done.stdout.splitlines()[0].strip()} {commit}".strip()


def office(directory: Path) -> list[str]:
    """The numbers of `bench.peers.dial_plan`, their prompts and the program that plays them, as configuration."""
    for name, seconds in (("prompt", dial_plan.PROMPT_SECONDS), ("question", dial_plan.QUESTION_SECONDS)):
        (directory / f"{name}.wav").write_bytes(sound.wav(seconds))
    program = directory / "answers.py"
    program.write_text(PROGRAM.format(prompt=directory / "prompt.wav", question=directory / "question.wav"))
    lines = []
    for number, function in ((dial_plan.PLAY, "play"), (dial_plan.IVR, "ask")):
        lines += ["[[tenant.program]]", f'number = "{number}"', f'file = "{program}"', f'function = "{function}"', ""]
    return [*lines, "[[tenant.conference]]", f'number = "{dial_plan.ROOM}"', "announce = false", ""]


class VoipatServer(SipContender):
    """`voipat serve`: CDRs, guard and counters on, media anchored."""

    name: ClassVar[str] = "voipat"
    server: Server | None = None
    extensions: ClassVar[int] = EXTENSIONS

    def start(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        settings = {"server.media": f"127.0.0.1:{LOW}-{HIGH}"}
        config = many_extensions(directory, *self.settings(directory), count=self.extensions)
        self.server = Server(directory, config=config, **settings)
        self.process, self.port = self.server.process, self.server.port

    def settings(self, directory: Path) -> list[str]:
        return office(directory)

    def stop(self) -> None:
        """At once, calls or not: the first SIGTERM lets them end, the second (of `close`) does not wait for them."""
        if self.process is not None and self.process.alive():
            self.process.signal(signal.SIGTERM)
        super().stop()

    def media_drops(self) -> int:
        return usage.kernel_drops(LOW, HIGH)

    def version(self) -> str:
        return own_version()


class VoipatOfMany(VoipatServer):
    """With 10,000 extensions in its store from the second start on."""

    extensions = MANY


class VoipatOfTrunk(VoipatServer):
    """The same, called by a carrier, who is known by its address: an INVITE without digest."""

    dialled = "+12025550101"

    def settings(self, directory: Path) -> list[str]:
        self.caller_port = free_port()
        trunk = ["[[tenant.trunk]]", 'name = "carrier"', f'host = "127.0.0.1:{self.caller_port}"', "options_s = 0", ""]
        return [*trunk, "[[tenant.did]]", f'number = "{self.dialled}"', f'target = "{CALLEE}"', ""]


class VoipatProxy(SipContender):
    """`voipat serve` with a tenant whose calls only pass: CDRs, guard and counters on."""

    name: ClassVar[str] = "voipat"

    def start(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        server = Server(directory, config=many_extensions(directory, 'calls = "proxied"'))
        self.process, self.port = server.process, server.port

    def version(self) -> str:
        return own_version()


class VoipatOpenProxy(SipContender):
    """`voipat.App` with a public `voipat.Proxy` and nothing else: no store, no guard."""

    name: ClassVar[str] = "voipat"

    def start(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        command = [sys.executable, "-m", "bench.peers.proxy_host", str(self.port)]
        log = directory / "proxy.log"
        self.process = Process(command, cwd=REPOSITORY, log=log)
        wait_until(lambda: "ready" in log.read_text(), 10, "the proxy is ready")

    def version(self) -> str:
        return own_version()


class VoipatRig(Contender):
    """The scratch daemon of `voipat capacity`, with phones for every kind of call."""

    name: ClassVar[str] = "voipat"
    rig: Rig | None = None

    def start(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.rig = Rig(directory, share=1.0)

    def stop(self) -> None:
        if self.rig is not None:
            self.rig.close()
            self.rig = None

    @property
    def pid(self) -> int:
        assert self.rig is not None, "not running"
        return self.rig.pid

    def version(self) -> str:
        return own_version()


class VoipatEngine(MediaContender):
    """`media.Engine` with nothing around it, as rtpengine is: one process, sessions opened by commands."""

    name: ClassVar[str] = "voipat"
    child: subprocess.Popen[str] | None = None

    def start(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "bench.peers.engine_host", str(ENGINE_LOW), str(HIGH)]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        self.child = subprocess.Popen(
            command, cwd=directory, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._answer()

    @property
    def pid(self) -> int:
        assert self.child is not None, "not running"
        return self.child.pid

    def _answer(self) -> list[int]:
        assert self.child is not None and self.child.stdout is not None
        line = self.child.stdout.readline()
        assert line, "the engine's process ended"
        return list(json.loads(line))

    def open_sessions(self, count: int, phones_from: int, mode: str = "rtp") -> list[int]:
        assert self.child is not None and self.child.stdin is not None
        self.child.stdin.write(f"{count} {phones_from} {mode}\n")
        self.child.stdin.flush()
        return self._answer()

    def stop(self) -> None:
        if self.child is None:
            return
        with self.child as child:
            assert child.stdin is not None
            child.stdin.close()
            child.wait(10)
        self.child = None

    def kernel_drops(self) -> int:
        return usage.kernel_drops(ENGINE_LOW, HIGH)

    def version(self) -> str:
        return f"{own_version()} {self.mode or 'relay'}"


class VoipatRecorder(VoipatEngine):
    """The same; each call is recorded too."""

    mode = "record"


class VoipatRoom(VoipatEngine):
    """The same; all sessions are one conference."""

    mode = "room"
