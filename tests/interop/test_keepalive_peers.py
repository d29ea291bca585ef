"""A real phone answers the questions of the keep-alive; one that was killed is found out and not waited for."""

from __future__ import annotations

import signal
import time
from contextlib import closing
from pathlib import Path

import pytest

from bench.rig import sipp
from bench.rig.processes import free_port, wait_until
from bench.rig.server import Server
from tests.interop.baresip import Baresip

pytestmark = pytest.mark.interop


def reachable(server: Server) -> list[object]:
    return [row["reachable"] for row in server.rows("registrations")]


@pytest.mark.slow
def test_a_phone_answers_until_it_is_killed(tmp_path: Path) -> None:
    settings = {"server.registrar.keepalive_s": "5", "server.registrar.keepalive_failures": "1"}
    with closing(Server(tmp_path / "server", **settings)) as server:
        phone = Baresip(
            tmp_path / "1006",
            user="1006",
            password="pass-1006",
            server=server.address,
            port=free_port(run=5),
            frequency=440.0,
        )
        with closing(phone):
            phone.wait_registered()
            time.sleep(11)  # two turns: by the second a first question without an answer counts
            assert reachable(server) == [True]
            phone.process.signal(signal.SIGKILL)
            wait_until(lambda: reachable(server) == [False], 90, "it is found out")
        rows = [["1001", sipp.credentials("1001"), "1006", 6000]]
        sipp.run(tmp_path, "expect_480", target=server.address, port=free_port(), calls=1, rows=rows)
        assert [row["cause"]["id"] for row in server.rows("cdr")] == ["VP-3017"]
        wait_until(lambda: "phone unreachable" in server.process.output(), 10, "the log says so")
