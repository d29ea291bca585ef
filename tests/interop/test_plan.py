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
