"""Who owes whom an answer in a dialog: the rules of RFC 3264 §4, RFC 3311 §5 and RFC 6337 §2 as one small machine.

A description is an offer when none is pending, and the answer when one is. In an INVITE's transaction only the first
description of a reliable response counts: a 2xx may repeat it. A request that fails takes its offer with it.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sipcore.transaction import Transaction


class Pending(Enum):
    """Whose offer waits for its answer."""

    NONE = "none"
    OURS = "ours"
    THEIRS = "theirs"

    # Members are single; that of Enum is written in Python.
    __hash__ = object.__hash__


# What a description does: (pending before, whether we sent it) → pending after.
TRANSITIONS = {
    (Pending.NONE, True): Pending.OURS,
    (Pending.NONE, False): Pending.THEIRS,
    (Pending.OURS, True): Pending.OURS,
    (Pending.OURS, False): Pending.NONE,
    (Pending.THEIRS, True): Pending.NONE,
    (Pending.THEIRS, False): Pending.THEIRS,
}


class Negotiation:
    """The offer that is pending in one dialog, and the request that carries it."""

    __slots__ = ("_described", "owner", "pending")

    def __init__(self) -> None:
        self.pending = Pending.NONE
        self.owner: Transaction | None = None
        self._described: Transaction | None = None

    def close(self) -> None:
        """The dialog is gone. Its transactions know it: without this they would hold each other until the collector

        comes by.
        """
        self.pending = Pending.NONE
        self.owner = self._described = None

    def described(self, transaction: Transaction | None, *, ours: bool) -> None:
        """A description in a request, an ACK, or a reliable response."""
        self.pending = TRANSITIONS[self.pending, ours]
        self.owner = None if self.pending is Pending.NONE else transaction

    def responded(self, invite: Transaction, *, ours: bool) -> None:
        """A description in a reliable response to INVITE; one more in the same transaction says nothing new."""
        if self._described is not invite:
            self._described = invite
            self.described(invite, ours=ours)

    def finished(self, transaction: Transaction, *, is_success: bool) -> None:
        """The final response: a failure takes the offer with it, and so does a 2xx that should have answered."""
        if self.owner is transaction and not (is_success and self._described is transaction):
            self.pending = Pending.NONE
            self.owner = None

    def acknowledged(self) -> None:
        """The ACK, whether it had the answer or not: nothing of the INVITE is pending after it."""
        if self._described is not None and self.owner is self._described:
            self.pending = Pending.NONE
            self.owner = None
