"""Two calls joined: their ports relayed, changes of the session and INFO carried from one to the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from voipat.call import Call


class Bridge:
    """The a_leg and the b_leg of a conversation."""

    def __init__(self, a_leg: Call, b_leg: Call) -> None:
        self.a_leg: Final = a_leg
        self.b_leg: Final = b_leg
        a_leg.bridge_ = b_leg.bridge_ = self
        for call in (a_leg, b_leg):
            if call.media is not None:
                call.media.relearn()

    def other(self, call: Call) -> Call:
        """The one at the other end."""
        return self.b_leg if call is self.a_leg else self.a_leg

    def connect(self) -> None:
        """Relay the media, as both sides describe it now."""
        if self.a_leg.media is not None and self.b_leg.media is not None:
            self.a_leg.media.connect(self.b_leg.media)

    def disconnect(self) -> None:
        """Part them."""
        for call in (self.a_leg, self.b_leg):
            call.bridge_ = None
            if call.media is not None:
                call.media.disconnect()
