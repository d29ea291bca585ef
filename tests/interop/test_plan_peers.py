"""The example's plan with real phones: a menu followed by a key, a forward set by a code, another tenant."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

from bench.rig.processes import free_port, wait_until
from bench.rig.server import Server
from tests.interop.baresip import Baresip
from tests.interop.tones import dominant_frequency


def phone(directory: Path, server: Server, user: str) -> Baresip:
    return Baresip(
        directory / user, user=user, password=f"pass-{user}", server=server.address, port=free_port(run=5),
        frequency=1000.0,
    )  # fmt: skip


def test_a_key_in_the_menu_rings_the_extension(tmp_path: Path, server: Server) -> None:
    with closing(phone(tmp_path, server, "1005")) as alice, closing(phone(tmp_path, server, "1002")) as bob:
        alice.wait_registered()
        bob.wait_registered()
        alice.command("dial", "sip:500@office.test")
        alice.wait_for("CALL_ESTABLISHED")
        time.sleep(1.0)
        alice.command("sndcode", "2")
        bob.wait_for("CALL_INCOMING")
        bob.command("accept")
        bob.wait_for("CALL_ESTABLISHED")
        time.sleep(2.0)
        alice.command("hangup")
        bob.wait_for("CALL_CLOSED")
        (row,) = wait_until(lambda: [row for row in server.rows("cdr") if row["ended"]], 5, "the CDR is complete")
    assert (row["callee"], row["disposition"], row["hangup_by"]) == ("500", "answered", "caller")
    assert 430 < dominant_frequency(alice.heard()[:3200]) < 1010


def test_a_forward_set_on_a_phone_is_seen_by_the_command_line_and_followed(tmp_path: Path, server: Server) -> None:
    with closing(phone(tmp_path, server, "1006")) as six, closing(phone(tmp_path, server, "1007")) as seven:
        six.wait_registered()
        seven.wait_registered()
        six.command("dial", "sip:*721007@office.test")
        six.wait_for("CALL_CLOSED")
        (shown,) = server.rows("show", "office.test/1006")
        assert shown["forward.always"] == "1007"
        (row,) = [row for row in server.rows("route", "1006", "--from", "1005") if row["rule"] == "outcome"]
        assert row["why"] == "extension 1007"
        server.rows("set", "office.test/1006", "forward.always=")
        (row,) = [row for row in server.rows("route", "1006", "--from", "1005") if row["rule"] == "outcome"]
        assert row["why"] == "extension 1006"


def test_a_call_is_parked_by_a_transfer_and_taken_back_at_its_slot(tmp_path: Path, server: Server) -> None:
    phones = [phone(tmp_path, server, user) for user in ("1001", "1006", "1007")]
    with closing(phones[0]) as one, closing(phones[1]) as six, closing(phones[2]) as seven:
        for each in phones:
            each.wait_registered()
        six.command("dial", "sip:1001@office.test")
        one.wait_for("CALL_INCOMING")
        one.command("accept")
        six.wait_for("CALL_ESTABLISHED")
        one.command("transfer", "sip:800@office.test")
        one.wait_for("CALL_CLOSED", 15.0)
        seven.command("dial", "sip:801@office.test")
        seven.wait_for("CALL_ESTABLISHED")
        time.sleep(2.0)
        assert 950 < dominant_frequency(seven.heard()[-8000:]) < 1050, "the tone of who was parked"
        seven.command("hangup")
        six.wait_for("CALL_CLOSED")


def test_a_call_that_rings_is_picked_up(tmp_path: Path, server: Server) -> None:
    phones = [phone(tmp_path, server, user) for user in ("1002", "1003", "1006")]
    with closing(phones[0]) as two, closing(phones[1]) as three, closing(phones[2]) as six:
        for each in phones:
            each.wait_registered()
        six.command("dial", "sip:1002@office.test")
        two.wait_for("CALL_INCOMING")
        three.command("dial", "sip:**1002@office.test")
        six.wait_for("CALL_ESTABLISHED")
        two.wait_for("CALL_CLOSED")
        time.sleep(2.0)
        assert 950 < dominant_frequency(three.heard()[-8000:]) < 1050
        three.command("hangup")
        six.wait_for("CALL_CLOSED")


def test_an_agent_of_the_queue_takes_a_caller(tmp_path: Path, server: Server) -> None:
    with closing(phone(tmp_path, server, "1004")) as four, closing(phone(tmp_path, server, "1006")) as six:
        four.wait_registered()
        six.wait_registered()
        six.command("dial", "sip:610@office.test")
        six.wait_for("CALL_ESTABLISHED")
        four.wait_for("CALL_INCOMING")
        time.sleep(1.0)
        four.command("accept")
        four.wait_for("CALL_ESTABLISHED")
        time.sleep(2.0)
        assert 950 < dominant_frequency(six.heard()[-8000:]) < 1050
        six.command("hangup")
        four.wait_for("CALL_CLOSED")
