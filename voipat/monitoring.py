"""Who hears a conversation of others: it listens, whispers to one side, or speaks with both.

The two sides and all who monitor them are in one open mixer of the engine, and what changes is their places in it:

                who monitors            the side it came for             the other side
    listen      muted                   relayed as before                relayed as before
    whisper     speaks aside            told, in that one's confidence   relayed as before
    barge       speaks                  told                             told

Who is told hears the mixer's sum in place of the relay. No sample comes to Python.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self

from media import CodecMissingError
from sipcore.offer_answer import NegotiatedAudio
from voipat import reasons
from voipat.errors import Rejected
from voipat.events import LeftWhy
from voipat.waiting import wake

if TYPE_CHECKING:
    from media.prompts import Source
    from voipat.bridge import Bridge
    from voipat.call import Call
    from voipat.media_leg import MediaLeg

MonitorMode = Literal["listen", "whisper", "barge"]


class Monitor:
    """Made by `Call.monitor`; `mode` may be set while it runs."""

    def __init__(self, call: Call, target: Call, mode: MonitorMode) -> None:
        if call is target or call.tenant != target.tenant:
            raise Rejected(reasons.NOBODY_TALKS)
        self._call = call
        self._target = target
        self._mode = mode
        self._place: _Place | None = None

    @property
    def mode(self) -> MonitorMode:
        """Who hears it."""
        return self._mode

    @mode.setter
    def mode(self, mode: MonitorMode) -> None:
        self._mode = mode
        if self._place is not None:
            self._place.put(mode)

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
        before: Bridge | None = None
        while (bridge := target.bridge_) is not None and bridge is not before and target.outcome is None:
            before = bridge
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
        with _Place(self._call, self._target, bridge) as self._place:
            try:
                self._place.put(self._mode)
                await self._place.left()
            finally:
                self._place = None


class Overheard:
    """The two sides of a bridge and who monitors them. The bridge's, from the first of them to the last."""

    def __init__(self, bridge: Bridge) -> None:
        """Raises: CodecMissingError."""
        a_leg, b_leg = bridge.a_leg.media, bridge.b_leg.media
        if a_leg is None or b_leg is None:
            raise CodecMissingError("a side has no media")
        self._bridge = bridge
        # What is said aside to a side has the number of its place here, from 1 on.
        self._sides: Final = (a_leg, b_leg)
        self._places: list[_Place] = []
        self.rate: Final = min(a_leg.audio.natural_rate, b_leg.audio.natural_rate)
        self.mixer: Final = bridge.a_leg.switch.media.engine.mixer(self.rate, beside=a_leg.port)
        try:
            for leg in self._sides:
                leg.be_overheard(self.rate)
                self.mixer.add(leg.port, told=False)
        except CodecMissingError:
            self.close()
            raise
        bridge.overheard = self

    def aside_to(self, call: Call) -> int:
        """The number of what is said aside to that side."""
        return 1 + self._sides.index(call.media) if call.media in self._sides else 0

    def add(self, place: _Place) -> None:
        """One more monitors."""
        self._places.append(place)

    def remove(self, place: _Place) -> None:
        """It goes."""
        if place in self._places:
            self._places.remove(place)
            self.tell_sides()
        if not self._places:
            self.close()

    def tell_sides(self) -> None:
        """Let each side hear those who speak to it, and the relay alone when nobody does."""
        is_barged = any(place.mode == "barge" for place in self._places)
        for aside, leg in enumerate(self._sides, 1):
            is_whispered = any(place.mode == "whisper" and place.aside == aside for place in self._places)
            if leg.is_open:
                self.mixer.add(leg.port, told=is_barged or is_whispered, confided=aside if is_whispered else 0)

    def close(self) -> None:
        """The bridge is over, or nobody monitors it."""
        if self._bridge.overheard is self:
            self._bridge.overheard = None
        for leg in self._sides:
            if leg.is_open and leg.port in self.mixer:
                self.mixer.remove(leg.port)
            leg.be_alone()
        places, self._places = self._places, []
        for place in places:
            place.out("left")


class _Place:
    """A call among those who monitor a conversation: a seat, as in a conference."""

    def __init__(self, call: Call, target: Call, bridge: Bridge) -> None:
        if call.media is None:
            raise CodecMissingError("the leg has no media")
        self.mode: MonitorMode = "listen"
        self._call = call
        self._target = target
        self._leg: MediaLeg = call.media
        self._overheard = bridge.overheard or Overheard(bridge)
        self.aside: Final = self._overheard.aside_to(target)
        self._waiter: asyncio.Future[None] | None = None
        self._is_in = False

    def __enter__(self) -> Self:
        self._overheard.add(self)
        try:
            self._leg.take_seat(self, self._overheard.rate)
        except CodecMissingError:
            self._overheard.remove(self)
            raise
        self._is_in = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.out("left")

    def put(self, mode: MonitorMode) -> None:
        """It is heard so from now on."""
        self.mode = mode
        if self._is_in and self._leg.is_open:
            is_held = self._leg.negotiated is not None and self._leg.negotiated.held
            aside = self.aside if mode == "whisper" else 0
            self._overheard.mixer.add(self._leg.port, muted=mode == "listen" or is_held, aside=aside)
            self._overheard.tell_sides()

    async def left(self) -> None:
        """Wait until the conversation is over. Raises: HungUp."""
        while self._is_in and self._target.outcome is None:
            self._waiter = self._call.new_waiter()
            self._target.wakes(self._waiter)
            try:
                await self._call.wait(self._waiter)
            finally:
                self._target.no_longer_wakes(self._waiter)

    # Its leg says

    def described(self, negotiated: NegotiatedAudio) -> None:
        """Held, resumed, or another codec."""
        self.put(self.mode)

    def spoke(self, speaking: bool) -> None:
        """Nobody is told."""

    def out(self, why: LeftWhy) -> None:
        """The conversation is over, or the call does something else."""
        if not self._is_in:
            return
        self._is_in = False
        mixer, leg = self._overheard.mixer, self._leg
        if leg.is_open:
            mixer.remove(leg.port)
        else:
            mixer.forget(leg.port)
        leg.give_seat(self)
        self._overheard.remove(self)
        if self._waiter is not None:
            wake(self._waiter)


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
