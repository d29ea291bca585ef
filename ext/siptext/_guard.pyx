"""Token buckets, tables of recent sources, and what the guard knows of the sources that it meets at every message.

What they mean is told in `sipcore.buckets` and `sipcore.guard`, whose classes these are or are the base of. Here is only
what every request of a known phone asks; strangers, mistakes and bans are decided in Python.
"""

from collections import OrderedDict
from ipaddress import ip_address


cdef class Bucket:
    """Tokens that come back at a rate, up to a burst."""

    cdef public double tokens
    cdef public double updated

    def __init__(self, double tokens, double updated):
        self.tokens, self.updated = tokens, updated

    cpdef bint take(self, double rate, double burst, double now, double spared=0.0):
        """One token, unless fewer than `spared` would be left."""
        self.fill(rate, burst, now)
        if self.tokens < spared + 1.0:
            return False
        self.tokens -= 1.0
        return True

    cpdef double fill(self, double rate, double burst, double now):
        """What there is by now."""
        self.tokens = min(burst, self.tokens + (now - self.updated) * rate)
        self.updated = now
        return self.tokens

    cpdef give_back(self, double burst):
        """A token was taken for nothing."""
        self.tokens = min(self.tokens + 1.0, burst)


cdef class Recent:
    """A table of bounded size that forgets what was touched longest ago."""

    cdef Py_ssize_t _size
    cdef readonly object entries
    # An entry that is only looked at, and stays as old as it is.
    cdef readonly object peek

    def __init__(self, Py_ssize_t size):
        self._size = size
        # Not a dict: there the first entry is found by walking over all that were deleted before it.
        self.entries = OrderedDict()
        self.peek = self.entries.get

    cpdef object get(self, key):
        entry = self.peek(key)
        if entry is not None:
            self.entries.move_to_end(key)
        return entry

    cpdef object put(self, key, entry):
        entries = self.entries
        if key in entries:
            entries.move_to_end(key)
        elif len(entries) >= self._size:
            entries.popitem(last=False)
        entries[key] = entry
        return entry

    def remove(self, key):
        self.entries.pop(key, None)

    def items(self):
        return list(self.entries.items())


cdef class Sources:
    """Who is registered where, who is trusted, and the budgets of those; the base of `Guard`."""

    cdef readonly Recent _offenders
    cdef Recent _registered
    cdef Recent _buckets
    cdef Recent _is_trusted
    cdef tuple _trusted
    cdef double _rate
    cdef double _burst
    cdef Py_ssize_t _account_size

    def __init__(self, trusted, Py_ssize_t size, Py_ssize_t account_size, double rate, double burst):
        self._trusted = tuple(trusted)
        self._account_size = account_size
        self._rate, self._burst = rate, burst
        # Buckets are full again after seconds, and then they say nothing: a forged flood needs no more room.
        self._buckets = Recent(size // 4)
        self._offenders = Recent(size)
        self._registered = Recent(size)
        self._is_trusted = Recent(size)

    cpdef bint trusts(self, str source):
        """Whether `source` is in one of the networks that ask as much as they like."""
        if not self._trusted:
            return False
        known = self._is_trusted.get(source)
        if known is None:
            address = ip_address(source)
            known = self._is_trusted.put(source, any([address in network for network in self._trusted]))
        return known

    cpdef bint holds_registration(self, str source, double now):
        """Whether a phone is registered at `source`: it is no stranger."""
        until = self._registered.peek(source)
        return until is not None and <double>until > now

    cpdef bint is_known(self, str source, double now):
        """Whether a phone is registered at `source`, or it is trusted."""
        return self.holds_registration(source, now) or self.trusts(source)

    def registered(self, str source, double until):
        """`source` holds a good registration until then; the latest of several counts."""
        before = self._registered.peek(source)
        self._registered.put(source, until if before is None else max(until, <double>before))

    def passes(self, str source, str account not None, double now):
        """Whether a request passes that `account`, registered at `source`, sends (empty: the source asks for itself).

        Takes from the budget then. False says nothing yet: `Guard.admit` judges.
        """
        if self.trusts(source):
            return True
        if self._offenders.entries or not (account or self.holds_registration(source, now)):
            return False
        return self.take(self.budget(source, account), now)

    cpdef bint take(self, str budget, double now):
        """One request of this budget, unless it is used up."""
        found = self._buckets.get(budget)
        cdef Bucket bucket = self._buckets.put(budget, Bucket(self._burst, now)) if found is None else found
        return bucket.take(self._rate, self._burst, now)

    def is_banned(self, str source, str account not None, double now):
        """Whether `source`, or only `account` there, is banned."""
        return bool(self._offenders.entries) and self._banned(source, account, now) and not self.trusts(source)

    def may_guess(self, str source, str account not None, double now):
        """Whether credentials for `account` are looked at. Only wrong ones use up what it is allowed (`failed`)."""
        # Who is registered here already must not suffer from those who guess elsewhere.
        return self.is_known(source, now) or self._may_stranger_guess(source, account, now)

    def succeeded(self, str source, str account not None, double now):
        """`account` authenticated from `source`: what the request cost is given back, its mistakes are forgotten."""
        found = self._buckets.peek(self.budget(source, account)) or self._buckets.peek(source)
        if found is not None:
            (<Bucket>found).give_back(self._burst)
        if self._offenders.entries or not self.holds_registration(source, now):
            self._forget_mistakes(source, account, now)

    cpdef str budget(self, str source, str account):
        """Whose budget: the source's, or that of one of those who are registered there."""
        # The account is whatever a stranger wrote: it must not make the table big.
        return f"{source} {account[:self._account_size]}" if account else source
