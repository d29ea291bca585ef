"""Our own re-INVITE about who sends to whom: a call came to somebody else, or its other side is held or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sipcore.sdp import Direction
from voipat.changes import Message

if TYPE_CHECKING:
    from voipat.call import Call


def renegotiate(call: Call, direction: Direction = Direction.SENDRECV) -> None:
    """Offer the call's peer this direction, unless it is so; a peer that holds the call itself goes on with it."""
    change = _Direction(call, direction)
    if change.is_due():
        call.changes.add(change)


def bring_back_audio(call: Call) -> None:
    """Offer audio again to a peer that was to become a fax, and is none."""
    call.changes.add(_Audio(call))


class _Audio:
    def __init__(self, call: Call) -> None:
        self._call = call

    def message(self) -> Message | None:
        media = self._call.media
        return None if media is None else Message("INVITE", body=media.offer(beside=()))

    def done(self, status: int) -> None:
        """A peer that refuses its own audio has nothing left: the keepalive of the session ends it."""
        if status < 300 and self._call.bridge_ is not None:
            self._call.bridge_.connect()


class _Direction:
    def __init__(self, call: Call, direction: Direction) -> None:
        self._call = call
        self._direction = direction

    def is_due(self) -> bool:
        """Whether the session says something else."""
        media = self._call.media
        negotiated = None if media is None else media.negotiated
        return negotiated is not None and negotiated.direction is not self._direction

    def message(self) -> Message | None:
        media = self._call.media
        if media is None or not self.is_due():
            return None
        return Message("INVITE", body=media.offer((), self._direction))

    def done(self, status: int) -> None:
        """A refusal leaves the session as it was."""
        if status < 300 and self._call.bridge_ is not None:
            self._call.bridge_.connect()
