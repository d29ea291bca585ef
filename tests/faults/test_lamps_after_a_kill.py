"""The daemon dies by `kill -9` and starts again: the lamps of the phones go on without a word from them (B12, B15)."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from bench.rig.server import Server
from tests.faults.phone_by_hand import PhoneByHand

pytestmark = pytest.mark.slow


def states(body: str) -> list[str]:
    return re.findall(r"<state>(\w+)</state>", body)


def test_a_lamp_goes_on_after_a_kill(tmp_path: Path) -> None:
    server = Server(tmp_path)
    try:
        at = ("127.0.0.1", server.port)
        with (
            PhoneByHand("127.0.2.1", at, "1003", "pass-1003") as watcher,
            PhoneByHand("127.0.2.2", at, "1002", "pass-1002") as watched,
        ):
            assert watcher.register() == "" and watched.register() == ""
            assert states(watcher.watch("1002")) == []
            time.sleep(0.5)  # its row is on the disk after a group commit
            server.kill()
            server.start()
            assert states(watcher.notified(watcher.watching, limit=10.0)) == []
            watched.dial("*43", 40000)
            seen: list[str] = []
            while "confirmed" not in seen:
                seen += states(watcher.notified(watcher.watching, limit=10.0))
            assert watched.hang_up() == ""
            while seen[-1] != "terminated":
                seen += states(watcher.notified(watcher.watching, limit=10.0))
    finally:
        server.close()
