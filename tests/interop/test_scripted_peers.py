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
from tools.interop_table import FEATURES

pytestmark = pytest.mark.interop

NO_CALLS = "a probe: it makes no calls"


IPV6 = [pytest.param(f"{each} over IPv6", marks=pytest.mark.matrix) for each in ("UDP", "TCP")]


@pytest.mark.parametrize("transport", ["UDP", "TCP", *IPV6])
def test_sipp_requires_100rel_and_refreshes_its_session(tmp_path: Path, outcomes: Outcomes, transport: str) -> None:
    row = outcomes.row(SIPP, transport)
    for feature in ("call", "hold", "blind transfer", "attended transfer", "early media"):
        row.not_offered(feature, "sends no media of its own in these scripts")
    for feature in FEATURES:
        outcomes.row(SIPP, "TLS").not_offered(feature, "Debian builds it without TLS")
    host = "::1" if "IPv6" in transport else "127.0.0.1"
    port, callee, caller = (free_port() for _ in range(3))
    address = f"[::1]:{port}" if "IPv6" in transport else f"127.0.0.1:{port}"
    settings = {"server.session_expires_s": "90", "server.min_se_s": "90"}
    settings["server.listen"] = f"udp://{address},tcp://{address}"
    if "IPv6" in transport:
        settings["server.media"] = "[::1]:20000-29999"
    server = Server(tmp_path / "server", port=port, **settings)
    # It would write sip:::1:5060 there.
    named = ["-auth_uri", "office.test"] if "IPv6" in transport else []
    called = ["-auth_uri", "1002@office.test"] if named else []
    by = ["-t", "u1" if "UDP" in transport else "t1"]
    try:
        with row("register"):
            # The phone of one transport registers for it; who answers listens for UDP.
            for way in ([*by, *named], ["-t", "u1", *named]):
                rows = [["1002", sipp.credentials("1002"), callee]]
                sipp.run(
                    tmp_path, "register", target=address, port=free_port(), calls=1, rows=rows, extra=way, host=host
                )
        answering = sipp.Sipp(tmp_path, "answer", target=address, port=callee, rows=[[6000]], host=host)
        try:
            wait_in_time(server)
            with row("PRACK"), row("session timer"):
                rows = [["1001", sipp.credentials("1001"), "1002", 6002]]
                sipp.run(
                    tmp_path,
                    "refresh",
                    target=address,
                    port=caller,
                    calls=1,
                    rows=rows,
                    extra=[*by, *called],
                    host=host,
                )
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
