"""The engine on a manual clock, fresh for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from media_bench import Bench

from media import Engine, ManualClock


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Engine(clock=ManualClock(wallclock=1_700_000_000.0), port_range=(20000, 20019)) as engine:
        yield Bench(engine)
