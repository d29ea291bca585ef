"""Calls set up by sipp on both sides, media by a stamping generator: what voipat loses is counted end to end."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.rig import media
from bench.rig.server import Server
from tests.interop.media_calls import calls_with_media


@pytest.mark.slow
def test_two_hundred_calls_lose_no_packet(tmp_path: Path, server: Server, soak: bool) -> None:
    count, seconds = (200, 30) if soak else (100, 6)
    with calls_with_media(tmp_path, server, count, hold_ms=(seconds + 12) * 1000) as calls:
        result = media.run_phones(calls.streams, seconds)
        assert calls.caller.wait(60) == 0
    assert result["sent"] >= 2 * count * 50 * (seconds - 1)
    assert result["lost"] == 0
    assert server.stats()["ports"] == 0
