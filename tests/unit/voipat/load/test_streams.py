"""The load over TCP and TLS, against the daemon: digest registrations, calls on the callee's own connection."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.rig.processes import free_port
from bench.rig.server import Server
from tests.certificates import Authority
from voipat.load import Fleet, Generator, Plan
from voipat.load.fleet import Transport

pytestmark = pytest.mark.slow

USERS = (("1002", "pass-1002"), ("1003", "pass-1003"), ("1004", "pass-1004"))
CALLEE = (0, 1)
CALLERS = (1, 2)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    directory = tmp_path_factory.mktemp("streams")
    authority = Authority(directory)
    issued = authority.issue("office.test")
    port = free_port(run=2)
    running = Server(
        directory / "server",
        port=port,
        **{
            "server.listen": f'["tcp://127.0.0.1:{port}", "tls://127.0.0.1:{port + 1}"]',
            "server.tls.certificate": str(issued.chain),
            "server.tls.key": str(issued.key),
        },
    )
    try:
        yield running, authority.file
    finally:
        running.close()


@pytest.mark.parametrize(("transport", "offset"), [("tcp", 0), ("tls", 1)])
def test_phones_register_and_call_over_a_stream(server: tuple[Server, Path], transport: Transport, offset: int) -> None:
    daemon, trusted = server
    fleet = Fleet(
        domain="office.test",
        server=("127.0.0.1", daemon.port + offset),
        users=USERS,
        transport=transport,
        sip_from=free_port(run=10),
        room=20,
        connections=2,
        certificates=str(trusted),
    )
    with Generator(fleet) as generator:
        for users, profile in ((CALLEE, 0), (CALLERS, None)):
            plan = generator.start(Plan("register", rate=50, count=users[1], users=users, answer_as=profile))
            counts = generator.wait(plan, timeout=30)
            assert (counts.ok, counts.challenged) == (users[1], users[1])
        calls = Plan("call", rate=20, count=6, users=CALLERS, targets=("1002",), hold=0.1)
        counts = generator.wait(generator.start(calls), timeout=60)
        assert (counts.ok, counts.failed, counts.retransmitted) == (6, 0, 0)
