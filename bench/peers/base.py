"""The seat of a server under measurement: start, stop, CPU, memory, version."""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from bench.rig import usage
from bench.rig.processes import PeerMissing, Process

UNPACKED = Path(__file__).resolve().parents[2] / "build" / "peers" / "root"
LIBRARIES = [UNPACKED / "usr/lib", UNPACKED / "lib"]


def peer_program(name: str) -> str:
    """The unpacked program, else the machine's own."""
    for folder in ("usr/sbin", "usr/bin"):
        if (UNPACKED / folder / name).exists():
            return str(UNPACKED / folder / name)
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin")
    if path is None:
        raise PeerMissing(f"{name} is missing: run `make bench-peers`")
    return path


def library_path() -> str:
    """LD_LIBRARY_PATH of the unpacked programs."""
    folders = [
        folder for base in LIBRARIES for folder in (*base.glob("*-linux-gnu"), *base.glob("*-linux-gnu/kamailio"))
    ]
    return ":".join([*map(str, folders), os.environ.get("LD_LIBRARY_PATH", "")]).rstrip(":")


class Contender(ABC):
    """A server under measurement. `start` and `stop` may be called in turn any number of times."""

    name: ClassVar[str]
    process: Process | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None, f"{self.name} is not running"
        return self.process.pid

    @abstractmethod
    def start(self, directory: Path) -> None:
        """In `directory`, on loopback, on the core that the caller is pinned to. Raises: PeerMissing."""

    def stop(self) -> None:
        if self.process is not None:
            self.process.close()
            self.process = None

    @abstractmethod
    def version(self) -> str:
        """As the program says it. Raises: PeerMissing."""

    def cpu_seconds(self) -> float:
        return usage.cpu_seconds(self.pid)

    def pss_kb(self) -> int:
        return usage.pss_kb(self.pid)


class SipContender(Contender):
    """A registrar and what connects calls; domain office.test, extensions 10000 … with password pass-NUMBER."""

    port: int = 0
    # What a load dials for the phone that answers, and where it must call from: "" and 0 where there is no difference.
    dialled: str = ""
    caller_port: int = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def kernel_drops(self) -> int:
        return usage.kernel_drops(self.port)

    def media_drops(self) -> int:
        """Of its media sockets, where it has any."""
        return 0


class MediaContender(Contender):
    """A media server whose sessions are opened by its own control protocol."""

    mode: ClassVar[str] = ""  # of its sessions, whatever the scenario asks for

    @abstractmethod
    def open_sessions(self, count: int, phones_from: int, mode: str = "rtp") -> list[int]:
        """The port that phone `phones_from + index` sends to, two phones a session, G.711 both ways.

        `mode` "srtp": the server hands each packet to itself over AES_CM_128_HMAC_SHA1_80, so that it relays it twice.
        "opus": likewise as Opus, so that it transcodes it twice. What else there is, is voipat's own.
        """

    @abstractmethod
    def kernel_drops(self) -> int:
        """Of its media sockets."""
