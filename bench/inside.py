"""What a REGISTER, a call and a question cost in the daemon without sockets: its event loop's thread, fed by phones in
the process.

The whole daemon runs (store, CDRs, recorder, guard), but datagrams are handed over in memory, so that two states of
the code can be compared in turns on a noisy machine (take the fastest round); `--profile` prints where the time goes.
`--count` says how many functions a unit calls, and `--hold` what a call that is up takes: both are the same on a busy
machine. The real figures are those of `bench.signalling`.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import hashlib
import pstats
import re
import signal
import socket
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import uvloop

from bench.peers import dial_plan, ours
from bench.rig.extensions import CALLEE, many_extensions, users
from bench.rig.processes import free_port
from pbx import config
from pbx.daemon import Daemon
from pbx.limits import resident_kb
from pbx.logs import LogSession
from sipcore.flow import Address, Flow

SDP: Final = (
    b"v=0\r\no=sipp 53655765 2353687637 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 6000 RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
    b"a=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
)
_NONCE: Final = re.compile(rb'nonce="([^"]+)"')
_COPIED: Final = re.compile(rb"^(?:Via|Record-Route|From|Call-ID|CSeq): [^\r]*\r\n", re.M)
_TO: Final = re.compile(rb"^To: [^\r]*", re.M)
_CONTACT: Final = re.compile(rb"^Contact: <([^>]*)>", re.M)
_AUDIO: Final = re.compile(rb"^m=audio (\d+)", re.M)
# Until a prompt is heard; from the last packet of a key to the end of the call.
PROMPT_S: Final = 0.05
KEY_S: Final = 5.0
UNITS: Final = ("REGISTER", "call", "ivr")
_RECORD_ROUTE: Final = re.compile(rb"^Record-Route: ([^\r]*)\r\n", re.M)


def digest(user: str, method: str, uri: str, challenge: bytes) -> str:
    found = _NONCE.search(challenge)
    assert found is not None, challenge
    nonce = found[1].decode()
    ha1 = hashlib.md5(f"{user}:office.test:pass-{user}".encode()).hexdigest()
    ha2 = hashlib.md5(f"{method}:{uri}".encode()).hexdigest()
    response = hashlib.md5(f"{ha1}:{nonce}:00000001:abc:auth:{ha2}".encode()).hexdigest()
    name = "Proxy-Authorization" if challenge.startswith(b"SIP/2.0 407") else "Authorization"
    return (
        f'{name}: Digest username="{user}",realm="office.test",nonce="{nonce}",uri="{uri}",response="{response}"'
        ',algorithm=MD5,cnonce="abc",qop=auth,nc=00000001\r\n'
    )


class Phones:
    """A caller and a callee at the daemon's transport; `busy` is the thread's time inside the daemon."""

    def __init__(self, daemon: Daemon, port: int) -> None:
        self._driver = daemon._parts.app.driver
        self.local = Address("127.0.0.1", port)
        self.caller = Flow("UDP", self.local, Address("127.0.0.1", 7001))
        self.callee = Flow("UDP", self.local, Address("127.0.0.1", 7002))
        self._sent: dict[Address, list[bytes]] = {self.caller.remote: [], self.callee.remote: []}
        self._waiting: asyncio.Future[None] | None = None
        self._keys = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for transport in self._driver.transports:
            if transport.name == "UDP":
                transport.send = self._take  # type: ignore[method-assign]
        self.number = 0
        self.busy = 0.0

    def _take(self, flow: Flow, data: bytes) -> None:
        self._sent[flow.remote].append(data)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def give(self, text: str, flow: Flow, body: bytes = b"") -> None:
        data = text.encode() + body
        copy = Flow("UDP", self.local, Address(flow.remote.host, flow.remote.port))
        begun = time.thread_time()
        self._driver.receive(data, copy)
        self.busy += time.thread_time() - begun

    async def next(self, start: bytes, flow: Flow) -> bytes:
        """The next message to `flow` that begins so; others before it are thrown away."""
        for _ in range(200):
            waiting = self._sent[flow.remote]
            while waiting:
                data = waiting.pop(0)
                if data.startswith(start):
                    return data
            begun = time.thread_time()
            await asyncio.sleep(0)
            self.busy += time.thread_time() - begun
        raise AssertionError(f"no {start!r}")

    def head(self, method: str, uri: str, user: str, to: str, cseq: int, more: str, body: bytes = b"") -> str:
        number = self.number
        kind = "Content-Type: application/sdp\r\n" if body else ""
        return (
            f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:7001;branch=z9hG4bK-{number}-{cseq}-{method[:2]}"
            f"{len(more)};rport\r\nMax-Forwards: 70\r\nFrom: <sip:{user}@office.test>;tag=r{number}\r\nTo: {to}\r\n"
            f"Call-ID: {number}-7001@127.0.0.1\r\nCSeq: {cseq} {method}\r\n{more}User-Agent: load\r\n{kind}"
            f"Content-Length: {len(body)}\r\n\r\n"
        )

    async def register(self, user: str, flow: Flow) -> None:
        self.number += 1
        uri, to = "sip:office.test", f"<sip:{user}@office.test>"
        contact = f"Contact: <sip:{user}@127.0.0.1:{flow.remote.port};transport=UDP>\r\nExpires: 600\r\n"
        self.give(self.head("REGISTER", uri, user, to, 1, contact), flow)
        challenge = await self.next(b"SIP/2.0 401", flow)
        self.give(self.head("REGISTER", uri, user, to, 2, contact + digest(user, "REGISTER", uri, challenge)), flow)
        await self.next(b"SIP/2.0 200", flow)

    async def ask(self, user: str) -> None:
        """A question, whose prompt a key of the caller's stops; the daemon hangs up. Its engine and socket are real."""
        answered = await self.invite(user, dial_plan.IVR)
        port = _AUDIO.search(answered)
        assert port is not None, answered
        self.give(self.head("ACK", target_of(answered), user, tagged(answered), 2, ""), self.caller)
        await asyncio.sleep(PROMPT_S)
        self._waiting = asyncio.get_running_loop().create_future()
        for place, last in enumerate((False, False, True, True, True)):
            event = struct.pack("!BBHI I BBH", 0x80, 101, place, 1000, self.number, 5, last << 7, 160 * (place + 1))
            self._keys.sendto(event, ("127.0.0.1", int(port[1])))
        async with asyncio.timeout(KEY_S):
            await self._waiting
        self._waiting = None
        self.answer(await self.next(b"BYE", self.caller), "200 OK", b"", self.caller)

    async def call(self, user: str) -> None:
        target, to, routes = await self.hold(user)
        self.give(self.head("BYE", target, user, to, 3, routes), self.caller)
        bye = await self.next(b"BYE", self.callee)
        self.answer(bye, "200 OK", b"")

    async def hold(self, user: str) -> tuple[str, str, str]:
        """A call that is up: the target, the To and the Route lines of what follows."""
        answered = await self.invite(user, CALLEE)
        target, to = target_of(answered), tagged(answered)
        routes = "".join(f"Route: {each.decode()}\r\n" for each in reversed(_RECORD_ROUTE.findall(answered)))
        self.give(self.head("ACK", target, user, to, 2, routes), self.caller)
        await self.next(b"ACK", self.callee)
        return target, to, routes

    async def invite(self, user: str, number: str) -> bytes:
        """A call that the callee answers, or the daemon itself: the 200."""
        self.number += 1
        uri, to = f"sip:{number}@office.test", f"<sip:{number}@office.test>"
        contact = f"Contact: <sip:{user}@127.0.0.1:7001;transport=UDP>\r\nAllow: INVITE, ACK, BYE, CANCEL, OPTIONS\r\n"
        self.give(self.head("INVITE", uri, user, to, 1, contact, SDP), self.caller, SDP)
        challenge = await self.next(b"SIP/2.0 40", self.caller)
        self.give(self.head("ACK", uri, user, tagged(challenge), 1, ""), self.caller)
        more = contact + digest(user, "INVITE", uri, challenge)
        self.give(self.head("INVITE", uri, user, to, 2, more, SDP), self.caller, SDP)
        if number == CALLEE:
            invite = await self.next(b"INVITE", self.callee)
            self.answer(invite, "180 Ringing", b"")
            await self.next(b"SIP/2.0 180", self.caller)
            self.answer(invite, "200 OK", SDP)
        return await self.next(b"SIP/2.0 200", self.caller)

    def answer(self, request: bytes, status: str, body: bytes, flow: Flow | None = None) -> None:
        to = tagged(request)
        tag = "" if ";tag=" in to else f";tag=b{self.number}"
        kind = "Content-Type: application/sdp\r\n" if body else ""
        copied = b"".join(_COPIED.findall(request)).decode()
        self.give(
            f"SIP/2.0 {status}\r\n{copied}To: {to}{tag}\r\nContact: <sip:127.0.0.1:7002;transport=UDP>\r\n{kind}"
            f"Content-Length: {len(body)}\r\n\r\n",
            flow or self.callee,
            body,
        )


