"""The engine's clock, watched: ticks that come late are heard as gaps, and more calls would make it worse."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from media.stats import Lateness
from voipat.events import MediaInTime, MediaLate


@dataclass(frozen=True, slots=True)
class WatchPolicy:
    """When media is late: `high_ms` at the 99th percentile of `window_s`; and in time again: `low_ms`.

    A phone's jitter buffer takes up a packet of 20 ms without a sound; the rated figure is 2 ms.
    """

    window_s: int = 5
    high_ms: float = 20.0
    low_ms: float = 10.0
    # Fewer ticks than this in a window say nothing: the worker sleeps when nobody talks.
    worth: int = 100


class MediaWatch:
    """Reads the histogram of tick lateness once a second; `shed` is told whether calls are to be refused.

    `p99_ms` is of the latest window, 0 while there is nothing to tell.
    """

    INTERVAL_S: Final = 1.0

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        lateness: Callable[[], Lateness],
        shed: Callable[[bool], None],
        publish: Callable[[MediaLate | MediaInTime], None],
        policy: WatchPolicy = WatchPolicy(),
    ) -> None:
        self._loop = loop
        self._lateness = lateness
        self._shed = shed
        self._publish = publish
        self._policy = policy
        self._snapshots: deque[Lateness] = deque([lateness()], maxlen=policy.window_s + 1)
        self._late_since: float | None = None
        self.p99_ms = 0.0
        self._timer = loop.call_later(self.INTERVAL_S, self._look)

    @property
    def is_late(self) -> bool:
        """Whether it is now."""
        return self._late_since is not None

    def close(self) -> None:
        """Stop watching."""
        self._timer.cancel()

    def _look(self) -> None:
        self._timer = self._loop.call_later(self.INTERVAL_S, self._look)
        self._snapshots.append(self._lateness())
        window = self._snapshots[-1] - self._snapshots[0]
        has_enough = window.ticks >= self._policy.worth
        self.p99_ms = window.percentile_ms(0.99) if has_enough else 0.0
        now = self._loop.time()
        if self._late_since is None and self.p99_ms > self._policy.high_ms:
            self._late_since = now
            self._shed(True)
            self._publish(MediaLate(self.p99_ms))
        elif self._late_since is not None and self.p99_ms <= self._policy.low_ms:
            since, self._late_since = self._late_since, None
            self._shed(False)
            self._publish(MediaInTime(now - since))
