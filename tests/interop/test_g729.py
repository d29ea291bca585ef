"""A phone that speaks G.729 alone: linphone, whose codec is bcg729 too, with a baresip that does not have it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from bench.rig.processes import free_port, wait_until
from bench.rig.server import Server
from tests.interop.baresip import Baresip
from tests.interop.linphone import Linphone
from tests.interop.test_encrypted_calls import baresip_heard, linphone_hears

pytestmark = pytest.mark.interop


def test_linphone_with_g729_and_baresip_without_it_are_transcoded(tmp_path: Path) -> None:
    settings = {"tenant.office.test.extensions.1001.codecs": "G729,PCMU"}
    with closing(Server(tmp_path / "server", **settings)) as server:
        phone = {"server": server.address, "directory": tmp_path / "1001", "user": "1001", "password": "pass-1001"}
        alice = Linphone(**phone, port=free_port(), frequency=440.0, codecs=["G729/8000"])
        phone = {"server": server.address, "directory": tmp_path / "1003", "user": "1003", "password": "pass-1003"}
        bob = Baresip(**phone, port=free_port(run=5), frequency=880.0, codecs=["PCMU/8000/1"])
        with closing(alice), closing(bob):
            alice.wait_registered()
            bob.wait_registered()
            bob.command("dial", "sip:1001@office.test")
            alice.answer()
            bob.wait_for("CALL_ESTABLISHED")
            linphone_hears(alice, 880.0, 8000)
            bob.wait_heard(2.5)
            bob.command("hangup")
            alice.wait_no_call()
            bob.close()
            baresip_heard(bob, 440.0)
        (row,) = wait_until(lambda: [row for row in server.rows("cdr") if row["ended"]], 10, "the CDR is complete")
        assert (row["a_leg"]["codec"], row["b_leg"]["codec"]) == ("PCMU", "G729")
