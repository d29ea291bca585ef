"""linphone writes to one that is away: it comes once and in order, though the server is killed in between."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.rig.processes import free_port, wait_until
from bench.rig.server import Server
from tests.interop.linphone import Linphone

pytestmark = pytest.mark.interop


def linphone(directory: Path, server: Server, user: str, frequency: float) -> Linphone:
    return Linphone(
        directory / user,
        user=user,
        password=f"pass-{user}",
        server=server.address,
        port=free_port(run=5),
        frequency=frequency,
    )


def read(phone: Linphone) -> list[str]:
    return re.findall(r'Message received from \S*1001@\S+: "(\w+)"', phone.process.output())


def waiting(server: Server) -> list[str]:
    return [str(row["state"]) for row in server.rows("messages", "list", "--to", "1002")]


def test_messages_wait_through_a_kill_and_come_once_and_in_order(tmp_path: Path, server: Server) -> None:
    alice, bob = linphone(tmp_path, server, "1001", 440.0), None
    try:
        alice.wait_registered()
        for count, text in enumerate(("one", "two", "three"), start=1):
            alice.command(f'chat sip:1002@office.test "{text}"')
            wait_until(lambda count=count: len(waiting(server)) == count, 10, f"{text} waits")  # type: ignore[misc]
        server.kill()
        assert waiting(server) == ["waiting"] * 3  # out of the store
        server.start()
        assert waiting(server) == ["waiting"] * 3
        bob = linphone(tmp_path, server, "1002", 880.0)
        bob.wait_registered()
        wait_until(lambda: not waiting(server), 20, "nothing waits")
        server.kill()
        server.start()
        alice.command('chat sip:1002@office.test "four"')
        wait_until(lambda: bob is not None and "four" in read(bob), 20, "bob has the fourth")
        assert read(bob) == ["one", "two", "three", "four"]
    finally:
        alice.close()
        if bob is not None:
            bob.close()
