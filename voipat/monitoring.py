"""Who hears a conversation of others: it listens, whispers to one side, or speaks with both.

    target ──heard──▶ ┌─────┐ ──▶ who monitors            always
    other  ──heard──▶ │ sum │ ──▶ target  (other + who)   whisper, barge
    who    ──heard──▶ └─────┘ ──▶ other   (target + who)  barge

The bridge relays as before; what is whispered is said instead of it, 20 ms at a time and about 0.1 s later. Nothing is
opened on a side that hears nothing of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray

from media import CodecMissingError
from media.tap import Speaking, Tap
from voipat import reasons
from voipat.errors import Rejected
from voipat.taking import pause

if TYPE_CHECKING:
    from media.prompts import Source
    from voipat.bridge import Bridge
    from voipat.call import Call
    from voipat.media_leg import MediaLeg

MonitorMode = Literal["listen", "whisper", "barge"]

RATE: Final = 8000
FRAME: Final = 160
LOOK_S: Final = 0.02
# What may wait of a side that is ahead of the target: 80 ms, so that no voice falls behind.
MOST_FRAMES: Final = 4

Samples = NDArray[np.int16]


class Monitor:
    """Made by `Call.monitor`; `mode` may be set while it runs."""

    def __init__(self, call: Call, target: Call, mode: MonitorMode) -> None:
        if call is target or call.tenant != target.tenant:
            raise Rejected(reasons.NOBODY_TALKS)
        self._call = call
        self._target = target
        self.mode = mode

    async def announce(self, source: Source) -> None:
        """Let both sides hear something before. Raises: Rejected when nobody talks there, HungUp."""
        await self._bridge().announce(source)

    async def run(self) -> None:
        """Hear the target until it talks with nobody; whom it is transferred to is heard too.

        Answers the call first. Raises: Rejected when nobody talks there, or in a codec that can only be passed on;
        HungUp, Cancelled.
        """
        call, target = self._call, self._target
        self._bridge()
        await call.answer()
        while (bridge := target.bridge_) is not None and target.outcome is None:
            try:
                await self._during(bridge)
            except CodecMissingError as error:
                raise Rejected(reasons.NO_COMMON_CODEC) from error

    def _bridge(self) -> Bridge:
        found = self._target.bridge_
        if found is None or self._target.outcome is not None:
            raise Rejected(reasons.NOBODY_TALKS)
        return found

    async def _during(self, bridge: Bridge) -> None:
        call, target = self._call, self._target
        other = bridge.other(target)
        with _Side(call) as own, _Side(target) as near, _Side(other) as far:
            while target.bridge_ is bridge and target.outcome is None and other.outcome is None:
                near.speaks(self.mode != "listen")
                far.speaks(self.mode == "barge")
                own.speaks(True)
                for side in (own, near, far):
                    side.listen()
                while near.waiting:
                    mine, theirs, others = own.take(), near.take(), far.take()
                    own.say(theirs, others)
                    near.say(others, mine)
                    far.say(theirs, mine)
                await pause(call, LOOK_S)


class _Side:
    """One of the three: what it says, and what it is told."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._frames: deque[Samples] = deque(maxlen=MOST_FRAMES)
        self._leg: MediaLeg | None = None
        self._tap: Tap | None = None
        self._speaking: Speaking | None = None

    def __enter__(self) -> _Side:
        if self._call.media is None:
            raise CodecMissingError("the leg has no media")
        self._leg = self._call.media
        self._tap = self._leg.tap(rate=RATE, side="heard", drop="oldest")
        return self

    def __exit__(self, *exception: object) -> None:
        self.speaks(False)
        if self._leg is not None and self._tap is not None:
            self._leg.untap(self._tap)

    @property
    def waiting(self) -> int:
        """Frames that it said and that nobody has heard yet."""
        return len(self._frames)

    def speaks(self, wanted: bool) -> None:
        """Whether it is told anything by us."""
        if self._leg is None or wanted == (self._speaking is not None):
            return
        if self._speaking is None:
            self._speaking = self._leg.speak(rate=RATE)
        else:
            self._leg.untap(self._speaking)
            self._speaking = None

    def listen(self) -> None:
        """Fetch what it said."""
        assert self._tap is not None, "inside of its block"
        while (frame := self._tap.read()) is not None:
            self._frames.append(frame.samples)

    def take(self) -> Samples:
        """Its next 20 ms, silence when there is none."""
        return self._frames.popleft() if self._frames else np.zeros(FRAME, np.int16)

    def say(self, one: Samples, another: Samples) -> None:
        """Tell it both; what it has no room for is lost."""
        if self._speaking is not None:
            both = one.astype(np.int32) + another
            self._speaking.write(np.clip(both, -32768, 32767).astype(np.int16))


def talking_at(call: Call, number: str) -> Sequence[Call]:
    """As `Call.talking_at`."""
    if not call.tenant:
        return ()
    return [leg for leg in _legs(call) if leg.own_number == number and leg.bridge_ is not None and leg is not call]


def _legs(call: Call) -> Iterator[Call]:
    for first in call.switch.calls.values():
        if first.tenant == call.tenant:
            yield first
            yield from first.attempts
