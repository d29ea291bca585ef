"""The daemon under floods, on loopback: a good phone goes on, memory stays bounded, and we amplify nothing.

Short here; `--soak` runs them at full length and rate, and overload by real calls.
"""

from __future__ import annotations

import json
import signal
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.rig.media import build
from bench.rig.processes import Process, program, wait_until
from bench.rig.server import VOIPAT, Server
from bench.rig.usage import kernel_drops
from tests.faults.phone_by_hand import PhoneByHand

pytestmark = pytest.mark.slow

STRANGER, GOOD = "127.0.0.77", "127.0.2.1"
BODY = """Via: SIP/2.0/UDP @SOURCE@:@PORT@;branch=z9hG4bK@COUNT@;rport
Max-Forwards: 70
From: <sip:1001@office.test>;tag=f@COUNT@
To: <sip:{to}@office.test>{tag}
Call-ID: r@COUNT@
CSeq: 1 {method}
Contact: <sip:1001@@SOURCE@:@PORT@>
{more}Content-Length: 0

"""
GUESS = (
    'Authorization: Digest username="1001", realm="office.test", nonce="' + "0" * 48 + '", uri="sip:office.test", '
    'response="0123456789abcdef0123456789abcdef", cnonce="a", nc=00000001, qop=auth, algorithm=MD5\n'
)


def request_of(method: str, user: str = "1001") -> str:
    """What one flood repeats."""
    uri = "sip:office.test" if method == "REGISTER" else "sip:1002@office.test"
    more = GUESS.replace("1001", user) if method == "REGISTER" else ""
    to, tag = (user, "") if method == "REGISTER" else ("1002", ";tag=x@COUNT@" if method == "BYE" else "")
    return f"{method} {uri} SIP/2.0\n{BODY.format(method=method, to=to, tag=tag, more=more)}".replace("\n", "\r\n")


def make_server(directory: Path, **settings: str) -> Server:
    return Server(
        directory,
        **{
            "server.guard.trusted": "[]",
            "server.media": "127.0.0.1:26000-27999",
            "server.log.level": "error",
            **settings,
        },
    )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = make_server(tmp_path)
    yield made
    made.close()


class LimitedServer(Server):
    """A daemon whose descriptors are limited, as the kernel or a service manager does it."""

    def __init__(self, directory: Path, limit: int) -> None:
        self._limit = limit
        super().__init__(directory, **{"server.guard.trusted": "[]", "server.media": "127.0.0.1:26000-26199"})

    def start(self) -> Process:
        arguments = [f"{key}={value}" for key, value in self.settings.items()]
        overrides = [part for argument in arguments for part in ("--set", argument)]
        self.starts += 1
        command = [str(VOIPAT), "serve", "--config", str(self.config), *overrides]
        self.process = Process(
            [program("prlimit"), f"--nofile={self._limit}:{self._limit}", *command],
            cwd=self.directory,
            log=self.directory / f"voipat-{self.starts}.log",
        )
        self.process.ready(self._ready, 15, "the daemon is ready")
        return self.process