def tagged(message: bytes) -> str:
    found = _TO.search(message)
    assert found is not None, message
    return found[0].decode()[4:]


def target_of(answered: bytes) -> str:
    found = _CONTACT.search(answered)
    assert found is not None, answered
    return found[1].decode()


async def paced(unit: Callable[[str], Awaitable[None]], names: list[str], count: int, rate: float) -> None:
    """`count` units one after the other, at most `rate` a second (0: as fast as they go)."""
    begun = time.monotonic()
    for index in range(count):
        await unit(names[index % len(names)])
        if rate and (early := begun + index / rate - time.monotonic()) > 0:
            await asyncio.sleep(early)
        elif index % 20 == 0:
            await asyncio.sleep(0.001)  # others of the process, as they would get between two datagrams


class Calls:
    """How often each function is called. What is written to the log hangs on the machine's speed and is left out."""

    _ELSEWHERE: Final = ("/bench/", "/re/", "/logging/", "/pbx/logs.py", "/pbx/output.py")

    def __init__(self) -> None:
        self.python: Counter[CodeType] = Counter()
        self.native = 0

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            self.python[frame.f_code] += 1
        elif event == "c_call":
            self.native += 1

    def print(self, name: str, count: int, lines: int) -> None:
        found = {code: n for code, n in self.python.items() if not any(x in code.co_filename for x in self._ELSEWHERE)}
        print(
            f"{name}: {sum(found.values()) / count:.0f} calls of Python, {self.native / count:.0f} native", flush=True
        )
        for code, n in sorted(found.items(), key=lambda each: -each[1])[:lines]:
            print(f"{n / count:8.1f} {code.co_qualname} {code.co_filename}:{code.co_firstlineno}")


