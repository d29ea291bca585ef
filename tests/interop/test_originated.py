"""`voipat call A B` with real phones: both talk, and who is called says why not."""

from __future__ import annotations

import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.rig.processes import wait_until
from bench.rig.server import VOIPAT, Server
from tests.interop.test_in_call import phones

pytestmark = pytest.mark.interop


def test_two_phones_are_connected(tmp_path: Path, server: Server) -> None:
    with ExitStack() as stack:
        one, three = phones(stack, tmp_path, server, "1001", "1003")
        command = [str(VOIPAT), "call", "1001", "1003", "--data", str(server.data)]
        asked = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        one.wait_for("CALL_INCOMING")
        one.command("accept")
        three.wait_for("CALL_INCOMING")
        three.command("accept")
        said, _ = asked.communicate(timeout=30)
        assert "1001 is called" in said and "1001 has answered and is led to 1003" in said and asked.returncode == 0
        wait_until(lambda: one.hears(1300.0), 20, "1001 hears 1003")
        wait_until(lambda: three.hears(700.0), 20, "1003 hears 1001")
        (up,) = server.rows("calls")
        server.cli("hangup", up["id"])
        for each in (one, three):
            each.wait_for("CALL_CLOSED")
        (row,) = wait_until(lambda: [row for row in server.rows("cdr") if row["ended"]], 20, "the CDR is complete")
        assert (row["caller"], row["callee"], row["disposition"]) == ("1001", "1003", "answered")
        refused = subprocess.run(
            [*command[:2], "1001", "4711", *command[4:]], capture_output=True, text=True, timeout=30
        )
        assert refused.returncode == 1 and refused.stderr.startswith("voipat: VP-3001")
        # Where the tests run in the background, SIGINT is ignored, and children inherit that.
        interruptible = ["env", "--default-signal=INT", *command]
        asked = stack.enter_context(subprocess.Popen(interruptible, stdout=subprocess.PIPE, text=True))
        assert asked.stdout is not None and "1001 is called" in asked.stdout.readline()
        one.wait_for("CALL_INCOMING", count=2)
        asked.send_signal(signal.SIGINT)
        one.wait_for("CALL_CLOSED", count=2)
        assert asked.wait(timeout=30) == 130
