"""A real phone that asks a queue to be called back is called back, and talks with the agent."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from bench.rig.processes import wait_until
from bench.rig.server import Server
from tests.interop.test_in_call import FREQUENCIES, phones

pytestmark = pytest.mark.interop

QUEUE = "tenant.office.test.queue.610"


def test_a_real_phone_presses_1_and_is_called_back(tmp_path: Path) -> None:
    settings = {f"{QUEUE}.callback": "true", f"{QUEUE}.agents": "1003"}
    with ExitStack() as stack:
        server = stack.enter_context(closing(Server(tmp_path / "server", **settings)))
        agent, caller = phones(stack, tmp_path, server, "1003", "1001")
        server.cli("set", "office.test/1003", "queue.paused=on")
        caller.command("dial", "sip:610@office.test")
        caller.wait_for("CALL_ESTABLISHED")
        caller.wait_heard(1.0)
        caller.press("1")
        caller.wait_for("CALL_CLOSED", timeout=20)
        waiting = [(row["kind"], row["number"]) for row in server.rows("queues", "610")]
        assert waiting == [("callback", "1001"), ("agent", "1003")]
        server.cli("set", "office.test/1003", "queue.paused=off")
        caller.wait_for("CALL_INCOMING", timeout=20)
        caller.command("accept")
        caller.wait_for("CALL_ESTABLISHED", count=2)
        caller.press("1")
        agent.wait_for("CALL_INCOMING", timeout=20)
        agent.command("accept")
        wait_until(lambda: caller.hears(FREQUENCIES["1003"]), 20, "the caller hears the agent")
        wait_until(lambda: agent.hears(FREQUENCIES["1001"]), 20, "the agent hears the caller")
        caller.command("hangup")
        agent.wait_for("CALL_CLOSED", timeout=20)
        (row,) = server.rows("queues")
        assert (row["offered"], row["callbacks"], row["called_back"], row["waiting"]) == (1, 1, 1, 0)
