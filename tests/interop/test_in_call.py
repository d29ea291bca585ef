"""Within a call with real phones: transfers by code, recording by rule and by code, and the recording exported."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from bench.rig.processes import free_port, wait_until
from bench.rig.server import Server
from tests.interop.baresip import Baresip
from tests.interop.tones import dominant_frequency

pytestmark = pytest.mark.interop

FREQUENCIES = {"1001": 700.0, "1005": 1000.0, "1003": 1300.0}


def phones(stack: ExitStack, directory: Path, server: Server, *users: str) -> list[Baresip]:
    found = []
    for user in users:
        one = Baresip(
            directory / user, user=user, password=f"pass-{user}", server=server.address, port=free_port(run=5),
            frequency=FREQUENCIES[user],
        )  # fmt: skip
        stack.callback(one.close)
        found.append(one)
    for one in found:
        one.wait_registered()
    return found


def talk(caller: Baresip, callee: Baresip) -> None:
    caller.command("dial", f"sip:{callee.user}@office.test")
    callee.wait_for("CALL_INCOMING")
    callee.command("accept")
    caller.wait_for("CALL_ESTABLISHED")


def wait_announced(server: Server) -> None:
    wait_until(lambda: server.rows("recordings", "list"), 8, "it is recorded, after the announcement")


def speak(listener: Baresip, seconds: float) -> None:
    """Until it has heard so much more."""
    listener.mark()
    wait_until(lambda: len(listener.heard()) >= 8000 * seconds, seconds + 8, f"{listener.user} hears {seconds} s")
    listener.unmark()


def test_a_blind_transfer_by_code(tmp_path: Path, server: Server) -> None:
    with ExitStack() as stack:
        one, five, three = phones(stack, tmp_path, server, "1001", "1005", "1003")
        talk(one, five)
        wait_announced(server)
        one.press("##")
        wait_until(lambda: not five.hears(700.0), 8, "1005 hears music")
        one.press("1003")
        three.wait_for("CALL_INCOMING")
        three.command("accept")
        one.wait_for("CALL_CLOSED")
        wait_until(lambda: five.hears(1300.0), 8, "1005 hears 1003")
        wait_until(lambda: three.hears(1000.0), 8, "1003 hears 1005")
        three.command("hangup")
        five.wait_for("CALL_CLOSED")


def test_an_attended_transfer_by_code(tmp_path: Path, server: Server) -> None:
    with ExitStack() as stack:
        one, five, three = phones(stack, tmp_path, server, "1001", "1005", "1003")
        talk(five, one)
        wait_announced(server)
        one.press("*2")
        wait_until(lambda: not five.hears(700.0), 8, "1005 hears music")
        one.press("1003")
        three.wait_for("CALL_INCOMING")
        three.command("accept")
        wait_until(lambda: three.hears(700.0), 8, "1003 hears 1001")
        one.command("hangup")
        wait_until(lambda: five.hears(1300.0), 8, "1005 hears 1003")
        five.command("hangup")
        three.wait_for("CALL_CLOSED")


def test_calls_of_1005_are_recorded_and_exported(tmp_path: Path, server: Server) -> None:
    with ExitStack() as stack:
        one, five = phones(stack, tmp_path, server, "1001", "1005")
        talk(one, five)
        wait_announced(server)
        speak(five, 2.0)
        one.command("hangup")
        five.wait_for("CALL_CLOSED")
        (row,) = wait_until(lambda: [r for r in server.rows("recordings", "list") if r["state"] == "kept"], 5, "kept")
        (cdr,) = wait_until(lambda: [r for r in server.rows("cdr") if r["ended"]], 5, "the CDR is complete")
        assert cdr["recording"] == row["id"] and cdr["linked_id"] == row["call"] and cdr["route"] == "extension 1005"
        assert (row["owner"], row["rule"]) == ("1005", "1005")
        target = tmp_path / "out.wav"
        server.cli("recordings", "export", row["id"], "--output", str(target))
        said = np.frombuffer(target.read_bytes()[44:], "<i2").reshape(-1, 2)[-12000:-4000]
        assert abs(dominant_frequency(said[:, 0]) - 1000.0) < 10, "what 1005 said"
        assert abs(dominant_frequency(said[:, 1]) - 700.0) < 10, "what it was told"
        assert b"VPck" in next((tmp_path / "server").rglob("recordings/*/*.sealed")).read_bytes()
        server.cli("recordings", "delete", row["id"])
        assert server.rows("recordings", "list") == []
        done = [(each["actor"], each["action"], each["object"]) for each in server.rows("audit")]
        assert done == [("operator", "recording-deleted", row["id"]), ("operator", "recording-heard", row["id"])]
        assert server.cli("recordings", "show", row["id"], check=False) == ""


def test_a_recording_on_demand(tmp_path: Path, server: Server) -> None:
    with ExitStack() as stack:
        one, three = phones(stack, tmp_path, server, "1001", "1003")
        talk(one, three)
        began = time.monotonic()
        one.press("*1")
        wait_announced(server)
        speak(three, 1.5)
        one.press("*1")
        (row,) = wait_until(lambda: [r for r in server.rows("recordings", "list") if r["state"] == "kept"], 8, "kept")
        assert (row["owner"], row["rule"]) == ("1001", "on demand") and 1.0 < row["seconds"] < time.monotonic() - began
        one.command("hangup")
        three.wait_for("CALL_CLOSED")
