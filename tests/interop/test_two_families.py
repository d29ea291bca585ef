"""A phone that has IPv4 alone talks to one that has IPv6 alone: each leg's media has the address of its signalling."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.rig.processes import free_port, wait_until
from bench.rig.server import Server
from tests.interop.linphone import Linphone
from tests.interop.tones import dominant_frequency

pytestmark = pytest.mark.interop

RATE = 8000
TONES = {"1001": 440.0, "1002": 880.0}


def hears(phone: Linphone, frequency: float) -> None:
    phone.mark()
    wait_until(lambda: len(phone.heard()) >= RATE, 10, f"{phone.user} hears something")
    assert dominant_frequency(phone.heard()[-RATE // 2 :], RATE) == pytest.approx(frequency, abs=5)


def test_a_phone_on_ipv4_and_a_phone_on_ipv6_hear_each_other(tmp_path: Path) -> None:
    port = free_port()
    listen = f'["udp://127.0.0.1:{port}", "udp://[::1]:{port}"]'
    settings = {"server.listen": listen, "server.media": "[::]:20000-29999"}
    server = Server(tmp_path / "server", port=port, **settings)
    phones: list[Linphone] = []
    try:
        for user, host, address in (("1001", "127.0.0.1", f"127.0.0.1:{port}"), ("1002", "::1", f"[::1]:{port}")):
            phones.append(
                Linphone(
                    tmp_path / user,
                    user=user,
                    password=f"pass-{user}",
                    server=address,
                    port=free_port(run=5),
                    frequency=TONES[user],
                    host=host,
                )
            )
        alice, bob = phones
        alice.wait_registered()
        bob.wait_registered()
        alice.dial("1002")
        bob.answer()
        alice.wait_talking()
        bob.wait_talking()
        hears(alice, TONES["1002"])
        hears(bob, TONES["1001"])
        alice.hang_up()
        bob.wait_no_call()
    finally:
        for phone in phones:
            phone.close()
        server.close()
