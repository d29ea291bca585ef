"""Two calls joined: their ports relayed, changes of the session and INFO carried from one to the other.

The handler of the a_leg waits in `over`. A transfer keeps the bridge up while the new target rings, and parts it when
somebody else takes a side. What the App has for `on_bridge` runs beside it, and uses the verbs of this class.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from sipcore.uri import Uri
from voipat.consulting import Consultation, transfer_blind
from voipat.errors import CallOutcome
from voipat.holding import is_apart, play_on_hold, stop_music
from voipat.key_codes import DEFAULT_GAP_S, Codes, CodeWatch
from voipat.parties import called_by

if TYPE_CHECKING:
    from media.prompts import Source
    from voipat.call import Call
    from voipat.media_leg import MediaLeg
    from voipat.monitoring import Overheard
    from voipat.music import Music
    from voipat.transfer import Transfer

logger: Final = logging.getLogger("voipat")


class Bridge:
    """The a_leg and the b_leg of a conversation."""

    def __init__(self, a_leg: Call, b_leg: Call) -> None:
        self.a_leg: Final = a_leg
        self.b_leg: Final = b_leg
        self.transfer_: Transfer | None = None
        # Who is away from the other one, which waits with music, and for whom it left.
        self.stepped_out: Call | None = None
        self.consultation: Consultation | None = None
        # Whose place was taken, or who left when the other one went to somebody else.
        self.leaver: Call | None = None
        # Who monitors it, while somebody does.
        self.overheard: Overheard | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._beside: asyncio.Task[None] | None = None
        # With the watch of the bridge that a side is away from.
        self._watched: list[tuple[Call, CodeWatch | None]] = []
        a_leg.bridge_ = b_leg.bridge_ = self
        for call in (a_leg, b_leg):
            if call.media is not None:
                call.media.relearn()

    def other(self, call: Call) -> Call:
        """The one at the other end."""
        return self.b_leg if call is self.a_leg else self.a_leg

    @property
    def is_consultation(self) -> bool:
        """Whether one of them is away from another bridge, by `consult`."""
        return self.a_leg.consulting is not None or self.b_leg.consulting is not None

    @property
    def is_busy(self) -> bool:
        """Whether one of them is being transferred, or away."""
        return self.transfer_ is not None or self.stepped_out is not None or self.is_consultation

    # What an App does with it

    def codes(self, codes: Mapping[Call, Collection[str]], *, gap: float = DEFAULT_GAP_S) -> Codes:
        """The codes that are pressed while both talk: `async for pressed in bridge.codes({call: ("##", "*1")})`.

        The other side does not get the keys of a code. What might become one waits up to `gap` seconds for the next
        key, and is passed on complete when it does not.
        """
        return Codes(self, codes, gap=gap)

    @asynccontextmanager
    async def apart(self, call: Call, *, music: Source | Music | None = None) -> AsyncIterator[None]:
        """Let `call` hear and press something by itself: the other one hears the music, and nothing of it."""
        other, before = self.other(call), self.other(call).on_hold
        self.stepped_out, other.on_hold = call, music
        self.connect()
        try:
            yield
        finally:
            self.stepped_out, other.on_hold = None, before
            # A transferee waits with its music until the target takes it.
            if self.transfer_ is None:
                self.connect()

    async def announce(self, source: Source) -> None:
        """Let both hear something at the same moment, and then each other again. Raises: HungUp."""
        a_leg, b_leg = self.a_leg, self.b_leg
        async with a_leg.meanwhile(b_leg.play(source)):
            await a_leg.play(source)
        self.connect()

    async def transfer(self, by: Call, target: str | Uri) -> None:
        """Send the other side of `by` on to a number or a URI; `by` is hung up as soon as the target takes the call.

        `by` may hang up before. Raises: Rejected when the target does not take it, and both are joined as before.
        """
        await transfer_blind(self, by, called_by(target, by.tenant or by.to.host))

    async def consult(self, by: Call, target: str | Uri) -> None:
        """Let `by` talk with a target while the other one waits; to be used within `apart`.

        Returns when `by` comes back, by pressing * or because the target hung up. When `by` hangs up instead, the other
        one has the target. Raises: Rejected when the target does not take the call.
        """
        await Consultation(self, by, called_by(target, by.tenant or by.to.host)).run()

    # For the modules of this package

    def begin(self) -> None:
        """Start what the App does beside the conversation."""
        switch = self.a_leg.switch
        if switch.on_bridge is not None and (found := switch.on_bridge(self)) is not None:
            self._beside = switch.spawn(self._run(found))

    async def _run(self, beside: Coroutine[Any, Any, object]) -> None:
        try:
            await beside
        except CallOutcome:
            return  # One of the calls is over.
        except Exception:
            call = self.a_leg
            call.switch.counters["handler_errors"] += 1
            logger.exception("what goes on beside a bridge failed", extra={"call": call.id, "tenant": call.tenant})

    def watch(self, call: Call, codes: CodeWatch) -> None:
        """Look for codes among the keys of a side."""
        self._watched.append((call, call.playback.codes))
        call.playback.codes = codes
        if call.media is not None:
            call.media.keeps_keys = True
            call.media.hear_keys()
        self.connect()

    @property
    def is_watched(self) -> bool:
        """Whether codes are looked for."""
        return bool(self._watched)

    def connect(self) -> None:
        """Relay the media, as both sides describe it now; who is held by the other one hears music instead."""
        a_leg, b_leg = self.a_leg, self.b_leg
        if a_leg.media is None or b_leg.media is None or not self._is_up:
            return
        if self._play_on_hold(a_leg.media, b_leg.media):
            a_leg.media.connect(b_leg.media)
            for mine, other in ((a_leg, b_leg), (b_leg, a_leg)):
                if mine.media is not None and other.media is not None and not mine.media.passes_digits(other.media):
                    mine.media.hear_keys()

    def _play_on_hold(self, a_media: MediaLeg, b_media: MediaLeg) -> bool:
        """Begin and end the music of those who are held; whether both are to hear each other."""
        a_leg, b_leg = self.a_leg, self.b_leg
        is_away = self.stepped_out is not None
        if not (is_away or _is_held(a_media) or _is_held(b_media)):
            # As nearly always.
            for call in (a_leg, b_leg):
                if call.music is not None:
                    stop_music(call)
            return True
        # Before the music: what is played to a port takes the place of the relay.
        if is_away or is_apart(a_leg) or is_apart(b_leg):
            a_media.disconnect()
        with_music = [play_on_hold(call) for call in (a_leg, b_leg)]
        return not any(with_music) and not is_away and not a_leg.is_held and not b_leg.is_held

    @property
    def _is_up(self) -> bool:
        return self.a_leg.bridge_ is self and self.b_leg.bridge_ is self

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
        self.leaver, self.transfer_ = leaver, None
        self.disconnect()
        self.wake()

    def close(self) -> None:
        """It is over."""
        # Let go of, so that it is freed at once: what it was cancelled with holds its frames, and those hold us.
        beside, self._beside = self._beside, None
        if beside is not None:
            beside.cancel()
        self.disconnect()

    def disconnect(self) -> None:
        """Part them, unless they are with somebody else already."""
        self._unwatch()
        if self.overheard is not None:
            self.overheard.close()
        for call in (self.a_leg, self.b_leg):
            if call.bridge_ is self:
                call.bridge_ = None
                is_led = self.transfer_ is not None and self.transfer_.transferee is call
                if call.music is not None and not call.is_held and not is_led:
                    stop_music(call)
                if call.media is not None:
                    call.media.disconnect()

    def _unwatch(self) -> None:
        watched, self._watched = self._watched, []
        for call, before in watched:
            codes = call.playback.codes
            if codes is not None and codes.bridge is self:
                call.playback.codes = before if before is not None and before.bridge.is_watched else None
                codes.close()
                if call.media is not None:
                    call.media.keeps_keys = call.playback.codes is not None

    def _is_over(self) -> bool:
        for call in (self.a_leg, self.b_leg):
            if call.outcome is not None:
                self._tell_consultation(call)
        if self.leaver is not None or self.a_leg.outcome is not None:
            return True
        return self.b_leg.outcome is not None and self.transfer_ is None and self.consultation is None

    def _tell_consultation(self, ended: Call) -> None:
        """Before anything unwinds: whoever goes on needs another owner."""
        for found in (self.consultation, ended.consulting):
            if found is not None:
                found.ended()


def _is_held(media: MediaLeg) -> bool:
    """Whether we hold the peer of a leg, or it holds us."""
    return not media.own_direction.receives or (media.negotiated is not None and media.negotiated.held)
