"""What to refuse when there is more work than time (RFC 3261 §21.5.4, RFC 7339 in spirit).

A pure policy: it is told how late things are (`sample`), and asked about each new request (`admits`). Lateness is
that of the event loop and of the socket's queue, not CPU time: whoever answers in time is not overloaded.

One number says how much is shed, from 0 (nothing) to 4 (everything that may be). Each `Kind` has one unit of it: at
1.3 all PROBEs and 30 % of REGISTRATIONs are refused. It stops at the last kind that there is enough of to matter: in
a flood of strangers' requests, refusing the few calls of known phones would win nothing. Work under way is never
shed: no kind stands for requests in a dialog, ACK, BYE, CANCEL, responses, the refresh of a phone that is
registered, or emergency calls.
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


@dataclass(frozen=True, slots=True)
class OverloadPolicy:
    """When shedding begins, how fast it grows and goes. Rates are kinds per second."""

    # Phones repeat after 500 ms: what waits for a tenth of that is late, but nobody has noticed yet.
    high_s: float = 0.06
    low_s: float = 0.02
    # A burst, or one long turn of the loop, is over after so many samples; only what stays is overload.
    samples: int = 3
    # At twice `high_s`; at most `steepest` times as fast.
    rise: float = 2.0
    steepest: float = 3.0
    # Slowly at first, to stay near the share that fits; after `calm_s` in time the overload is over.
    fall: float = 0.3
    calm_s: float = 2.0
    fall_calm: float = 2.0
    # Phones that were refused together must not come back together.
    retry_after: tuple[int, int] = (5, 30)
    longest_step_s: float = 0.1
    # A second: less than this is no load.
    worth: float = 20.0
    rate_window_s: float = 1.0


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
        self._rates = [0.0] * len(Kind)
        self.shed = 0.0
        self.late_s = 0.0
        # Media that is late is not helped by refusing registrations, and is hurt by each call more.
        self.refuses_calls = False
        self.counters: Final[Counter[str]] = Counter()

    def sample(self, late_s: float, now: float) -> None:
        """Things are `late_s` late now. To be told some twenty times a second."""
        policy = self._policy
        step = 0.0 if self._sampled is None else min(now - self._sampled, policy.longest_step_s)
        self._sampled = now
        self.late_s = late_s
        self._recent.append(late_s)
        self._count(step)
        if len(self._recent) < policy.samples:
            return
        if (lasting := min(self._recent)) > policy.high_s:
            self._calm_since = None
            self.shed = min(self.shed + self._rise(lasting) * step, self._most())
        elif max(self._recent) < policy.low_s:
            self._relax(now, step)
        else:
            self._calm_since = None

    def admits(self, kind: Kind) -> bool:
        """Whether one more of this kind is let in. Shares are kept exactly, not by chance."""
        self._asked[kind] += 1
        if self.refuses_calls and kind >= Kind.CALL:
            self.counters["media_late_calls"] += 1
            return False
        refused = min(max(self.shed - kind, 0.0), 1.0)
        if not refused:
            return True
        credit = self._credit[kind] + 1.0 - refused
        is_admitted = credit >= 1.0
        self._credit[kind] = credit - 1.0 if is_admitted else credit
        if not is_admitted:
            self.counters[f"overload_{kind.name.lower()}"] += 1
        return is_admitted

    @property
    def is_shedding(self) -> bool:
        """Whether anything at all is refused now."""
        return self.refuses_calls or self.shed > 0.0

    def refuse_calls(self, refuse: bool) -> None:
        """Let no new call in until further notice, or let them in again."""
        self.refuses_calls = refuse

    def retry_after(self) -> int:
        """Seconds for Retry-After."""
        low, high = self._policy.retry_after
        return min(int(self._entropy.uniform(low, high + 1)), high)

    def _count(self, step: float) -> None:
        share = step / self._policy.rate_window_s
        for kind, asked in enumerate(self._asked):
            if step > 0.0:
                self._rates[kind] += (asked / step - self._rates[kind]) * share
            self._asked[kind] = 0

    def _most(self) -> float:
        """All of the last kind that matters."""
        return 1.0 + max((kind for kind, rate in enumerate(self._rates) if rate >= self._policy.worth), default=0)

    def _rise(self, lasting: float) -> float:
        return self._policy.rise * min(lasting / self._policy.high_s - 1.0, self._policy.steepest)

    def _relax(self, now: float, step: float) -> None:
        if self._calm_since is None:
            self._calm_since = now
        is_over = now - self._calm_since >= self._policy.calm_s
        fall = self._policy.fall_calm if is_over else self._policy.fall
        self.shed = max(self.shed - fall * step, 0.0)
