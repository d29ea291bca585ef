"""A video call of two baresips through the daemon: VP8 and its feedback go on as they came, beside the audio."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.rig.processes import wait_until
from tests.interop.baresip import Baresip
from tests.interop.phones import Office, talk

pytestmark = pytest.mark.interop


def test_the_picture_of_each_reaches_the_other(tmp_path: Path) -> None:
    with ExitStack() as stack:
        office = Office(tmp_path, stack)
        alice, bob = (office.phone(Baresip, user, "UDP", video=True) for user in ("1001", "1002"))
        for phone in (alice, bob):
            phone.wait_registered()
        office.connect(alice, bob)
        talk(alice, bob)
        alice.hang_up()
        rows = office.cdrs(1)
        wait_until(lambda: office.server.rows("cdr")[-1]["ended"], 20, "the call has its CDR")
        relayed = [rows[-1][leg]["beside"] for leg in ("a_leg", "b_leg")]
        for text in relayed:
            kind, codec, counts = (text or "").split(" ")
            received, sent = (int(count) for count in counts.split("/"))
            assert (kind, codec) == ("video", "VP8") and received > 10 and sent > 10
