"""What to refuse when there is more work than time (RFC 3261 §21.5.4; RFC 7415 in spirit).

A pure policy: it is told how late things are (`sample`), and asked about each new request (`admits`). Lateness is
that of the event loop and of the socket's queue, not CPU time: whoever answers in time is not overloaded.

Once things are late, new work is limited to a rate, and the rate is regulated so that the queue stays near `target_s`:
never empty, so that the core has work all the time, and never so long that phones repeat. The queue is the sum of what
came too much, so a rule that only adds up lateness would swing; here what counts at once is the lateness itself, and
slowly its sum. Work is counted in units of a probe's.

`shed` says which part of each kind is over the rate, from 0 (nothing) to 5 (everything that may be refused): at 1.3 all
PROBEs and 30 % of REGISTRATIONs. Each `Kind` gets what those after it leave. Work under way is never shed: no kind
stands for requests in a dialog, ACK, BYE, CANCEL, responses, the refresh of a phone that is registered, or emergency
calls.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from sipcore.entropy import Entropy


class Kind(IntEnum):
    """What may be refused, the first first."""

    PROBE = 0
    REGISTRATION = 1
    CALL = 2
    KNOWN_CALL = 3
    # Answers our challenge: it was let in, and counted, when it came the first time.
    CHALLENGED_CALL = 4


@dataclass(frozen=True, slots=True)
class OverloadPolicy:
    """When the rate is limited, and how it is regulated.

    Phones repeat after 500 ms, and a call passes the queue three times until it is up.
    """

    target_s: float = 0.06
    # A pause that is over by itself is not worth a refusal: this late, and so many samples in a row.
    onset_s: float = 0.12
    samples: int = 3
    # At twice the target half of the rate is let in, at three times nothing, with an empty queue half more than it.
    swing: float = 0.5
    # How fast the rate itself grows with an empty queue, a second; it falls at most twice as fast.
    growth: float = 0.5
    # In time, and nothing refused, for so long: over.
    calm_s: float = 2.0
    # Later than this everything has been repeated already.
    hopeless_s: float = 1.0
    # The work of each kind, what follows from it included.
    work: tuple[float, ...] = (1.0, 2.0, 20.0, 20.0, 0.0)
    # Twenty calls a second are no load, whether at once or one after the other.
    least: float = 400.0
    # Samples over which requests are counted: a second.
    window: int = 20
    # Phones that were refused together must not come back together.
    retry_after: tuple[int, int] = (5, 30)
    longest_step_s: float = 0.1


_DEFAULT: Final = OverloadPolicy()


class Overload:
    """How much is shed now, and how often what was."""

    def __init__(self, entropy: Entropy, policy: OverloadPolicy = _DEFAULT) -> None:
        self._entropy = entropy
        self._policy = policy
        self._recent: deque[float] = deque(maxlen=policy.samples)
        self._sampled: float | None = None
        self._calm_since: float | None = None
        self._credit = [0.0] * len(Kind)
        self._asked = [0] * len(Kind)
        self._admitted = 0.0
        # Of the latest samples: their length, what was asked for, the work that was let in.
        self._window: deque[tuple[float, list[int], float]] = deque(maxlen=policy.window)
        # Work a second that is let in; None: all of it.
        self._limit: float | None = None
        self.shed = 0.0
        self.late_s = 0.0
        # Media that is late is not helped by refusing registrations, and is hurt by each call more.
        self.refuses_calls = False
        self.counters: Final[Counter[str]] = Counter()

    def sample(self, late_s: float, now: float) -> None:
        """Things are `late_s` late now. To be told some twenty times a second."""
        step = 0.0 if self._sampled is None else now - self._sampled
        self._count(step)
        self._sampled, self.late_s = now, late_s
        self._recent.append(late_s)
        if self._limit is None and not self._begins():
            return
        demand = self._demand()
        let_in = self._regulate(late_s, min(step, self._policy.longest_step_s), sum(demand))
        self.shed = 0.0 if self._is_little() else _over(demand, let_in)
        if late_s > self._policy.hopeless_s and self.shed:
            self.shed = float(len(Kind))
        if self._is_over(late_s, sum(demand), now):
            self._limit, self.shed = None, 0.0

    def admits(self, kind: Kind) -> bool:
        """Whether one more of this kind is let in. Shares are kept exactly, not by chance."""
        self._asked[kind] += 1
        if self.refuses_calls and kind >= Kind.CALL:
            self.counters["media_late_calls"] += 1
            return False
        refused = min(max(self.shed - kind, 0.0), 1.0)
        credit = self._credit[kind] + 1.0 - refused if refused else 1.0
        is_admitted = credit >= 1.0
        self._credit[kind] = credit - 1.0 if is_admitted else credit
        if is_admitted:
            self._admitted += self._policy.work[kind]
        else:
            self.counters[f"overload_{kind.name.lower()}"] += 1
        return is_admitted

    @property
    def is_watching(self) -> bool:
        """Whether new requests are to be asked about now; else all are let in."""
        return self.refuses_calls or self.shed > 0.0 or self._limit is not None or self.late_s > self._policy.target_s

    def refuse_calls(self, refuse: bool) -> None:
        """Let no new call in until further notice, or let them in again."""
        self.refuses_calls = refuse

    def retry_after(self) -> int:
        """Seconds for Retry-After."""
        low, high = self._policy.retry_after
        return min(int(self._entropy.uniform(low, high + 1)), high)

    def _count(self, step: float) -> None:
        if not self.is_watching:
            self._window.clear()
        elif step > 0.0:
            self._window.append((step, self._asked, self._admitted))
        self._asked, self._admitted = [0] * len(Kind), 0.0

    def _seconds(self) -> float:
        return sum(step for step, _, _ in self._window) or 1.0

    def _is_little(self) -> bool:
        """Whether less was asked for lately than is ever refused."""
        work = self._policy.work
        asked = sum(count * work[kind] for _, each, _ in self._window for kind, count in enumerate(each))
        return asked <= self._policy.least

    def _demand(self) -> list[float]:
        """The work a second of each kind that is asked for."""
        seconds = self._seconds()
        return [
            sum(asked[kind] for _, asked, _ in self._window) / seconds * work
            for kind, work in enumerate(self._policy.work)
        ]

    def _begins(self) -> bool:
        """Whether the rate has to be limited: first to what was let in while the queue grew."""
        policy = self._policy
        if len(self._recent) < policy.samples or min(self._recent) < policy.onset_s:
            return False
        let_in = sum(admitted for _, _, admitted in self._window) / self._seconds()
        self._limit, self._calm_since = max(let_in, policy.least), None
        return True

    def _regulate(self, late_s: float, step: float, demand: float) -> float:
        """The work a second that is let in until the next sample."""
        assert self._limit is not None, "set when this begins"
        policy = self._policy
        spare = 1.0 - late_s / policy.target_s
        swing = 1.0 + policy.swing * spare
        # Without any swing left it is at work already; and a rate that nobody asks for says nothing.
        if swing > 0.0 and (spare < 0.0 or self._limit < 1.5 * demand):
            self._limit = max(self._limit * (1.0 + policy.growth * step * spare), policy.least)
        return max(self._limit * swing, policy.least)

    def _is_over(self, late_s: float, demand: float, now: float) -> bool:
        assert self._limit is not None, "set when this begins"
        if late_s > self._policy.target_s or demand > self._limit:
            self._calm_since = None
        elif self._calm_since is None:
            self._calm_since = now
        return self._calm_since is not None and now - self._calm_since >= self._policy.calm_s


def _over(demand: list[float], let_in: float) -> float:
    """Which of the kinds are over that rate of work, the first first."""
    excess = sum(demand) - let_in
    if excess <= 0.0:
        return 0.0
    for kind, work in enumerate(demand):
        if work >= excess:
            return kind + excess / work
        excess -= work
    return float(Kind.CHALLENGED_CALL)