class Flood:
    """Runs in a process of its own, after the server in line for a core. No sources: each request has a forged one."""

    def __init__(
        self, server: Server, method: str, *, rate: int, seconds: float, user: str = "1001", sources: int = 200
    ) -> None:
        flood = [build("flood"), "127.0.0.1", str(server.port), str(sources), str(rate), str(seconds)]
        command = [program("nice"), "-n", "5", *flood]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdin is not None
        self.process.stdin.write(request_of(method, user))
        self.process.stdin.close()

    @property
    def runs(self) -> bool:
        return self.process.poll() is None

    def result(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        told: dict[str, Any] = json.loads(self.process.stdout.read())
        self.process.stdout.close()
        self.process.wait(5)
        return told


def live_beside(flood: Flood, phone: PhoneByHand) -> tuple[int, list[str]]:
    """Registers and calls once a second while the flood runs, and every tenth time a new phone: tries and failures."""
    tries, failures = 0, []
    while flood.runs:
        begin = time.monotonic()
        failures += [failure for failure in (phone.register(), phone.call("*43")) if failure]
        if tries % 10 == 0:
            with PhoneByHand(f"127.0.3.{tries // 10 + 1}", phone.server, "1002", "pass-1002") as new:
                # It leaves again: an account may have ten phones.
                failures += [
                    f"new phone: {failure}" for failure in (new.register(), new.register(expires=0)) if failure
                ]
        tries += 1
        time.sleep(max(0.0, begin + 1.0 - time.monotonic()))
    return tries, failures


@pytest.mark.parametrize("ban", ["true", "false"])
def test_a_good_phone_registers_and_calls_beside_guessed_passwords(tmp_path: Path, ban: str, soak: bool) -> None:
    server = make_server(tmp_path, **{"server.guard.ban": ban})
    phone = PhoneByHand(GOOD, ("127.0.0.1", server.port), "1003", "pass-1003")
    try:
        assert phone.register() == ""
        # Guesses at many accounts get their sources banned, those at one account use up what it is allowed.
        user = "@COUNT@" if ban == "true" else "1001"
        flood = Flood(server, "REGISTER", rate=10_000 if soak else 3000, seconds=300 if soak else 4, user=user)
        tries, failures = live_beside(flood, phone)
        told, stats = flood.result(), server.stats()
    finally:
        phone.close()
        server.close()
    assert failures == [], (failures, told, stats)
    assert tries >= (250 if soak else 1)
    assert told["worst_ratio"] <= 3.0
    if ban == "true":
        # Ten wrong guesses a source are answered, each after its challenge; then silence, until the ban is over: those
        # of 60 and 120 seconds are in a flood of five minutes.
        rounds = 3 if soak else 1
        assert told["answers"] < 200 * 24 * rounds and stats["driver_ignored"] > 0


def test_who_guesses_is_listed_and_gets_no_answer_until_the_operator_lifts_the_ban(server: Server) -> None:
    with PhoneByHand(STRANGER, ("127.0.0.1", server.port), "1001", "guess") as stranger:
        for _ in range(9):
            assert stranger.register().startswith("REGISTER: 401")
        assert server.rows("bans") == []
        # What was forgiven in the meantime is less than one.
        for _ in range(2):
            assert stranger.register().startswith("REGISTER: 401")
        [row] = server.rows("bans")
        assert (row["source"], row["account"]) == (STRANGER, None) and 50 <= row["left_s"] <= 60
        assert ask(stranger, "REGISTER", "sip:office.test") == []
        assert server.stats()["driver_ignored"] > 0
        assert server.rows("bans", "--lift", STRANGER) == [{"source": STRANGER, "lifted": True}]
        assert server.rows("bans") == []
        assert ask(stranger, "REGISTER", "sip:office.test") == [401]


def test_good_and_new_phones_register_beside_a_forged_flood(tmp_path: Path, soak: bool) -> None:
    # So few that a server which hardly gets a core has none left for the flood either.
    strangers = {} if soak else {"server.guard.strangers": "100"}
    server = make_server(tmp_path, **strangers)
    phone = PhoneByHand(GOOD, ("127.0.0.1", server.port), "1003", "pass-1003")
    try:
        assert phone.register() == ""
        before = server.resident_kb()
        flood = Flood(server, "REGISTER", rate=10_000 if soak else 3000, seconds=300 if soak else 4, sources=0)
        tries, failures = live_beside(flood, phone)
        told, stats, grown = flood.result(), server.stats(), server.resident_kb() - before
    finally:
        phone.close()
        server.close()
    assert failures == [], (failures, told, stats)
    assert tries >= (250 if soak else 1)
    assert told["worst_ratio"] <= 3.0 and told["bytes_in"] <= told["bytes_out"], told
    assert grown < 64 * 1024
    # Nothing tells these sources from phones; but all of them together get only so many answers.
    assert stats["driver_ignored"] > 0


def set_up_times(phone: PhoneByHand, count: int) -> list[float]:
    """Seconds from the first INVITE to the answer, of calls one after the other."""
    took = []
    for _ in range(count):
        begin = time.perf_counter()
        phone.dial("*43", 40000)
        took.append(time.perf_counter() - begin)
        assert phone.hang_up() == ""
        time.sleep(0.05)
    return sorted(took)


def test_a_good_phone_is_set_up_within_twice_the_time_beside_a_forged_flood(server: Server, soak: bool) -> None:
    """X10: and fewer bytes go out than come in.

    From the third second on: at first the strangers have the burst that is there for phones after a power cut.
    """
    if not soak:
        pytest.skip("a minute of flood: make soak")
    count = 400
    with PhoneByHand(GOOD, ("127.0.0.1", server.port), "1003", "pass-1003") as phone:
        assert phone.register() == ""
        set_up_times(phone, 20)
        alone = set_up_times(phone, count)
        flood = Flood(server, "REGISTER", rate=5000, seconds=60, sources=0)
        time.sleep(2.0)
        beside = set_up_times(phone, count)
        assert flood.runs, "all of them beside it"
        told = flood.result()
    assert told["bytes_in"] <= told["bytes_out"] and told["worst_ratio"] <= 3.0, told
    p99 = count * 99 // 100
    assert beside[p99] < 2.0 * alone[p99], (alone[count // 2], alone[p99], beside[count // 2], beside[p99])


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "SUBSCRIBE", "BYE"])
def test_floods_of_strangers_cost_no_memory_and_no_call(server: Server, method: str, soak: bool) -> None:
    if method == "SUBSCRIBE" and not soak:
        pytest.skip("like INVITE and OPTIONS: make soak")
    phone = PhoneByHand(GOOD, ("127.0.0.1", server.port), "1003", "pass-1003")
    assert phone.register() == "" and phone.call("*43") == ""
    before = server.resident_kb()
    flood = Flood(server, method, rate=5000 if soak else 3000, seconds=30 if soak else 3)
    _, failures = live_beside(flood, phone)
    told = flood.result()
    grown = server.resident_kb() - before
    assert failures == [], (failures, told, server.stats())
    assert grown < 64 * 1024
    assert server.stats()["dialogs"] <= 2 and server.stats()["transactions"] < 200
    assert told["worst_ratio"] <= 3.0, told
    if soak:
        wait_until(lambda: server.stats()["transactions"] == 0, 34, "no transaction is left")
        assert server.resident_kb() - before < 0.1 * before + 8 * 1024
    phone.close()


def ask(phone: PhoneByHand, method: str, target: str = "sip:1002@office.test", **more: Any) -> list[int]:
    response = phone.ask(phone.request(method, target, **more), limit=0.4 if method == "ACK" else 2.0)
    return [] if response is None else [response.status]


METHODS = (
    "INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "SUBSCRIBE", "NOTIFY", "PUBLISH", "MESSAGE", "REFER",
    "INFO", "UPDATE", "PRACK",
)  # fmt: skip


def test_without_credentials_no_method_does_anything(server: Server) -> None:
    callee = PhoneByHand("127.0.2.2", ("127.0.0.1", server.port), "1002", "pass-1002")
    stranger = PhoneByHand(STRANGER, ("127.0.0.1", server.port), "1001")
    assert callee.register() == ""
    for method in METHODS:
        answers = ask(stranger, method)
        allowed = {"ACK": [[]], "OPTIONS": [[200]]}.get(method, [[s] for s in (401, 403, 405, 407, 481, 501)])
        assert answers in allowed, f"{method}: {answers}"
    heard = callee._receive(0.3)
    assert heard is None
    callee.close()
    stranger.close()


def test_known_and_unknown_users_cannot_be_told_apart(tmp_path: Path, soak: bool) -> None:
    server = make_server(tmp_path, **{"server.guard.ban": "false"})
    # What an account is allowed at once, two requests a round; then ten a second.
    rounds, pause = (500, 0.2) if soak else (45, 0.0)
    seen: dict[str, list[tuple[int, tuple[str, ...]]]] = {"1001": [], "4711": []}
    took: dict[str, list[float]] = {"1001": [], "4711": []}
    try:
        phones = {user: PhoneByHand(STRANGER, ("127.0.0.1", server.port), user, "guess") for user in seen}
        for turn in range(rounds):
            time.sleep(pause)
            # Who comes first after a pause finds a core that was asleep.
            for user, phone in (list if turn % 2 else reversed)(phones.items()):
                first = phone.request("REGISTER", "sip:office.test")
                challenge = phone.ask(first)
                assert challenge is not None
                again = phone.authenticated(first, challenge)
                begin = time.perf_counter()
                refused = phone.ask(again)
                took[user].append(time.perf_counter() - begin)
                for response in (challenge, refused):
                    assert response is not None
                    seen[user].append((response.status, tuple(name for name, _ in response.headers.items())))
        for phone in phones.values():
            phone.close()
    finally:
        server.close()
    assert seen["1001"] == seen["4711"]
    known, unknown = statistics.median(took["1001"]), statistics.median(took["4711"])
    # A machine that others use too: the real bound is for the long run.
    assert abs(known - unknown) <= (0.1 if soak else 0.3) * max(known, unknown)


def test_half_open_and_slow_connections_leave_room_for_a_good_phone(tmp_path: Path, soak: bool) -> None:
    server = LimitedServer(tmp_path, 256)
    before = server.stats()["descriptors"]
    crowd: list[socket.socket] = []
    try:
        for number in range(400):
            held = socket.socket()
            held.bind((f"127.0.3.{number % 20 + 1}", 0))
            held.settimeout(1)
            try:
                held.connect(("127.0.0.1", server.port))
                held.sendall(b"REGISTER sip:office.test SIP/2.0\r\nVia: SIP/2.0/TCP" if number % 2 else b"")
            except OSError:
                pass
            crowd.append(held)
        cpu, begin = server.cpu_seconds(), time.monotonic()
        for _ in range(3):
            for tcp in (False, True):
                phone = PhoneByHand(GOOD, ("127.0.0.1", server.port), "1003", "pass-1003", tcp=tcp)
                assert phone.register() == "" and phone.call("*43") == "", tcp
                phone.close()
            time.sleep(0.5)
        assert (server.cpu_seconds() - cpu) / (time.monotonic() - begin) < (0.3 if soak else 0.5)
        assert server.stats()["descriptors"] < 256
        for held in crowd:
            held.close()
        wait_until(lambda: server.stats()["descriptors"] <= before + 5, 30, "the descriptors are back")
    finally:
        for held in crowd:
            held.close()
        server.close()


def test_what_the_kernel_drops_is_told(server: Server) -> None:
    assert server.stats()["udp_kernel_drops"] == 0
    server.process.signal(signal.SIGSTOP)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
        flood.bind((STRANGER, 0))
        while kernel_drops(server.port) < 100:
            for _ in range(100):
                flood.sendto(b"\r\n", ("127.0.0.1", server.port))
    server.process.signal(signal.SIGCONT)
    assert server.stats()["udp_kernel_drops"] == kernel_drops(server.port) >= 100


def test_a_malformed_flood_gets_few_answers(server: Server) -> None:
    broken = (
        f"OPTIONS sip:office.test SIP/2.0\r\nVia: SIP/2.0/UDP {STRANGER}:5060;branch=z9hG4bK1\r\n"
        "From: <sip:a@b>;tag=1\r\nTo: <sip:office.test>\r\nCall-ID: broken\r\n"
        "CSeq: nonsense OPTIONS\r\nContent-Length: 0\r\n\r\n"
    ).encode()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind((STRANGER, 0))
        for _ in range(500):
            stranger.sendto(broken, ("127.0.0.1", server.port))
        stranger.settimeout(0.5)
        answers = []
        try:
            while True:
                answers.append(stranger.recv(65535))
        except TimeoutError:
            pass
    assert 1 <= len(answers) <= 80 and all(answer.startswith(b"SIP/2.0 400 ") for answer in answers)
    assert server.stats()["sip_strays_unanswered"] >= 420
