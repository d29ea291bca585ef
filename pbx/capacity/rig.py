"""A daemon of the shipped configuration in a scratch directory, on loopback, on one core; and what it has used."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pbx.capacity.certificate import CERTIFICATE, KEY, make_certificate
from pbx.capacity.kinds import (
    CALLEE,
    CALLEES,
    CLEAR_CALLEE,
    DOMAIN,
    FEW_CALLEE,
    FIRST_USER,
    PLAIN_CALLEE,
    PROFILES,
    QUEUE,
    ROOMS,
    SEALED_CALLEE,
    TAPED_CALLEE,
    TLS_CALLEE,
    TRUNK_NUMBER,
    USERS,
    WIDE_CALLEE,
)
from pbx.capacity.planner import KEEPALIVE_S
from pbx.errors import PbxError
from voipat.load import Fleet, Generator, GeneratorError
from voipat.load.fleet import PORTS_PER_PROCESS, TRUNK
from voipat.load.handshakes import HandshakeError, handshakes
from voipat.load.proof import cores

START_S: Final = 60.0
AGAIN_S: Final = 0.2
MEDIA: Final = (20000, 29999)  # the shipped range, on an address that is nobody else's
PHONES_FROM, ROOM = 10000, 1500
TLS_ROOM, TLS_CONNECTIONS = 500, 4
SIP_FROM: Final = 6100


class RigError(PbxError):
    """Nothing can be measured here; the text says why."""


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds of the daemon so far, by what its threads do."""

    signalling: float = 0.0  # the event loop: SIP, calls, decisions
    media: float = 0.0  # RTP: relay, SRTP, codecs, mixing
    disk: float = 0.0  # CDRs, bindings, recordings, log
    waited: float = 0.0  # ready to run, and no core was free

    @property
    def total(self) -> float:
        """CPU of all."""
        return self.signalling + self.media + self.disk

    def __mul__(self, factor: float) -> Usage:
        return Usage(self.signalling * factor, self.media * factor, self.disk * factor, self.waited * factor)

    def __sub__(self, earlier: Usage) -> Usage:
        return Usage(
            self.signalling - earlier.signalling,
            self.media - earlier.media,
            self.disk - earlier.disk,
            self.waited - earlier.waited,
        )


def usage_of(pid: int) -> Usage:
    """By the kernel's own count of each thread, in nanoseconds."""
    spent = {"signalling": 0.0, "media": 0.0, "disk": 0.0, "waited": 0.0}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError, ValueError):
            run, waited = (task / "schedstat").read_text().split()[:2]
            name = (task / "comm").read_text()
            stage = "signalling" if task.name == str(pid) else "media" if name.startswith("voipat-media") else "disk"
            spent[stage] += int(run) / 1e9
            spent["waited"] += int(waited) / 1e9
    return Usage(**spent)


def stolen_s(core: int) -> float:
    """How long a hypervisor had this core for other guests, so far; 10 ms fine."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            return int(fields[7]) / os.sysconf("SC_CLK_TCK")
    return 0.0


def resident_kb(pid: int) -> int:
    """Memory of the process, shared pages counted by their part."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


@dataclass(frozen=True, slots=True)
class Phones:
    """How many extensions call and register, and after how many seconds each is asked whether it is there."""

    count: int = USERS
    asked_s: float = KEEPALIVE_S


AS_SHIPPED: Final = Phones()


def configuration(directory: Path, address: str, port: int, trunk: int, phones: Phones) -> str:
    """The shipped defaults, with the extensions that are needed. Keys go over plain UDP: it is loopback."""
    head = f"""
[server]
listen = ["udp://{address}:{port}", "tls://{address}:{port}"]
media = "{address}:{MEDIA[0]}-{MEDIA[1]}"
default_tenant = "{DOMAIN}"
media_timeout_s = 0                # calls are held without RTP between two measurements
sdes_over_plain = true
[server.tls]
certificate = "{directory / CERTIFICATE}"
key = "{directory / KEY}"
[server.registrar]
keepalive_s = {phones.asked_s}
[server.guard]
trusted = ["127.0.0.0/8"]
[[tenant]]
domain = "{DOMAIN}"
digest = ["MD5"]
[[tenant.queue]]
number = "{QUEUE}"
agents = ["{FIRST_USER}"]
join_empty = true
max_callers = 1000
max_wait_s = 3600
[[tenant.trunk]]
name = "carrier"
host = "{address}:{trunk}"
options_s = 0
[[tenant.recording]]
name = "taped"
extensions = ["{TAPED_CALLEE}"]
[[tenant.did]]
number = "{TRUNK_NUMBER}"
target = "{CALLEE}"
[tenant.extensions]
{FIRST_USER}-{FIRST_USER + phones.count - 1} = "{_password("{number}")}"
{CALLEE} = "{_password(CALLEE)}"
{CLEAR_CALLEE} = "{_password(CLEAR_CALLEE)}"
{SEALED_CALLEE} = {{ password = "{_password(SEALED_CALLEE)}", srtp = "required" }}
{WIDE_CALLEE} = {{ password = "{_password(WIDE_CALLEE)}", codecs = ["G722"] }}
{TAPED_CALLEE} = "{_password(TAPED_CALLEE)}"
{TLS_CALLEE} = {{ password = "{_password(TLS_CALLEE)}", srtp = "required" }}
{FEW_CALLEE} = "{_password(FEW_CALLEE)}"
{PLAIN_CALLEE} = {{ password = "{_password(PLAIN_CALLEE)}", codecs = ["PCMU"] }}
"""
    return head + "".join(f'[[tenant.conference]]\nnumber = "{room}"\nannounce = false\n' for room in ROOMS)


def _password(user: str) -> str:
    return f"load-{user}"


