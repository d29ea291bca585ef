"""Who may still ask: token buckets per source, and bans that grow, for requests that are not authenticated yet.

Everything is O(1) and in tables of bounded size; when one is full, the entry that was touched longest ago goes.
A failure counts only when the source proved that it reads our answers (`auth.Wrong` is such a proof): nobody can
get another's address banned. A source that holds a good registration is never banned; there the ban is on the pair
of source and account, so that one phone's mistakes, or an attacker behind the same NAT, cost nobody else.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Entry = TypeVar("Entry")

Network = IPv4Network | IPv6Network

_ACCOUNT_SIZE: Final = 128


class Admission(Enum):
    """What the guard says to one request."""

    ADMITTED = "admitted"
    LIMITED = "limited"
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
    # Per account, from all sources together that hold no registration: guessing from a thousand addresses is slow too.
    account_rate: float = 10.0
    account_burst: float = 100.0
    first_ban_s: float = 60.0
    longest_ban_s: float = 3600.0
    sources: int = 100_000
    # Answers to what nobody can serve: requests that cannot be read, and those for calls that nobody knows.
    stray_rate: float = 20.0
    stray_burst: float = 40.0


class Guard:
    """The memory of who asked too much and who failed too often."""

    def __init__(self, policy: GuardPolicy | None = None, *, trusted: Sequence[Network] = ()) -> None:
        self._policy = policy or GuardPolicy()
        self._trusted = tuple(trusted)
        size = self._policy.sources
        self._buckets: _Recent[str, _Bucket] = _Recent(size)
        self._offenders: _Recent[str | tuple[str, str], _Offender] = _Recent(size)
        self._accounts: _Recent[str, _Bucket] = _Recent(size)
        self._registered: _Recent[str, float] = _Recent(size)
        self._is_trusted: _Recent[str, bool] = _Recent(size)
        self._strays: _Recent[str, _Bucket] = _Recent(size)

    def admit(self, source: str, account: str, now: float) -> Admission:
        """Judge a request by where it comes from and the account that it names (empty: none)."""
        if self._trusts(source):
            return Admission.ADMITTED
        if self._banned(source, account, now):
            return Admission.BANNED
        if not self._take(source, now) or not self._take_account(source, account, now):
            return Admission.LIMITED
        return Admission.ADMITTED

    def answers_stray(self, source: str, now: float) -> bool:
        """Whether `source` gets one more answer to what nobody can serve; a banned one gets none."""
        if self._trusts(source):
            return True
        if self._banned(source, "", now):
            return False
        policy = self._policy
        bucket = self._strays.get(source)
        if bucket is None:
            bucket = self._strays.put(source, _Bucket(policy.stray_burst, now))
        return bucket.take(policy.stray_rate, policy.stray_burst, now)

    def failed(self, source: str, account: str, now: float) -> bool:
        """A wrong password or unknown user from `source`, with a nonce that it got from us. True when this bans."""
        if not self._policy.ban or self._trusts(source):
            return False
        key = _pair(source, account) if self._holds_registration(source, now) else source
        offender = self._offenders.get(key)
        if offender is None:
            offender = self._offenders.put(key, _Offender())
        return offender.fail(self._policy, now)

    def succeeded(self, source: str, account: str, now: float) -> None:
        """`account` authenticated from `source`: what the request cost is given back, its mistakes are forgotten."""
        bucket = self._buckets.get(source)
        if bucket is not None:
            bucket.tokens = min(bucket.tokens + 1.0, self._policy.burst)
        asked = self._accounts.get(account[:_ACCOUNT_SIZE])
        if asked is not None:
            asked.tokens = min(asked.tokens + 1.0, self._policy.account_burst)
        offender = self._offenders.get(_pair(source, account)) if self._offenders else None
        if offender is not None:
            offender.failures = 0.0

    def registered(self, source: str, until: float) -> None:
        """`source` holds a good registration until then; the latest of several counts."""
        self._registered.put(source, max(until, self._registered.get(source) or until))

    def banned(self, now: float) -> list[tuple[str, str, float]]:
        """The bans in force: source, account (empty: all of them), seconds left."""
        in_force = ((key, entry.until - now) for key, entry in self._offenders.items() if entry.until > now)
        return [(key, "", left) if isinstance(key, str) else (*key, left) for key, left in in_force]

    def forgive(self, source: str) -> None:
        """Lift the ban of a source, and of the accounts there."""
        for key, _ in self._offenders.items():
            if source in (key, key[0]):
                self._offenders.remove(key)

    def _trusts(self, source: str) -> bool:
        if not self._trusted:
            return False
        known = self._is_trusted.get(source)
        if known is None:
            address = ip_address(source)
            known = self._is_trusted.put(source, any(address in network for network in self._trusted))
        return known

    def _holds_registration(self, source: str, now: float) -> bool:
        until = self._registered.get(source)
        return until is not None and until > now

    def _banned(self, source: str, account: str, now: float) -> bool:
        if not self._offenders:
            return False
        whole = self._offenders.get(source)
        if whole is not None and whole.until > now and not self._holds_registration(source, now):
            return True
        pair = self._offenders.get(_pair(source, account))
        return pair is not None and pair.until > now

    def _take_account(self, source: str, account: str, now: float) -> bool:
        # Who is registered here already must not suffer from those who guess elsewhere.
        if not account or self._holds_registration(source, now):
            return True
        policy, key = self._policy, account[:_ACCOUNT_SIZE]
        bucket = self._accounts.get(key)
        if bucket is None:
            bucket = self._accounts.put(key, _Bucket(policy.account_burst, now))
        return bucket.take(policy.account_rate, policy.account_burst, now)

    def _take(self, source: str, now: float) -> bool:
        bucket = self._buckets.get(source)
        if bucket is None:
            bucket = self._buckets.put(source, _Bucket(self._policy.burst, now))
        return bucket.take(self._policy.rate, self._policy.burst, now)


def _pair(source: str, account: str) -> tuple[str, str]:
    # The account is whatever a stranger wrote: it must not make the table big.
    return source, account[:_ACCOUNT_SIZE]


@dataclass(slots=True)
class _Bucket:
    tokens: float
    updated: float

    def take(self, rate: float, burst: float, now: float) -> bool:
        self.tokens = min(burst, self.tokens + (now - self.updated) * rate)
        self.updated = now
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True


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


class _Recent(Generic[Key, Entry]):
    """A table of bounded size that forgets what was touched longest ago."""

    def __init__(self, size: int) -> None:
        self._size = size
        # Not a dict: there the first entry is found by walking over all that were deleted before it.
        self._entries: OrderedDict[Key, Entry] = OrderedDict()

    def get(self, key: Key) -> Entry | None:
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def put(self, key: Key, entry: Entry) -> Entry:
        if key not in self._entries and len(self._entries) >= self._size:
            self._entries.popitem(last=False)
        self._entries[key] = entry
        self._entries.move_to_end(key)
        return entry

    def remove(self, key: Key) -> None:
        self._entries.pop(key, None)

    def __bool__(self) -> bool:
        return bool(self._entries)

    def items(self) -> list[tuple[Key, Entry]]:
        return list(self._entries.items())
