"""How many answers all strangers together get: one bucket, of which those who behave like phones may take the last.

A budget per source does not hold a flood from many sources, least of all when they are forged. So all of those who
are not known share a bucket, and who is left without an answer when it runs low goes by rank:

- FIRST: who proved that it reads our answers (it brings a nonce of ours), who calls an emergency number, and who asks
  again as a phone does after silence (RFC 3261 §17.1: after 500 ms). Forged sources do none of that.
- QUIET: who asked for little lately. A phone that is switched on is that.
- BUSY: who asks all the time, or was wrong.

The last third of the bucket is for FIRST, the second one for QUIET and FIRST. A flood from hundreds of sources is BUSY
after ten requests of each: it takes the first third, and new phones are answered at once. A flood that never comes
twice from one address is QUIET: it takes two thirds, and a new phone is answered when it asks for the second time.
More sources than the rate, each as slow as a phone, cannot be told from phones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from sipcore.buckets import Bucket, Recent


class Rank(IntEnum):
    """Who is answered when there is not enough for all; the value is how many thirds of the bucket are spared."""

    FIRST = 0
    QUIET = 1
    BUSY = 2


@dataclass(frozen=True, slots=True)
class StrangerPolicy:
    """Answers a second to all strangers together, and what a source may ask for and still be QUIET.

    A thousand answers cost a tenth of a core; a city's phones that come back after a power cut are served within
    their retransmissions.
    """

    rate: float = 1000.0
    burst: float = 3000.0
    quiet_rate: float = 1.0
    quiet_burst: float = 10.0
    # A little less than T1; and as long as a transaction lasts (64*T1).
    again_after_s: float = 0.4
    again_within_s: float = 32.0
    # Of forged ones there are thousands a second: this is how many seconds a phone's first try is remembered.
    sources: int = 32_768


class Strangers:
    """The common bucket, and the little that is kept of each source."""

    def __init__(self, policy: StrangerPolicy | None = None) -> None:
        self._policy = policy or StrangerPolicy()
        self._common = Bucket(self._policy.burst, 0.0)
        self._quiet: Recent[str, Bucket] = Recent(self._policy.sources)
        self._waiting: Recent[str, float] = Recent(self._policy.sources)

    def rank(self, source: str, now: float, is_first: Callable[[], bool]) -> Rank | None:
        """As what `source` gets one more answer; None: it gets none. `is_first` is only asked when it matters."""
        policy = self._policy
        is_quiet = self._bucket(source, now).take(policy.quiet_rate, policy.quiet_burst, now)
        has_waited = self._waited(source, now)
        if is_quiet and has_waited and self._take(Rank.FIRST, now):
            self._waiting.remove(source)
            return Rank.FIRST
        if self._take(Rank.BUSY, now):
            return Rank.QUIET if is_quiet else Rank.BUSY
        if not is_quiet:
            return None
        if is_first() and self._take(Rank.FIRST, now):
            return Rank.FIRST
        if self._take(Rank.QUIET, now):
            return Rank.QUIET
        self.keep_waiting(source, now)
        return None

    def keep_waiting(self, source: str, now: float) -> None:
        """`source` gets no answer now; when it asks again it is FIRST."""
        since = self._waiting.get(source)
        if since is None or now - since > self._policy.again_within_s:
            self._waiting.put(source, now)

    def is_tight(self, now: float) -> bool:
        """Whether not all are answered now."""
        policy = self._policy
        return self._common.fill(policy.rate, policy.burst, now) < policy.burst * Rank.BUSY / 3 + 1.0

    def is_hopeless(self, source: str, now: float, is_plain: Callable[[], bool]) -> bool:
        """Whether `rank` would give None, as far as can be told before the request is read. Takes nothing.

        `is_plain`: nothing but having waited could make it FIRST. Only asked when it matters.
        """
        if not self.is_tight(now):
            return False
        if not self.is_quiet(source, now):
            return True
        some_left = self._common.tokens >= self._policy.burst * Rank.QUIET / 3 + 1.0
        if some_left or self._waited(source, now) or not is_plain():
            return False
        self.keep_waiting(source, now)
        return True

    def is_quiet(self, source: str, now: float) -> bool:
        """Whether `source` asked for little lately, and was right."""
        policy = self._policy
        return self._bucket(source, now).fill(policy.quiet_rate, policy.quiet_burst, now) >= 1.0

    def was_wrong(self, source: str, now: float) -> None:
        """A wrong password: one guess a second at the most is still QUIET."""
        self._bucket(source, now).tokens = 0.0

    def was_right(self) -> None:
        """Somebody authenticated, and is no stranger: what the request cost is given back."""
        self._common.give_back(self._policy.burst)

    def _waited(self, source: str, now: float) -> bool:
        policy, since = self._policy, self._waiting.get(source)
        return since is not None and policy.again_after_s <= now - since <= policy.again_within_s

    def _bucket(self, source: str, now: float) -> Bucket:
        found = self._quiet.get(source)
        return self._quiet.put(source, Bucket(self._policy.quiet_burst, now)) if found is None else found

    def _take(self, rank: Rank, now: float) -> bool:
        policy = self._policy
        return self._common.take(policy.rate, policy.burst, now, policy.burst * rank / 3)
