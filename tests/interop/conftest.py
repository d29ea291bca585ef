from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.rig.server import Server

pytestmark = pytest.mark.interop


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path / "server")
    yield running
    running.close()
