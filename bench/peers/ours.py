"""voipat in the same seats: the daemon as it ships, and the media engine in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

from bench.peers.base import MediaContender, SipContender
from bench.rig import usage
from bench.rig.extensions import many_extensions
from bench.rig.processes import Process, free_port, wait_until
from bench.rig.server import REPOSITORY, VOIPAT, Server

LOW, HIGH = 20000, 25999


def own_version() -> str:
    """`voipat version`, its first line, and the commit."""
    done = subprocess.run([str(VOIPAT), "version"], capture_output=True, text=True, check=True)
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False).stdout.strip()
    return f"{done.stdout.splitlines()[0].strip()} {commit}".strip()


class VoipatServer(SipContender):
    """`voipat serve`: CDRs, guard and counters on, media anchored."""

    name: ClassVar[str] = "voipat"
    server: Server | None = None

    def start(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.server = Server(directory, config=many_extensions(directory))
        self.process, self.port = self.server.process, self.server.port

    def version(self) -> str:
        return own_version()


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


class VoipatEngine(MediaContender):
    """`media.Engine` with nothing around it, as rtpengine is: one process, sessions opened by commands."""

    name: ClassVar[str] = "voipat"
    child: subprocess.Popen[str] | None = None

    def start(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "bench.peers.engine_host", str(LOW), str(HIGH)]
        self.child = subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
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
        return usage.kernel_drops(LOW, HIGH)

    def version(self) -> str:
        return own_version()
