"""A server of one core with one queue, and phones that call through it, in virtual time: what overload control acts on.

A message costs four times what `bench.signalling` measured, so that there are fewer of them. The rest is RFC 3261: a
call comes as an INVITE that is challenged and one with credentials, goes on with what those lead to, ends with BYE
after a while; an INVITE that nobody answers is repeated after T1, twice that, and so on.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from sipcore.entropy import SeededEntropy
from voipat.overload import Kind, Overload

T1: Final = 0.5
SAMPLE_S: Final = 0.05
ROUND_TRIP_S: Final = 0.002
# Milliseconds of the core. Of "invite" on, each follows from the one before.
FIRST: Final = 0.8
STAGES: Final = {"invite": 3.8, "180": 1.0, "200": 1.8, "ack": 0.76, "bye": 1.4, "bye 200": 0.32}
COST_S: Final = (FIRST + sum(STAGES.values())) / 1e3
CAPACITY: Final = 1.0 / COST_S
_NAMES: Final = tuple(STAGES)


@dataclass(slots=True)
class _Call:
    stage: str = "first"


@dataclass(slots=True)
class ModelledServer:
    """`pauses` are (when, seconds) in which the core does something else; `refusal_ms` is what a 503 costs."""

    hold_s: float = 0.2
    refusal_ms: float = 0.12
    pauses: Sequence[tuple[float, float]] = ()
    overload: Overload = field(default_factory=lambda: Overload(SeededEntropy(1)))
    now: float = 0.0
    # When each message waited how long, and when each call ended well.
    waits: list[tuple[float, float]] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    told: Counter[str] = field(default_factory=Counter)
    _queue: deque[tuple[float, str, _Call]] = field(default_factory=deque)
    _events: list[tuple[float, int, Callable[[float], None]]] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _random: random.Random = field(default_factory=lambda: random.Random(1))

    def run(self, rate: Callable[[float], float], seconds: float) -> None:
        """Calls at `rate(now)` a second, at random like those of many."""
        end, sample_at, pauses = self.now + seconds, self.now + SAMPLE_S, deque(self.pauses)
        self._at(self.now, lambda now: self._arrive(now, rate, end))
        while self.now < end:
            while self._events and self._events[0][0] <= self.now:
                when, _, happens = heapq.heappop(self._events)
                happens(when)
            if pauses and pauses[0][0] <= self.now:
                self.now += pauses.popleft()[1]
            elif self.now >= sample_at:
                oldest = self.now - self._queue[0][0] if self._queue else 0.0
                self.overload.sample(max(oldest, self.now - sample_at), self.now)
                sample_at = self.now + SAMPLE_S
            elif self._queue:
                self._serve(*self._queue.popleft())
            else:
                self.now = min([sample_at, *(at for at, _, _ in self._events[:1]), *(at for at, _ in list(pauses)[:1])])

    def goodput(self, begin: float, end: float) -> float:
        """Calls a second that ended well between these, over the capacity."""
        return sum(begin <= at < end for at in self.ended) / (end - begin) / CAPACITY

    def longest_wait(self, begin: float, end: float) -> float:
        return max((wait for at, wait in self.waits if begin <= at < end), default=0.0)

    def _arrive(self, now: float, rate: Callable[[float], float], end: float) -> None:
        self.told["offered"] += 1
        self._send(now, "first", _Call())
        following = now + self._random.expovariate(rate(now))
        if following < end:
            self._at(following, lambda now: self._arrive(now, rate, end))

    def _send(self, now: float, message: str, call: _Call, again_s: float = T1) -> None:
        """It joins the queue, and again after a while if it is an INVITE that got no answer."""
        self._queue.append((now, message, call))

        def repeat(now: float) -> None:
            if call.stage == message:
                self.told["repeated"] += 1
                self._send(now, message, call, 2 * again_s)

        if message in ("first", "invite") and again_s < 64 * T1:
            self._at(now + again_s, repeat)

    def _serve(self, arrived: float, message: str, call: _Call) -> None:
        self.waits.append((self.now, self.now - arrived))
        if message != call.stage:
            self._work(self.refusal_ms)  # a repetition
        elif message in ("first", "invite") and not self._admits(message):
            call.stage = "refused"
            self.told["refused" if message == "first" else "refused later"] += 1
            self._work(self.refusal_ms)
        else:
            self._work(FIRST if message == "first" else STAGES[message])
            self._follow(message, call)

    def _admits(self, message: str) -> bool:
        kind = Kind.CALL if message == "first" else Kind.CHALLENGED_CALL
        return not self.overload.is_watching or self.overload.admits(kind)

    def _follow(self, message: str, call: _Call) -> None:
        if message == _NAMES[-1]:
            call.stage = "ended"
            self.ended.append(self.now)
            return
        call.stage = _NAMES[0] if message == "first" else _NAMES[_NAMES.index(message) + 1]
        delay = self.hold_s if call.stage == "bye" else ROUND_TRIP_S
        self._at(self.now + delay, lambda now: self._send(now, call.stage, call))

    def _work(self, cost_ms: float) -> None:
        self.now += cost_ms / 1e3 * self._random.uniform(0.6, 1.4)

    def _at(self, when: float, what: Callable[[float], None]) -> None:
        """`what` is told when it was due: the core may be at work then, which keeps nobody from sending."""
        heapq.heappush(self._events, (when, next(self._numbers), what))