def users(count: int) -> tuple[tuple[str, str], ...]:
    """So many callers first, then those who are called, each with its password."""
    names = [*(str(FIRST_USER + number) for number in range(count)), *CALLEES, TLS_CALLEE]
    return tuple((name, _password(name)) for name in names)


def scratch_address() -> str:
    """A loopback address that is most likely only ours."""
    number = os.getpid()
    return f"127.{83 + number // 65025 % 100}.{number // 255 % 255}.{1 + number % 254}"


class Rig:
    """The daemon on one core and the generator on another. `open_rig` makes and ends it."""

    def __init__(self, directory: Path, *, share: float, phones: Phones = AS_SHIPPED) -> None:
        self.directory, self.phones = directory, phones
        self.address = scratch_address()
        self.port, self.sip_from = SIP_FROM - 1, SIP_FROM
        self.server_core, self.load_core = cores()
        config = directory / "capacity.toml"
        make_certificate(directory, DOMAIN)
        config.write_text(configuration(directory, self.address, self.port, self.sip_from + TRUNK, phones))
        self._log = directory / "voipat.log"
        self._daemon = self._start(config)
        try:
            self.generator = Generator(self._fleet(), on=[self.load_core], share=share)
        except GeneratorError as error:
            self._end()
            raise RigError(f"the load generator does not start: {error}") from error

    @property
    def pid(self) -> int:
        """Of the daemon."""
        return self._daemon.pid

    def usage(self) -> Usage:
        """Of the daemon, so far."""
        return usage_of(self.pid)

    def stolen_s(self) -> float:
        """How long the host had the daemon's core for others, so far."""
        return stolen_s(self.server_core)

    def resident_kb(self) -> int:
        """Of the daemon, now."""
        return resident_kb(self.pid)

    def recordings_octets(self) -> int:
        """On the disk, so far."""
        found = (self.directory / "data").rglob("*")
        return sum(path.stat().st_size for path in found if path.is_file() and "recordings" in str(path.parent))

    def store_octets(self) -> int:
        """Of the pages in use in the daemon's database, what is still in its log included."""
        with contextlib.closing(sqlite3.connect(f"file:{self.directory}/data/voipat.db?mode=ro", uri=True)) as store:
            pages, free, size = (
                store.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
            )
        return int(pages - free) * int(size)

    def log_tail(self) -> str:
        """The daemon's last lines."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-5:])

    def close(self) -> None:
        """Ends both."""
        self.generator.close()
        self._end()

    @contextlib.contextmanager
    def handshakes(self, count: int, *, keep: bool = False) -> Iterator[float]:
        """How many seconds so many took. Raises: RigError."""
        file = str(self.directory / CERTIFICATE)
        try:
            with handshakes(
                (self.address, self.port), count, name=DOMAIN, certificates=file, core=self.load_core, keep=keep
            ) as seconds:
                yield seconds
        except HandshakeError as error:
            raise RigError(f"TLS: {error}") from error

    def secured(self) -> Generator:
        """Phones over TLS on the generator's core, besides; who opens them closes them."""
        fleet = replace(
            self._fleet(),
            transport="tls",
            sip_from=self.sip_from + PORTS_PER_PROCESS,
            media_from=PHONES_FROM + 4 * ROOM,
            room=TLS_ROOM,
            connections=TLS_CONNECTIONS,
            certificates=str(self.directory / CERTIFICATE),
        )
        return Generator(fleet, on=[self.load_core])

    def _fleet(self) -> Fleet:
        return Fleet(
            domain=DOMAIN,
            server=(self.address, self.port),
            users=users(self.phones.count),
            host=self.address,
            sip_from=self.sip_from,
            media_from=PHONES_FROM,
            room=ROOM,
            profiles=PROFILES,
            patience=8.0,
        )

    def _start(self, config: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "pbx", "serve", "--config", str(config)]
        command += ["--set", f"server.data={self.directory / 'data'}"]
        with self._log.open("wb") as sink:
            child = subprocess.Popen(command, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
        with contextlib.suppress(OSError):
            os.sched_setaffinity(child.pid, {self.server_core})
        deadline = time.monotonic() + START_S
        while "\nready in" not in self._log.read_text(errors="replace"):
            if child.poll() is not None or time.monotonic() > deadline:
                child.kill()
                raise RigError(f"the scratch daemon does not start:\n{self.log_tail()}")
            time.sleep(0.05)
        return child

    def _end(self) -> None:
        self._daemon.send_signal(signal.SIGTERM)
        time.sleep(AGAIN_S)  # two at once are one to the kernel
        self._daemon.send_signal(signal.SIGTERM)  # now, calls or not
        try:
            self._daemon.wait(20)
        except subprocess.TimeoutExpired:
            self._daemon.kill()
            self._daemon.wait(20)


@contextlib.contextmanager
def open_rig(*, share: float = 1.0, directory: Path | None = None, phones: Phones = AS_SHIPPED) -> Iterator[Rig]:
    """A rig in a directory that is removed with it. Raises: RigError."""
    if cores()[0] == cores()[1]:
        raise RigError("one core is not enough: the load would run on the core of the server; give this command two")
    if not Path("/proc/self/schedstat").exists():
        raise RigError("this kernel does not count CPU by thread (/proc/self/schedstat): Linux with CONFIG_SCHED_INFO")
    made = Path(tempfile.mkdtemp(prefix="voipat-capacity-", dir=directory))
    try:
        rig = Rig(made, share=share, phones=phones)
        try:
            yield rig
        finally:
            rig.close()
    finally:
        shutil.rmtree(made, ignore_errors=True)


def is_free(address: str, port: int) -> bool:
    """Whether a UDP port can be bound."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        try:
            probe.bind((address, port))
        except OSError:
            return False
        return True
