"""The whole daemon under the address and undefined-behaviour sanitizers, with calls of each kind."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from bench.rig.processes import wait_until
from bench.rig.server import Server
from tests.soak.test_churn import Churn, as_root, check_media, nothing_open
from tools import sanitized

REPORTS = ("AddressSanitizer", "runtime error:")


@as_root
@pytest.mark.slow
def test_calls_with_media_bring_no_report_of_a_sanitizer(tmp_path: Path, soak: bool) -> None:
    """CHURN_MINUTES (5) of CHURN_RATE (10) calls a second."""
    if not soak:
        pytest.skip("builds the native modules anew: `make soak`")
    sanitized.build()
    server = Server(
        tmp_path / "server",
        command=[sys.executable, "-m", "pbx"],
        environment=sanitized.environment(),
        **{"server.sdes_over_plain": "true"},
    )
    try:
        loaded = Path(f"/proc/{server.process.pid}/maps").read_text()
        assert f"{sanitized.LIBRARY}/media/_engine" in loaded and "libasan" in loaded
        rate, minutes = float(os.environ.get("CHURN_RATE") or 10), float(os.environ.get("CHURN_MINUTES") or 5)
        answered = Churn(tmp_path, server).round(rate, 60 * minutes)
        wait_until(lambda: nothing_open(server), 10, "every port and SRTP context is given back")
        check_media(server)
        server.process.signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
        log = server.process.output()
        assert not [report for report in REPORTS if report in log], log[-5000:]
        print(f"{answered} calls, no report")
    finally:
        server.close()
