"""F12: DNS that is silent, slow or wrong, asked by the daemon itself: calls within the house do not notice.

In virtual time `tests/sim/test_trunk_names.py` says the same without noise.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from bench.rig.processes import free_port
from bench.rig.server import OFFICE, VOIPAT, Server
from bench.rig.sipp import Sipp
from tests.faults.phone_by_hand import PhoneByHand

pytestmark = pytest.mark.slow

NAMESERVER: Final = "127.0.7.53"
SLOW_S: Final = 5.0
COUNT: Final = 200
TENANT: Final = """
[[tenant]]
domain = "office.test"
digest = ["MD5"]
features = {{ echo = "*43" }}

[[tenant.extension]]
number = "1003"
password = "pass-1003"

[[tenant.extension]]
number = "1004"
password = "pass-1004"

[[tenant.trunk]]
name = "named"
host = "carrier.voipat.test"
options_s = 0

[[tenant.trunk]]
name = "spare"
host = "127.0.0.1:{spare}"
options_s = 0

[[tenant.route]]
name = "outside"
pattern = "9X."
strip = 1
trunks = ["named", "spare"]
"""


class Nameserver:
    """Says "no such name" to everything, at once, late or never."""

    def __init__(self, delay: float | None) -> None:
        self._delay = delay
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((NAMESERVER, 53))
        self._socket.settimeout(0.1)
        self._is_open = True
        self.queries = 0
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while self._is_open:
            try:
                query, peer = self._socket.recvfrom(512)
            except TimeoutError:
                continue
            self.queries += 1
            if self._delay is not None:
                # The question as it came, flags: a response, recursion available, NXDOMAIN.
                answer = query[:2] + b"\x81\x83" + query[4:6] + bytes(6) + query[12:]
                threading.Timer(self._delay, self._send, (answer, peer)).start()

    def _send(self, answer: bytes, peer: tuple[str, int]) -> None:
        if self._is_open:
            self._socket.sendto(answer, peer)

    def close(self) -> None:
        self._is_open = False
        self._thread.join()
        self._socket.close()


@contextmanager
def office(directory: Path, spare: int) -> Iterator[Server]:
    """The daemon where /etc/resolv.conf names our nameserver."""
    resolv, config = directory / "resolv.conf", directory / "office.toml"
    resolv.write_text(f"nameserver {NAMESERVER}\n")
    config.write_text(OFFICE.read_text().split("[[tenant]]", 1)[0] + TENANT.format(spare=spare))
    mounted = f'mount --bind {resolv} /etc/resolv.conf && exec {VOIPAT} "$@"'
    server = Server(directory / "server", config=config, command=("unshare", "-m", "sh", "-c", mounted, "voipat"))
    try:
        yield server
    finally:
        server.close()


def set_up_times(phone: PhoneByHand) -> list[float]:
    took = []
    for _ in range(COUNT):
        begin = time.perf_counter()
        phone.dial("*43", 40000)
        took.append(time.perf_counter() - begin)
        assert phone.hang_up() == ""
    return sorted(took)


@pytest.mark.parametrize("delay", [None, SLOW_S, 0.0], ids=["silent", "slow", "no such name"])
def test_dns_that_does_not_help_costs_local_calls_nothing(tmp_path: Path, delay: float | None, soak: bool) -> None:
    if not soak:
        pytest.skip("real seconds: make soak ONLY=dns")
    if os.geteuid() or not shutil.which("unshare"):
        pytest.skip("a resolv.conf of its own needs root and unshare")
    spare = free_port()
    nameserver, carrier = Nameserver(delay), Sipp(tmp_path, "answer", target="127.0.0.1:5060", port=spare)
    outside: list[tuple[str, float]] = []
    try:
        with office(tmp_path, spare) as server:
            at = ("127.0.0.1", server.port)
            with PhoneByHand("127.0.2.1", at, "1003", "pass-1003") as local:
                assert local.register() == ""
                set_up_times(local)
                alone = set_up_times(local)

                def call_outside() -> None:
                    with PhoneByHand("127.0.2.2", at, "1004", "pass-1004") as caller:
                        begin = time.monotonic()
                        outside.append((caller.call("9123456"), time.monotonic() - begin))

                threads = [threading.Thread(target=call_outside) for _ in range(3)]
                for thread in threads:
                    thread.start()
                beside = set_up_times(local)
                for thread in threads:
                    thread.join()
    finally:
        nameserver.close()
        carrier.close()
    assert nameserver.queries > 0
    assert len(outside) == 3 and all(failure == "" and took < 4.0 for failure, took in outside), outside
    p99 = COUNT * 99 // 100
    assert beside[p99] < 1.1 * alone[p99] + 0.01, (alone[COUNT // 2], alone[p99], beside[COUNT // 2], beside[p99])
