"""One process of the load generator: takes commands on standard input, a JSON object a line, and answers each with one.

Between commands it sends and answers without a pause. It is started by `voipat.load.Generator`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import select
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pylibsrtp import Session

from media.keys import AEAD_128, SrtpKeys, library_functions, receive_session, send_policy, session_address
from voipat.load import _load
from voipat.load.descriptions import CODECS, KEY, description, payloads
from voipat.load.fleet import ANSWERING, CALLING, PORTS_PER_PROCESS, TRUNK, Fleet, Part, Plan, Profile

SLICE_S: Final = 0.005
FED_SLICE_S: Final = 0.001
BUFFER: Final = 4 << 20
KINDS: Final = {"register": _load.REGISTRATION, "call": _load.CALL, "options": _load.OPTIONS}
MOST_ACCOUNTS: Final = 400_000
NO_OFFER: Final = ("", "", "", "")


class Worker:
    """The phones of this process."""

    def __init__(self, fleet: Fleet, index: int) -> None:
        low, high = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(low, high), high))
        self._fleet = fleet
        self._sip_from = fleet.sip_from + PORTS_PER_PROCESS * index
        self._media_from = fleet.media_from + 4 * fleet.room * index
        self._agent = _load.Agent(
            fleet.domain,
            f"{os.getpid():x}.load",
            flows=2 * fleet.connections + 3,
            accounts=MOST_ACCOUNTS,
            room=fleet.room,
            patience=fleet.patience,
            answer_media_from=self._media_from + 2 * fleet.room,
        )
        self._tls: list[tuple[int, ssl.SSLSocket]] = []
        self._calling = self._open_flows(CALLING)
        self._answering = self._open_flows(ANSWERING)
        self._trunk = self._open_udp(TRUNK)
        for number, profile in enumerate(fleet.profiles):
            said = description(profile.codec, fleet.host, srtp=profile.srtp)
            self._agent.set_profile(number, said, profile.rings)
        self._accounts: dict[tuple[object, ...], tuple[int, int]] = {}
        self._singing: Singing | None = None
        self._lines: dict[int, Line] = {}

    def run_until(self, has_command: Callable[[float], bool]) -> None:
        """Sends and answers until there is a command."""
        while not has_command(0):
            self._agent.run(FED_SLICE_S if self._tls else SLICE_S)
            for flow, connection in self._tls:
                self._pump(flow, connection)

    def obey(self, command: dict[str, Any]) -> Any:
        """What the command's answer carries."""
        match command.pop("do"):
            case "plan":
                return self._start(
                    Plan(**{**command, "users": tuple(command["users"]), "targets": tuple(command["targets"])})
                )
            case "stop":
                return self._agent.stop(command["plan"])
            case "hang_up":
                return self._agent.hang_up(command["plan"], command["rate"])
            case "counts":
                return self._agent.counts(command["plan"])
            case "totals":
                return self._agent.totals()
            case "sing":
                return self._sing([Part(**part) for part in command["parts"]])
            case "media":
                return None if self._singing is None else self._singing.counts()
            case "hush":
                return self._hush()
            case other:
                raise ValueError(f"no command {other!r}")

    def _open_flows(self, role: int) -> list[int]:
        if self._fleet.transport == "udp":
            return [self._open_udp(role)]
        opened = self._open_tcp if self._fleet.transport == "tcp" else self._open_tls
        return [opened() for _ in range(self._fleet.connections)]

    def _open_udp(self, role: int) -> int:
        port = self._sip_from + role
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        made.bind((self._fleet.host, port))
        made.connect(self._fleet.server)
        made.setblocking(False)
        return self._agent.add_flow(made, _load.UDP, f"{self._fleet.host}:{port}")

    def _connected(self) -> socket.socket:
        made = socket.create_connection(self._fleet.server, timeout=10, source_address=(self._fleet.host, 0))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def _open_tcp(self) -> int:
        made = self._connected()
        made.setblocking(False)
        return self._agent.add_flow(made, _load.TCP, "{}:{}".format(*made.getsockname()))

    def _open_tls(self) -> int:
        context = ssl.create_default_context(cafile=self._fleet.certificates or None)
        context.check_hostname = False
        made = context.wrap_socket(self._connected(), server_hostname=self._fleet.domain)
        made.setblocking(False)
        flow = self._agent.add_flow(None, _load.FED, "{}:{}".format(*made.getsockname()))
        self._tls.append((flow, made))
        return flow

    def _pump(self, flow: int, connection: ssl.SSLSocket) -> None:
        with contextlib.suppress(ssl.SSLWantReadError):
            while octets := connection.recv(65536):
                self._agent.feed(flow, octets)
        if octets := self._agent.outgoing(flow):
            connection.setblocking(True)
            connection.sendall(octets)
            connection.setblocking(False)

    def _accounts_of(self, plan: Plan) -> tuple[int, int]:
        """(first, how many) of the agent's accounts that the plan uses; made when they are first needed."""
        flows = [self._trunk] if plan.from_trunk else self._calling if plan.answer_as is None else self._answering
        first, count = plan.users
        users = self._fleet.users[first : first + count] if count else self._fleet.users
        if plan.from_trunk:
            users = ((plan.from_trunk, ""),)
        key = (plan.from_trunk, plan.answer_as is None, first, count)
        if key not in self._accounts:
            made = [
                self._agent.add_account(user, self._ha1(user, password), flows[number % len(flows)])
                for number, (user, password) in enumerate(users)
            ]
            self._accounts[key] = made[0], len(made)
        return self._accounts[key]

    def _ha1(self, user: str, password: str) -> str:
        text = f"{user}:{self._fleet.domain}:{password}"
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() if password else ""

    def _start(self, plan: Plan) -> int:
        first, count = self._accounts_of(plan)
        is_call = plan.kind == "call"
        return self._agent.add_plan(
            KINDS[plan.kind],
            rate=plan.rate,
            count=plan.count,
            hold=plan.hold,
            accounts_from=first,
            accounts=count,
            targets=list(plan.targets) or [self._fleet.domain],
            contact="" if plan.answer_as is None else f"p{plan.answer_as}",
            offer=description(plan.codec, self._fleet.host, srtp=plan.srtp) if is_call else NO_OFFER,
            media_from=self._media_from if plan.media else 0,
            seed=plan.seed,
            keeps_nonce=plan.keeps_nonce,
            delay=plan.delay,
        )

    def _sing(self, parts: list[Part]) -> int:
        self._hush()
        media = [
            (part, call)
            for part in parts
            for call in (
                self._agent.media(part.plan) if part.plan is not None else self._agent.answered_media(part.profile or 0)
            )
        ]
        self._singing = Singing(self._fleet.host, media, self._lines)
        return len(media)

    def _hush(self) -> Any:
        """The last counts; nothing is sent any more."""
        if self._singing is None:
            return None
        singing, self._singing = self._singing, None
        return singing.end()


