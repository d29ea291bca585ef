"""sipp and sipsak: PRACK, and session refreshes by UPDATE and INVITE, as a script has them word by word."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bench.rig import sipp
from bench.rig.processes import free_port, program
from bench.rig.server import Server
from tests.interop.outcomes import SIPP, SIPSAK, Outcomes
from tests.interop.phones import wait_in_time

pytestmark = pytest.mark.interop

NO_CALLS = "a probe: it makes no calls"


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_sipp_requires_100rel_and_refreshes_its_session(tmp_path: Path, outcomes: Outcomes, transport: str) -> None:
    row = outcomes.row(SIPP, transport)
    row.not_offered("call", "sends no media of its own in these scripts")
    server = Server(tmp_path / "server", **{"server.session_expires_s": "90", "server.min_se_s": "90"})
    by = ["-t", "u1" if transport == "UDP" else "t1"]
    callee, caller = free_port(), free_port()
    try:
        with outcomes.row(SIPP, "UDP")("register"):
            rows = [["1002", sipp.credentials("1002"), callee]]
            sipp.run(tmp_path, "register", target=server.address, port=free_port(), calls=1, rows=rows)
        answering = sipp.Sipp(tmp_path, "answer", target=server.address, port=callee, rows=[[6000]])
        try:
            wait_in_time(server)
            with row("PRACK"), row("session timer"):
                rows = [["1001", sipp.credentials("1001"), "1002", 6002]]
                sipp.run(tmp_path, "refresh", target=server.address, port=caller, calls=1, rows=rows, extra=by)
        finally:
            answering.close()
        assert server.stats()["calls"] == 0
    finally:
        server.close()


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_sipsak_registers(tmp_path: Path, outcomes: Outcomes, transport: str, server: Server) -> None:
    row = outcomes.row(SIPSAK, transport)
    for feature in ("call", "hold", "blind transfer", "attended transfer", "early media", "PRACK", "session timer"):
        row.not_offered(feature, NO_CALLS)
    command = [program("sipsak"), "-U", "-s", f"sip:1001@{server.address}", "-u", "1001", "-a", "pass-1001", "-x", "60"]
    command += ["-C", f"sip:1001@127.0.0.1:{free_port()}", "-E", transport.lower()]
    with row("register"):
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, done.stdout + done.stderr
        assert [each["aor"] for each in server.rows("registrations")] == ["sip:1001@office.test"]
