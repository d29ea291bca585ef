"""A call that goes in a circle ends here: RFC 5806, RFC 7044, RFC 5393 and RFC 7332 for back-to-back user agents.

Max-Forwards ends a circle after seventy legs; a circle of forwards rings phones on its way, and may cost money each
time. So a call ends after ten forwards, counted over all that it says of its past; and one that says nothing, because
no trunk on its way is trusted with it, ends when it comes around: it is there already, unanswered, several times, each
time with as many hops less.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Final, NamedTuple

from pbx.diversions import count_of
from voipat import Call, Rejected, TrunkIdentity, reasons

MAX_FORWARDS: Final = 10
# Three times around with two PBXs are eight legs. Fewer, and callers who only look alike would be refused.
ROUNDS: Final = 3
# Of a peer that begins anew with Max-Forwards each round looks all the same: with a caller's number so many are a loop.
MAX_ALIKE: Final = 30
_INITIAL_HOPS: Final = 70


def forwards_of(call: Call) -> int:
    """How often a call was forwarded before it came here, as Diversion and History-Info say."""
    identity = call.identity
    diversions = identity.diversions if isinstance(identity, TrunkIdentity) else ()
    told = max(sum(map(count_of, diversions)), sum(map(count_of, call.header_values("Diversion"))))
    return max(told, len(call.header_values("History-Info")) - 1)


def refuse_loop(call: Call, forwarded: int = 0) -> None:
    """Raises: Rejected with 482 when the call's past and `forwarded` more forwards of ours are too many."""
    if forwards_of(call) + forwarded > MAX_FORWARDS:
        raise Rejected(reasons.CALL_LOOP)


class _Way(NamedTuple):
    """What stays the same of a call that comes around."""

    tenant: str
    trunk: str
    called: str
    caller: str


class Transit:
    """Calls from a trunk that are on their way out by one, unanswered."""

    def __init__(self) -> None:
        # The hops left to each, in the order in which they came. As many entries as such calls.
        self._waiting: dict[_Way, list[int]] = {}

    @contextmanager
    def passing(self, call: Call) -> Iterator[None]:
        """While a call is sent out. Raises: Rejected with 482 when it has come around."""
        identity = call.identity
        if not isinstance(identity, TrunkIdentity):
            yield
            return
        way, left = _Way(identity.tenant, identity.trunk, identity.did, identity.user), _hops_left(call)
        waiting = self._waiting.setdefault(way, [])
        if _came_around(waiting, left, is_known=bool(way.caller)):
            raise Rejected(reasons.CALL_LOOP)
        waiting.append(left)
        try:
            yield
        finally:
            waiting.remove(left)
            if not waiting:
                self._waiting.pop(way, None)


def _came_around(waiting: list[int], left: int, *, is_known: bool) -> bool:
    """Whether the latest of `waiting` and a call with `left` hops are one, each time as many hops further."""
    if is_known and len(waiting) >= MAX_ALIKE:
        return True
    if len(waiting) < ROUNDS:
        return False
    step = waiting[-1] - left
    # Callers without a number look alike, and their calls may differ by one hop; a circle of two PBXs is two hops.
    if step < (1 if is_known else 2):
        return False
    before = waiting[-ROUNDS:]
    return all(earlier - later == step for earlier, later in pairwise(before))


def _hops_left(call: Call) -> int:
    text = call.header("Max-Forwards") or ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 4 else _INITIAL_HOPS
