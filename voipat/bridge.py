"""Two calls joined: their ports relayed, changes of the session and INFO carried from one to the other.

The handler of the a_leg waits in `over`. A transfer keeps the bridge up while the new target rings, and parts it when
somebody else takes a side.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from voipat.holding import is_apart, play_on_hold, stop_music

if TYPE_CHECKING:
    from voipat.call import Call
    from voipat.transfer import Transfer


class Bridge:
    """The a_leg and the b_leg of a conversation."""

    def __init__(self, a_leg: Call, b_leg: Call) -> None:
        self.a_leg: Final = a_leg
        self.b_leg: Final = b_leg
        self.transfer: Transfer | None = None
        # Whose place was taken, or who left when the other one went to somebody else.
        self.leaver: Call | None = None
        self._waiter: asyncio.Future[None] | None = None
        a_leg.bridge_ = b_leg.bridge_ = self
        for call in (a_leg, b_leg):
            if call.media is not None:
                call.media.relearn()

    def other(self, call: Call) -> Call:
        """The one at the other end."""
        return self.b_leg if call is self.a_leg else self.a_leg

    def connect(self) -> None:
        """Relay the media, as both sides describe it now; who is held by the other one hears music instead."""
        a_leg, b_leg = self.a_leg, self.b_leg
        if a_leg.media is None or b_leg.media is None or a_leg.bridge_ is not self:
            return
        # Before the music: what is played to a port takes the place of the relay.
        if any(is_apart(call) for call in (a_leg, b_leg)):
            a_leg.media.disconnect()
        with_music = [play_on_hold(call) for call in (a_leg, b_leg)]
        if not any(with_music) and not a_leg.is_held and not b_leg.is_held:
            a_leg.media.connect(b_leg.media)
            for mine, other in ((a_leg, b_leg), (b_leg, a_leg)):
                if mine.media is not None and other.media is not None and not mine.media.passes_digits(other.media):
                    mine.media.hear_keys()

    async def over(self) -> None:
        """Wait until either has ended, but for one that has asked for a transfer; or until they are parted."""
        while not self._is_over():
            waiter = self._waiter = self.a_leg.new_waiter()
            self.b_leg.wakes(waiter)
            try:
                await waiter
            finally:
                self.a_leg.no_longer_wakes(waiter)
                self.b_leg.no_longer_wakes(waiter)
                self._waiter = None

    def wake(self) -> None:
        """Something changed: look whether it is over."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def part(self, leaver: Call) -> None:
        """The other one goes to somebody else; `leaver` stays alone until it is hung up."""
        self.leaver, self.transfer = leaver, None
        self.disconnect()
        self.wake()

    def disconnect(self) -> None:
        """Part them, unless they are with somebody else already."""
        for call in (self.a_leg, self.b_leg):
            if call.bridge_ is self:
                call.bridge_ = None
                if not call.is_held:
                    stop_music(call)
                if call.media is not None:
                    call.media.disconnect()

    def _is_over(self) -> bool:
        if self.leaver is not None or self.a_leg.outcome is not None:
            return True
        return self.b_leg.outcome is not None and self.transfer is None
