"""Who may still ask: budgets per source and for all strangers together, and bans that grow, before authentication.

Everything is O(1) and in tables of bounded size; when one is full, the entry that was touched longest ago goes.
A failure counts only when the source proved that it reads our answers (`auth.Wrong` is such a proof): nobody can
get another's address banned. A source that holds a good registration is never banned; there the ban is on the pair
of source and account, so that one phone's mistakes, or an attacker behind the same NAT, cost nobody else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from sipcore._guard import Sources
from sipcore.buckets import Bucket, Recent
from sipcore.strangers import Rank, StrangerPolicy, Strangers

Network = IPv4Network | IPv6Network

_ACCOUNT_SIZE: Final = 128


def _never() -> bool:
    return False


class Admission(Enum):
    """What the guard says to one request."""

    ADMITTED = "admitted"
    FIRST = "first"
    LIMITED = "limited"
    UNANSWERED = "unanswered"
    BANNED = "banned"


@dataclass(frozen=True, slots=True)
class GuardPolicy:
    """How much is allowed. Rates are per source address, requests without valid credentials.

    A site of 500 phones behind one address that comes back from a power cut sends 1,000 requests at once.
    """

    rate: float = 200.0
    burst: float = 1000.0
    ban: bool = True
    failures: int = 10
    # A failure is forgiven after this time: a phone with an old password retries every minute or so.
    forgive_s: float = 60.0
    # Guesses per account, from all sources together that hold no registration: a thousand addresses guess slowly too.
    account_rate: float = 10.0
    account_burst: float = 100.0
    first_ban_s: float = 60.0
    longest_ban_s: float = 3600.0
    sources: int = 100_000
    # Answers to what nobody can serve: requests that cannot be read, and those for calls that nobody knows.
    stray_rate: float = 20.0
    stray_burst: float = 40.0
    strangers: StrangerPolicy = field(default_factory=StrangerPolicy)


class Guard(Sources):
    """The memory of who asked too much and who failed too often.

    What every request of a known phone asks is answered by `Sources`, in C (`ext/siptext/_guard.pyx`); it calls
    `_banned`, `_may_stranger_guess` and `_forget_mistakes` for the rest.
    """

    def __init__(self, policy: GuardPolicy | None = None, *, trusted: Sequence[Network] = ()) -> None:
        self._policy = policy = policy or GuardPolicy()
        super().__init__(trusted, policy.sources, _ACCOUNT_SIZE, policy.rate, policy.burst)
        self._accounts: Recent[str, Bucket] = Recent(policy.sources)
        self._strays: Recent[str, Bucket] = Recent(policy.sources // 4)
        self._strangers = Strangers(policy.strangers)

    def admit(self, source: str, now: float, *, account: str = "", is_first: Callable[[], bool] = _never) -> Admission:
        """Judge a request by where it comes from.

        `account`: who has a phone registered there and sends this; each of those has a budget of its own. `is_first`
        is asked about a stranger when not all are answered (`strangers.Rank`).
        """
        if self.trusts(source):
            return Admission.ADMITTED
        if self._offenders.entries and self._banned(source, account, now):
            return Admission.BANNED
        is_known = bool(account) or self.holds_registration(source, now)
        rank = None if is_known else self._strangers.rank(source, now, is_first)
        if rank is None and not is_known:
            return Admission.UNANSWERED
        if not self.take(self.budget(source, account), now):
            return Admission.LIMITED
        return Admission.FIRST if rank is Rank.FIRST else Admission.ADMITTED

    def ignores(self, source: str, now: float, is_plain: Callable[[], bool]) -> bool:
        """Whether a new request of a stranger need not even be read: `admit` would be BANNED or UNANSWERED.

        `is_plain`: it is not urgent and brings no nonce (`strangers.Strangers.is_hopeless`).
        """
        return self._banned(source, "", now) or self._strangers.is_hopeless(source, now, is_plain)

    def _may_stranger_guess(self, source: str, account: str, now: float) -> bool:
        policy = self._policy
        left = self._guesses(account, now).fill(policy.account_rate, policy.account_burst, now)
        # The last third is for those who were not wrong yet: a phone that starts while others guess its password.
        spared = 0.0 if self._strangers.is_quiet(source, now) else policy.account_burst / 3
        return left >= spared + 1.0

    def answers_stray(self, source: str, now: float) -> bool:
        """Whether `source` gets one more answer to what nobody can serve; a banned one gets none."""
        if self.trusts(source):
            return True
        if self._banned(source, "", now):
            return False
        policy = self._policy
        bucket = self._strays.get(source)
        if bucket is None:
            bucket = self._strays.put(source, Bucket(policy.stray_burst, now))
        if not bucket.take(policy.stray_rate, policy.stray_burst, now):
            return False
        return self.holds_registration(source, now) or self._strangers.rank(source, now, _never) is not None

    def leaves_waiting(self, source: str, now: float) -> bool:
        """Whether `source`, refused for overload, is not even told: it is one of a flood. It is FIRST the next time."""
        if self.is_known(source, now):
            return False
        if not self._strangers.is_tight(now):
            return not self.answers_stray(source, now)
        self._strangers.keep_waiting(source, now)
        return True

    def is_busy_stranger(self, source: str, now: float) -> bool:
        """Whether `source` is nobody that we know, and asks all the time or was wrong."""
        return not self.is_known(source, now) and not self._strangers.is_quiet(source, now)

    def failed(self, source: str, account: str, now: float) -> bool:
        """A wrong password or unknown user from `source`, with a nonce that it got from us. True when this bans."""
        if self.trusts(source):
            return False
        policy = self._policy
        is_known = self.holds_registration(source, now)
        if not is_known:
            self._guesses(account, now).take(policy.account_rate, policy.account_burst, now)
            self._strangers.was_wrong(source, now)
        if not policy.ban:
            return False
        key = _pair(source, account) if is_known else source
        offender: _Offender | None = self._offenders.get(key)
        if offender is None:
            offender = self._offenders.put(key, _Offender())
        return offender.fail(policy, now)

    def _forget_mistakes(self, source: str, account: str, now: float) -> None:
        if not self.holds_registration(source, now):
            self._strangers.was_right()
        offender = self._offenders.get(_pair(source, account)) if self._offenders.entries else None
        if offender is not None:
            offender.failures = 0.0

    def banned(self, now: float) -> list[tuple[str, str, float]]:
        """The bans in force: source, account (empty: all of them), seconds left."""
        in_force = ((key, entry.until - now) for key, entry in self._offenders.items() if entry.until > now)
        return [(key, "", left) if isinstance(key, str) else (*key, left) for key, left in in_force]

    def forgive(self, source: str) -> None:
        """Lift the ban of a source, and of the accounts there."""
        for key, _ in self._offenders.items():
            if source in (key, key[0]):
                self._offenders.remove(key)

    def _banned(self, source: str, account: str, now: float) -> bool:
        whole = self._offenders.get(source)
        if whole is not None and whole.until > now and not self.holds_registration(source, now):
            return True
        pair = self._offenders.get(_pair(source, account))
        return pair is not None and pair.until > now

    def _guesses(self, account: str, now: float) -> Bucket:
        key = account[:_ACCOUNT_SIZE]
        return self._accounts.get(key) or self._accounts.put(key, Bucket(self._policy.account_burst, now))


def _pair(source: str, account: str) -> tuple[str, str]:
    # The account is whatever a stranger wrote: it must not make the table big.
    return source, account[:_ACCOUNT_SIZE]


@dataclass(slots=True)
class _Offender:
    failures: float = 0.0
    updated: float = 0.0
    until: float = 0.0
    length: float = 0.0

    def fail(self, policy: GuardPolicy, now: float) -> bool:
        self.failures = max(0.0, self.failures - (now - self.updated) / policy.forgive_s) + 1.0
        self.updated = now
        if self.failures < policy.failures:
            return False
        # Peace for as long as the longest ban, and the next one is short again.
        peaceful = not self.length or now - self.until > policy.longest_ban_s
        self.length = policy.first_ban_s if peaceful else min(self.length * 2, policy.longest_ban_s)
        self.until = now + self.length
        self.failures = 0.0
        return True
