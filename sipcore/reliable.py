"""Reliable provisional responses: RFC 3262, both roles; the queue of one INVITE, and what PRACK answers.

Invariants. At most one reliable response of an INVITE waits for its PRACK; what comes after it waits in line, and so
does the 2xx while a description is unacknowledged (§3, §5). RSeq starts at random and grows by one. The UAC takes
reliable responses in their order only, each once (§4).
"""

from __future__ import annotations

import re
from collections import deque
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

from sipcore.entropy import Entropy
from sipcore.message import Request, Response
from sipcore.timers import Clock
from sipcore.transaction import HeaderPairs, Transaction
from sipcore.values import made_in_c

if TYPE_CHECKING:
    from sipcore.dialog import Dialog

OPTION: Final = "100rel"
# Responses that wait for a PRACK; a phone that rings sends two or three in all. More are dropped and counted.
MAX_HELD: Final = 16

_RACK = re.compile(r"([0-9]{1,10})[ \t]+([0-9]{1,10})[ \t]+([A-Za-z0-9.!%*_+`'~-]+)")
_RSEQ = re.compile(r"[0-9]{1,10}")


@made_in_c
class Held(NamedTuple):
    """A response that waits for the PRACK of the one before it."""

    status: int
    reason: str | None
    headers: HeaderPairs
    body: bytes
    reliable: bool


class Provisionals(Clock):
    """The reliable provisional responses to one INVITE that we received."""

    __slots__ = ("dialog", "has_description", "held", "rseq", "transaction", "unacknowledged")

    def __init__(self, dialog: Dialog, transaction: Transaction, entropy: Entropy) -> None:
        self.dialog = dialog
        self.transaction = transaction
        # §3: "chosen uniformly between 1 and 2**31 - 1".
        self.rseq = entropy.uint32() % (2**31 - 2)
        self.unacknowledged = b""
        self.has_description = False
        self.held: deque[Held] = deque()

    def sent(self, data: bytes, now: float, *, has_description: bool) -> None:
        """A reliable response went out: it is repeated until its PRACK comes."""
        timers = self.transaction.timers
        self.unacknowledged = data
        self.has_description = has_description
        self.repeat(timers.t1, now)
        self.expire_at = now + timers.timeout

    def repeated(self, now: float) -> None:
        """§3: "an exponential backoff [...] doubling for each retransmission", without a longest interval."""
        self.repeat(self.interval * 2, now)

    def stop(self) -> None:
        """Repeat no more; a PRACK that is on its way still finds its response."""
        super().stop()
        self.held.clear()

    def holds_back(self, status: int, *, reliable: bool) -> bool:
        """Whether a response has to wait for the PRACK."""
        if not self.unacknowledged or self.repeat_at == inf:
            return False
        if status >= 300:
            return False
        return reliable if status < 200 else self.has_description or bool(self.held)

    def acknowledge(self, rack: tuple[int, int, str]) -> bool:
        """Whether this RAck names the response that waits (§3); it then waits no longer."""
        if not self.unacknowledged or rack != (self.rseq, self.transaction.cseq, "INVITE"):
            return False
        self.unacknowledged = b""
        self.repeat_at = self.expire_at = inf
        return True


def rack_of(request: Request) -> tuple[int, int, str] | None:
    """RAck of a PRACK: RSeq, CSeq number, method; None when it cannot be read."""
    found = _RACK.fullmatch((request.headers.get("RAck") or "").strip())
    return None if found is None else (int(found[1]), int(found[2]), found[3])


def takes_reliable(invite: Request) -> bool:
    """Whether the caller takes reliable provisional responses."""
    return invite.headers.has_element("Supported", OPTION) or wants_reliable(invite)


def wants_reliable(invite: Request) -> bool:
    """§3: the UAS then MUST send any non-100 provisional response reliably."""
    return invite.headers.has_element("Require", OPTION)


def reliable_number(response: Response) -> int | None:
    """The RSeq of a provisional response that wants a PRACK; None for all others."""
    if not 100 < response.status < 200 or not response.headers.has_element("Require", OPTION):
        return None
    value = (response.headers.get("RSeq") or "").strip()
    return int(value) if _RSEQ.fullmatch(value) else None


def is_next(dialog: Dialog, cseq: int, rseq: int) -> bool:
    """§4: whether the UAC may take this response now; one out of order "MUST NOT be acknowledged with a PRACK"."""
    last = dialog.last_reliable
    if last is not None and last[0] == cseq and rseq != last[1] + 1:
        return False
    dialog.last_reliable = cseq, rseq
    return True