def units(phones: Phones, options: argparse.Namespace) -> list[tuple[str, Callable[[str], Awaitable[None]], int]]:
    """Name, what does one, and how many; those that are wanted. A tenant whose calls are proxied asks no questions."""

    async def register(user: str) -> None:
        await phones.register(user, phones.caller)

    wanted = options.only or (UNITS[:2] if options.proxied else UNITS)
    functions = (register, phones.call, phones.ask)
    counts = (options.registers, options.calls, options.asks)
    return [each for each in zip(UNITS, functions, counts, strict=True) if each[0] in wanted]


async def count_calls(phones: Phones, names: list[str], options: argparse.Namespace) -> None:
    for name, unit, _ in units(phones, options):
        await paced(unit, names, 100, options.rate)
        calls = Calls()
        sys.setprofile(calls)
        await paced(unit, names, 200, options.rate)
        sys.setprofile(None)
        calls.print(name, 200, options.lines)


async def weigh_calls(phones: Phones, names: list[str], count: int) -> None:
    async def hold(user: str) -> None:
        await phones.hold(user)

    await paced(phones.call, names, 20, 0)
    await paced(hold, names, 20, 0)
    before = resident_kb()
    await paced(hold, names, count, 100)
    print(f"a call that is up: {(resident_kb() - before) / count:.1f} kB, {count} of them", flush=True)


async def measure(daemon: Daemon, port: int, options: argparse.Namespace) -> None:
    phones = Phones(daemon, port)
    # It would watch, and be counted, while the machine is late by other work.
    daemon._parts.app.gate.overload = None
    await phones.register(CALLEE, phones.callee)
    names = users(200)
    if options.count:
        await count_calls(phones, names, options)
        return
    if options.hold:
        await weigh_calls(phones, names, options.hold)
        return

    for name, unit, count in units(phones, options):
        if not count:
            continue
        await paced(unit, names, count // 10, options.rate)
        profile = cProfile.Profile(time.thread_time) if options.profile else None
        found = []
        for _ in range(options.runs):
            phones.busy = 0.0
            gc.collect()
            if profile:
                profile.enable()
            await paced(unit, names, count, options.rate)
            if profile:
                profile.disable()
            found.append(phones.busy / count * 1e6)
        print(f"{name}: {min(found):.1f} µs", " ".join(f"{each:.0f}" for each in found), flush=True)
        if profile:
            pstats.Stats(profile).sort_stats("tottime").print_stats(options.lines)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--registers", type=int, default=2000)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--asks", type=int, default=200)
    parser.add_argument("--only", choices=UNITS, action="append")
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--lines", type=int, default=60)
    parser.add_argument("--count", action="store_true")
    parser.add_argument("--hold", type=int, default=0)
    parser.add_argument("--proxied", action="store_true", help="calls pass through the proxy")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="voipat-bench-") as directory:
        port = free_port()
        settings = ['calls = "proxied"'] if options.proxied else ours.office(Path(directory))
        path = many_extensions(Path(directory), *settings)
        overrides = (f'server.listen=["udp://127.0.0.1:{port}"]', f"server.data={directory}/data")
        loaded = config.load(path, (*overrides, "server.registrar.keepalive_s=0", "server.drain_s=1"))
        log = LogSession(level="info", as_json=False)
        daemon = Daemon(path, overrides, loaded, log)
        running = asyncio.create_task(daemon.run())
        while not hasattr(daemon, "_lag"):
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.1)
        await measure(daemon, port, options)
        signal.raise_signal(signal.SIGTERM)
        await running
        log.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
