"""What a phone sets by a code is what the command line shows and routing follows."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from bench.rig.processes import free_port
from bench.rig.server import Server
from tests.interop.baresip import Baresip

pytestmark = pytest.mark.interop


def phone(directory: Path, server: Server, user: str) -> Baresip:
    return Baresip(
        directory / user, user=user, password=f"pass-{user}", server=server.address, port=free_port(run=5),
        frequency=1000.0,
    )  # fmt: skip


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
