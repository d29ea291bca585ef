"""The engine's clock is watched: late ticks close the door for new calls, and only for those."""

from __future__ import annotations

import asyncio
from math import inf

from media import Engine
from media.stats import Lateness
from sipcore.entropy import SeededEntropy
from voipat.events import MediaInTime, MediaLate
from voipat.media_watch import MediaWatch
from voipat.overload import Kind, Overload
from voipat.testing.loop import run_virtual

IN_TIME, HEARD = 2, 7  # ticks at most 1 ms late, and at most 50 ms


class Ticks:
    """An engine's histogram, and the watch that reads it."""

    def __init__(self) -> None:
        self.counts = [0] * 9
        self.told: list[MediaLate | MediaInTime] = []
        self.overload = Overload(SeededEntropy(1))

    def watch(self) -> MediaWatch:
        loop = asyncio.get_running_loop()
        return MediaWatch(loop, lambda: Lateness(tuple(self.counts)), self.overload.refuse_calls, self.told.append)

    async def pass_seconds(self, seconds: int, bucket: int = IN_TIME, count: int = 50) -> None:
        for _ in range(seconds):
            self.counts[bucket] += count
            await asyncio.sleep(1)


def test_late_ticks_refuse_new_calls_until_they_come_in_time() -> None:
    async def main() -> None:
        ticks = Ticks()
        watch = ticks.watch()
        await ticks.pass_seconds(10)
        assert not watch.is_late and watch.p99_ms == 1.0 and not ticks.overload.is_watching
        await ticks.pass_seconds(2, HEARD)
        assert watch.is_late and ticks.told == [MediaLate(50.0)]
        kinds = [ticks.overload.admits(kind) for kind in Kind]
        assert kinds == [True, True, False, False, False], "registrations do no harm to media"
        await ticks.pass_seconds(10)
        assert not watch.is_late and isinstance(ticks.told[-1], MediaInTime) and len(ticks.told) == 2
        assert all(ticks.overload.admits(kind) for kind in Kind)
        watch.close()
        await ticks.pass_seconds(5, HEARD)
        assert not watch.is_late

    run_virtual(main())


def test_one_late_tick_in_a_hundred_and_a_sleeping_engine_say_nothing() -> None:
    async def main() -> None:
        ticks = Ticks()
        watch = ticks.watch()
        await ticks.pass_seconds(3)
        await ticks.pass_seconds(1, HEARD, 1)
        assert not watch.is_late
        await ticks.pass_seconds(10, HEARD, 1)  # nobody talks but a moment
        assert not watch.is_late and watch.p99_ms == 0.0
        watch.close()

    run_virtual(main())


def test_an_engine_counts_its_ticks_and_how_late_they_came() -> None:
    with Engine(port_range=(19000, 19010)) as engine:
        engine.open_port("127.0.0.1", ssrc=1, sequence=1, timestamp=1)
        before = engine.lateness
        while engine.lateness.ticks < before.ticks + 5:  # the worker ticks without us
            pass
        passed = engine.lateness - before
        assert passed.ticks == sum(passed.counts) and min(passed.counts) >= 0
        assert passed.percentile_ms(0.0) <= passed.percentile_ms(1.0)


def test_percentiles_are_the_bounds_of_their_bucket() -> None:
    lateness = Lateness((90, 0, 0, 8, 0, 0, 0, 1, 1))
    assert [lateness.percentile_ms(part) for part in (0.5, 0.9, 0.98, 0.99, 1.0)] == [
        0.25,
        0.25,
        2.0,
        50.0,
        inf,
    ]
