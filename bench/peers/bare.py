"""The floors in C: a relay and a sender with nothing but sockets and one loop."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import ClassVar

from bench.peers.base import MediaContender
from bench.rig import usage
from bench.rig.media import build

LOW, HIGH = 20000, 25999
LONGEST_S = 600


class Bare(MediaContender):
    """Its process begins with its sessions, and is pinned then."""

    program: ClassVar[str]
    child: subprocess.Popen[str] | None = None

    def start(self, directory: Path) -> None:
        build(self.program)

    @property
    def pid(self) -> int:
        assert self.child is not None, "not running"
        return self.child.pid

    def pss_kb(self) -> int:
        return 0 if self.child is None else super().pss_kb()

    def _begin(self, *arguments: int) -> subprocess.Popen[str]:
        command = [str(build(self.program)), *map(str, arguments)]
        with usage.pinned(usage.cores()[0]):
            return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def stop(self) -> None:
        if self.child is not None:
            self.child.kill()
            self.child.communicate()
            self.child = None

    def kernel_drops(self) -> int:
        return usage.kernel_drops(LOW, HIGH)

    def version(self) -> str:
        return f"bare C ({self.program}.c)"


class BareRelay(Bare):
    """recvfrom, sendto."""

    name: ClassVar[str] = "bare-relay"
    program: ClassVar[str] = "bare_relay"

    def open_sessions(self, count: int, phones_from: int, mode: str = "rtp") -> list[int]:
        ports = [LOW + 2 * index for index in range(2 * count)]
        self.child = self._begin(LONGEST_S)
        assert self.child.stdin and self.child.stdout
        for index in range(0, 2 * count, 2):
            a, b = phones_from + index, phones_from + index + 1
            self.child.stdin.write(f"{ports[index]} {a} {ports[index + 1]} {b}\n")
        self.child.stdin.close()
        self.child.stdin = None
        assert self.child.stdout.readline() == "ready\n"
        return ports


class BareSender(Bare):
    """One sendto for each listener every 20 ms."""

    name: ClassVar[str] = "bare-sender"
    program: ClassVar[str] = "bare_send"

    def open_sessions(self, count: int, phones_from: int, mode: str = "play") -> list[int]:
        """To listeners on each second port."""
        self.child = self._begin(LONGEST_S, count, LOW, phones_from)
        return []
