"""Intercom and paging with real phones: one whose account answers by itself, and one that rings.

baresip 1.0.0 answers by itself when its account says so, whatever the INVITE has; that each brand is asked in the words
that it reads is tests/sim/test_paging.py's.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.rig.processes import free_port
from bench.rig.server import Server
from tests.interop.baresip import Baresip
from tests.interop.tones import dominant_frequency

pytestmark = pytest.mark.interop

ACCOUNT = '<sip:{user}@office.test>;auth_user={user};auth_pass=pass-{user};outbound="sip:{at}";answermode={mode}'
TONES = {"1002": 900.0, "1003": 500.0, "1004": 700.0}


def test_a_phone_that_answers_by_itself_is_talked_to_and_paged_and_one_that_rings_is_left_out(
    tmp_path: Path, server: Server
) -> None:
    with ExitStack() as stack:
        caller, willing, deaf = (
            _phone(stack, tmp_path, server, user, mode)
            for user, mode in (("1003", "manual"), ("1002", "auto"), ("1004", "manual"))
        )
        caller.dial("*801002")
        caller.wait_talking()
        caller.wait_heard(1.0)
        assert abs(dominant_frequency(caller.heard()[-4000:]) - TONES["1002"]) < 10
        caller.hang_up()
        caller.wait_for("CALL_CLOSED")
        caller.dial("820")
        deaf.wait_for("CALL_INCOMING")
        willing.wait_for("CALL_ESTABLISHED", count=2)
        willing.wait_heard(1.0)
        assert abs(dominant_frequency(willing.heard()[-4000:]) - TONES["1003"]) < 10, "who is paged hears who pages"
        deaf.wait_for("CALL_CLOSED")
        assert not deaf.seen("CALL_ESTABLISHED")
        caller.hang_up()
        willing.wait_for("CALL_CLOSED", count=2)


def _phone(stack: ExitStack, directory: Path, server: Server, user: str, mode: str) -> Baresip:
    account = ACCOUNT.format(user=user, at=f"{server.address};transport=udp", mode=mode)
    phone = Baresip(
        directory / user, user=user, password=f"pass-{user}", server=server.address, port=free_port(run=5),
        frequency=TONES[user], accounts=f"{account};audio_codecs=PCMU/8000/1,PCMA/8000/1;regint=120\n",
    )  # fmt: skip
    stack.callback(phone.close)
    phone.wait_registered()
    return phone
