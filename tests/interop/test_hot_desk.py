"""A shared phone with real phones: log in by keys, ring there, call as the person, and all that over a kill -9."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.rig.processes import free_port, wait_until
from bench.rig.server import Server
from tests.interop.baresip import Baresip

pytestmark = pytest.mark.interop


def test_a_person_logs_in_at_the_desk_is_called_there_and_logs_out(tmp_path: Path, server: Server) -> None:
    with ExitStack() as stack:
        desk, friend = (_phone(stack, tmp_path, server, user) for user in ("1007", "1009"))
        desk.dial("*111003")
        desk.wait_talking()
        time.sleep(1.0)
        for digit in "1357#":
            desk.command("sndcode", digit)
            time.sleep(0.3)
        wait_until(lambda: server.rows("desks"), 10, "1003 is logged in")
        desk.wait_no_call()
        server.kill()
        server.start()
        (row,) = server.rows("desks")
        assert (row["tenant"], row["desk"], row["person"]) == ("office.test", "1007", "1003")
        friend.dial("1003")
        desk.answer()
        friend.wait_talking()
        friend.wait_heard(1.0)
        friend.hang_up()
        desk.wait_no_call()
        desk.dial("1009")
        told = friend.wait_for("CALL_INCOMING")
        assert told["peeruri"] == "sip:1003@office.test"
        desk.hang_up()
        assert "logged_out" in server.cli("desks", "--log-out", "office.test/1007", "--json")
        assert server.rows("desks") == []
        desk.dial("*12")
        desk.wait_for("CALL_CLOSED", count=3)
        newest = wait_until(lambda: [row for row in server.rows("cdr") if row["callee"] == "*12"], 10, "its CDR")
        assert (newest[0]["caller"], newest[0]["cause"]["id"]) == ("1007", "VP-3331")
        assert {(row["actor"], row["action"]) for row in server.rows("audit", "--tenant", "office.test")} == {
            ("1003", "desk-logged-in"),
            ("operator", "desk-logged-out"),
        }


def _phone(stack: ExitStack, directory: Path, server: Server, user: str) -> Baresip:
    phone = Baresip(
        directory / user, user=user, password=f"pass-{user}", server=server.address, port=free_port(run=5),
        frequency={"1007": 1300.0, "1009": 700.0}[user],
    )  # fmt: skip
    stack.callback(phone.close)
    phone.wait_registered()
    return phone
