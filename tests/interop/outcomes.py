"""What real programs did with us: one line of JSON per peer, transport and feature, for `tools/interop_table.py`.

A test wraps what it proves: `with row("hold"): …` writes a pass when the block ends and a failure when it raises.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from bench.peers.kamailio import Kamailio
from bench.rig.processes import program
from tools.interop_table import FEATURES

TRANSPORTS: Final = ("UDP", "TCP", "TLS", "UDP over IPv6", "TCP over IPv6", "TLS over IPv6")
ASTERISK_ROOT: Final = Path(__file__).resolve().parents[2] / "build" / "peers" / "asterisk"


@dataclass(frozen=True)
class Peer:
    """A program in one role; `version` asks it."""

    name: str
    role: str
    version: Callable[[], str]


def _says(pattern: str, *command: str) -> Callable[[], str]:
    @cache
    def version() -> str:
        done = subprocess.run(
            [program(command[0]), *command[1:]], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20
        )
        found = re.search(pattern, done.stdout + done.stderr)
        assert found is not None, f"{command}: no version in {done.stdout + done.stderr!r}"
        return found[1]

    return version


_asterisk = _says(r"Asterisk ([\d.]+)", "chroot", str(ASTERISK_ROOT), "/usr/sbin/asterisk", "-V")
_kamailio = cache(lambda: Kamailio().version().removeprefix("kamailio "))
_sipp = _says(r"SIPp v(\S+?)[-\s]", "sipp", "-v")

LINPHONE: Final = Peer("linphone", "phone", _says(r"(\d+\.\d+\.\d+)", "linphonec", "-v"))
BARESIP: Final = Peer("baresip", "phone", _says(r"baresip v(\S+)", "baresip", "-h"))
SIPP: Final = Peer("sipp", "scripted phone", _sipp)
SIPSAK: Final = Peer("sipsak", "probe", _says(r"sipsak (\d\S*)", "sipsak", "-V"))
KAMAILIO_PROXY: Final = Peer("Kamailio", "edge proxy before the phones", _kamailio)
KAMAILIO_TRUNK: Final = Peer("Kamailio", "trunk", _kamailio)
AIOSIPUA: Final = Peer("aiosipua", "phone", lambda: importlib.metadata.version("aiosipua"))
SIPPY: Final = Peer("sippy", "phone", lambda: importlib.metadata.version("sippy"))
ASTERISK_TRUNK: Final = Peer("Asterisk (PJSIP)", "trunk", _asterisk)
ASTERISK_PBX: Final = Peer("Asterisk (PJSIP)", "PBX of phones at the far end of a trunk", _asterisk)


class Outcomes:
    """Where the run is written; without a file nothing is."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def row(self, peer: Peer, transport: str) -> Row:
        assert transport in TRANSPORTS, transport
        return Row(self, peer, transport)

    def write(self, peer: Peer, transport: str, feature: str, result: str, note: str) -> None:
        if self._path is None:
            return
        line = {"peer": peer.name, "role": peer.role, "version": peer.version(), "transport": transport}
        line |= {"feature": feature, "result": result, "note": note}
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")


@dataclass(frozen=True)
class Row:
    """One line of the table; called with a feature it is the block that proves it."""

    outcomes: Outcomes
    peer: Peer
    transport: str

    @contextmanager
    def __call__(self, feature: str) -> Iterator[None]:
        assert feature in FEATURES, feature
        try:
            yield
        except BaseException as error:
            first = (str(error) or type(error).__name__).splitlines()[0]
            self.outcomes.write(self.peer, self.transport, feature, "fail", first)
            raise
        self.outcomes.write(self.peer, self.transport, feature, "pass", "")

    def not_offered(self, feature: str, reason: str) -> None:
        """The peer has no such thing, or none that can be driven: an honest blank."""
        assert feature in FEATURES, feature
        self.outcomes.write(self.peer, self.transport, feature, "not offered", reason)