@dataclass(slots=True)
class Line:
    """The stream of one of our ports: it goes on where it was when its call is sent from again (RFC 3550 §5.1).

    A sequence that began anew would be a replay to SRTP, and late to a jitter buffer.
    """

    key: str
    srtp: tuple[Session, Session] | None
    sequence: int = 0
    timestamp: int = 0
    stopped: float = 0.0

    def resume(self, step: int, now: float) -> None:
        """The timestamp ran on meanwhile."""
        silent = round((now - self.stopped) * 50) if self.stopped else 0
        self.timestamp = (self.timestamp + silent * step) & 0xFFFFFFFF


class Singing:
    """RTP of these calls, in two threads, until `end`; `lines` has what was sent from their ports before."""

    def __init__(
        self, host: str, media: list[tuple[Part, tuple[int, str, int, int, str]]], lines: dict[int, Line]
    ) -> None:
        needs_srtp = any(part.srtp for part, _ in media)
        self._choir = _load.Choir(len(media), library_functions()[:2] if needs_srtp else (0, 0))
        self._sockets: list[socket.socket] = []
        self._lines: list[Line] = []
        audio: dict[tuple[str, bool], _load.Audio] = {}
        for part, (local, remote_host, remote, payload_type, key) in media:
            key_of = (part.codec, part.stamped)
            if key_of not in audio:
                audio[key_of] = _load.Audio(payloads(part.codec), step=CODECS[part.codec][2], stamped=part.stamped)
            made = self._open(host, local, (remote_host, remote))
            self._open(host, local + 1, (remote_host, remote + 1))  # RTCP comes, and is not read
            line = lines.get(local)
            if line is None or line.key != key:
                line = lines[local] = Line(key, _sessions(key) if part.srtp else None)
            line.resume(CODECS[part.codec][2], time.monotonic())
            self._lines.append(line)
            srtp = line.srtp
            addresses = (0, 0) if srtp is None else (session_address(srtp[0]), session_address(srtp[1]))
            self._choir.add(
                made,
                audio[key_of],
                payload_type=payload_type,
                ssrc=0x10000000 + local,
                sequence=line.sequence,
                timestamp=line.timestamp,
                seal=addresses[0],
                open=addresses[1],
                owned=srtp,
            )
        self._threads = [threading.Thread(target=run) for run in (self._choir.receive, self._choir.send) if media]
        for thread in self._threads:
            thread.start()

    def counts(self) -> dict[str, Any]:
        """So far."""
        return self._choir.counts()

    def end(self) -> dict[str, Any]:
        """Stops; what is on its way has some time to come."""
        self._choir.stop(1)
        for thread in reversed(self._threads):
            thread.join(0.3)
            self._choir.stop(2)
        for thread in self._threads:
            thread.join()
        counted = self._choir.counts()
        for line, (sequence, timestamp) in zip(self._lines, self._choir.positions(), strict=True):
            line.sequence, line.timestamp, line.stopped = sequence, timestamp, time.monotonic()
        for made in self._sockets:
            made.close()
        return counted

    def _open(self, host: str, port: int, remote: tuple[str, int]) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sockets.append(made)
        made.bind((host, port))
        made.connect(remote)
        return made


def _sessions(key: str) -> tuple[Session, Session]:
    """How a stream of ours is sealed, and how the server's is opened."""
    import base64

    keys = SrtpKeys(AEAD_128, send=KEY, receive=base64.b64decode(key))
    return Session(send_policy(keys, None)), receive_session(keys)


def main() -> None:
    """Opens what the first line says, then obeys."""
    first = json.loads(sys.stdin.readline())
    if first["core"] is not None:
        os.sched_setaffinity(0, {first["core"]})
    fleet = dict(first["fleet"])
    fleet["profiles"] = tuple(Profile(**profile) for profile in fleet["profiles"])
    fleet["server"] = tuple(fleet["server"])
    try:
        worker = Worker(Fleet(**fleet), first["index"])
    except (ValueError, OSError) as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
        return
    answer: Any = {"answer": "open"}
    while True:
        print(json.dumps(answer), flush=True)
        worker.run_until(lambda patience: bool(select.select([0], [], [], patience)[0]))
        line = sys.stdin.readline()
        if not line:
            return
        try:
            answer = {"answer": worker.obey(json.loads(line))}
        except (ValueError, OSError, KeyError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    main()
