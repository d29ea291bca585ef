"""What a call plays and which keys its peer presses: prompts, questions, digits.

    event of the engine ─▶ CallAudio.on_event ─▶ the verb that waits      a hang-up wakes every verb, as all others

Digits wait in a queue until a verb wants them: who presses ahead is not asked again. During a bridge they belong to the
conversation, and only a verb that already waits gets them.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from media import CodecMissingError, DigitReceived, DigitsSent, EncodedAudio, PlaybackFinished, PromptError
from media.engine import MAX_DIGITS
from media.events import DIGITS, MediaEvent, PlayedReason
from media.prompts import Source, items_of
from media.tones import Tone, key_tone, pause
from voipat.music import Music
from voipat.waiting import wake

if TYPE_CHECKING:
    from voipat.call import Call
    from voipat.key_codes import CodeWatch, PassOn
    from voipat.media_leg import MediaLeg

# Digits pressed ahead; the oldest gives way.
MAX_WAITING: Final = 64
# A digit is told when its key is let go: so long may a key that stopped a prompt be held.
KEY_HELD_S: Final = 10.0
# Of a key that is pressed for the other side of a bridge, and of the pause after it.
PRESSED_S: Final = 0.1
DEFAULT_ANSWER_S: Final = 5.0
DEFAULT_BETWEEN_S: Final = 3.0


class CallAudio:
    """One call's playback and keys. Made at the first verb or digit."""

    def __init__(self, call: Call) -> None:
        # Its verbs are the call's, which is there as long as one of them runs; a cycle would wait for the collector.
        self._user = weakref.ref(call)
        self._waiting: deque[str] = deque(maxlen=MAX_WAITING)
        self._listeners: set[asyncio.Future[None]] = set()
        self._running: dict[int, asyncio.Future[None]] = {}
        self._reasons: dict[int, PlayedReason] = {}
        # Who is asked first; True: the digit was meant for it and for nobody else.
        self.digit_listeners: list[Callable[[str], bool]] = []
        # Keys of the other side that are pressed here, one after another, and the number of the one that is.
        self._presses: deque[str] = deque(maxlen=MAX_WAITING)
        self._pressed: int | None = None
        # Who looks for codes among the keys, while the call is joined with another one.
        self.codes: CodeWatch | None = None

    @property
    def _call(self) -> Call:
        call = self._user()
        assert call is not None, "the verbs of a call hold it"
        return call

    # Events

    def on_event(self, event: MediaEvent) -> None:
        """One of the engine, for this call's port."""
        if isinstance(event, DigitReceived):
            self._on_digit(event.digit)
        elif isinstance(event, PlaybackFinished):
            self._finish(event.number, event.reason)
            if event.number == self._pressed:
                self._press_next(event.number)
        elif isinstance(event, DigitsSent):
            self._finish(event.number, "finished")
            self._press_next(event.number)

    def on_info_digit(self, digit: str, pass_on: PassOn | None = None) -> None:
        """A digit that came in an INFO (application/dtmf-relay, application/dtmf); what is no digit is left out.

        `pass_on` gives it to the other side of a bridge, where that is not done by pressing the key there.
        """
        if len(digit) == 1 and digit in DIGITS:
            self._on_digit(digit, pass_on)

    @property
    def awaits_digits(self) -> bool:
        """Whether a verb waits for keys."""
        return bool(self._listeners)

    @property
    def takes_digits(self) -> bool:
        """Whether somebody here looks at the keys before the other side of a bridge."""
        return bool(self._listeners or self.digit_listeners) or self.codes is not None

    def _on_digit(self, digit: str, pass_on: PassOn | None = None) -> None:
        if self.digit_listeners and any(listener(digit) for listener in tuple(self.digit_listeners)):
            return
        call, listens = self._call, bool(self._listeners)
        bridge = call.bridge_
        if bridge is None or bridge.stepped_out is not None:
            if bridge is not None and bridge.stepped_out is not call and not listens:
                return  # Who waits with music talks to nobody.
        else:
            give = pass_on or partial(self._pass_on, digit)
            if not listens and self.codes is not None and self.codes.bridge is bridge:
                self.codes.hear(digit, give)
                return
            give()
            if not listens:
                return
        self._waiting.append(digit)
        for listener in self._listeners:
            wake(listener)

    def _pass_on(self, digit: str) -> None:
        """To the other side of the bridge, where it hears of keys in another way than its peer tells them."""
        call, bridge = self._call, self._call.bridge_
        other = None if bridge is None else bridge.other(call)
        if other is None or call.media is None or other.media is None or call.media.passes_digits(other.media):
            return
        other.playback.press(digit)

    def press(self, digit: str) -> None:
        """Press a key without waiting for it: a telephone-event, or its tone."""
        self._presses.append(digit)
        if self._pressed is None or len(self._presses) == MAX_WAITING:  # the end of one was lost
            self._press_next(self._pressed)

    def _press_next(self, ended: int | None) -> None:
        if ended != self._pressed:
            return
        self._pressed = None
        leg = self._call.media
        if not self._presses or leg is None or leg.negotiated is None:
            return
        digit, event = self._presses.popleft(), leg.negotiated.telephone_event
        try:
            if event is not None:
                self._pressed = leg.send_digits(digit, event.send.payload_type, PRESSED_S, PRESSED_S)
                return
            now = self._call.switch.loop.time()
            tones = self._call.switch.media.prompts.load([key_tone(digit, PRESSED_S)], leg.prompt_codec, now)
            self._pressed = leg.play(tones, turns=1, start=0.0, stop_digits="")
        except CodecMissingError:
            self._call.switch.counters["digits_not_passed"] += 1

    def _finish(self, number: int, reason: PlayedReason) -> None:
        waiter = self._running.pop(number, None)
        if waiter is None:
            return
        self._reasons[number] = reason
        wake(waiter)

    # Verbs

    async def play(self, source: Source | Music, *, stop_digits: str, loop: bool, start: float) -> str:
        """As `Call.play`."""
        _check_digits(stop_digits)
        loop = loop or isinstance(source, Music)
        ahead = self.take_ahead(stop_digits)
        if ahead:
            return ahead
        reason = await self._play(source, stop_digits=stop_digits, turns=0 if loop else 1, start=start)
        return await self._stopped_by(stop_digits) if reason == "digit" else ""

    async def ask(self, prompt: Source | None, *, digits: int, timeout: float, between: float, terminator: str) -> str:
        """As `Call.ask`."""
        _check_digits(terminator)
        if not 1 <= digits <= MAX_WAITING:
            raise ValueError(f"1 to {MAX_WAITING} digits can be asked for, not {digits}")
        self._call.raise_if_ended()
        if prompt is not None and not self._waiting:
            await self._play(prompt, stop_digits=DIGITS)
        answer, wait = "", timeout
        while len(answer) < digits:
            digit = await self.next_digit(wait)
            if digit is None or (digits > 1 and digit == terminator):
                break
            answer += digit
            wait = between
        return answer

    async def next_digit(self, timeout: float | None) -> str | None:
        """The next digit, or None after `timeout` seconds. Raises: HungUp."""
        call = self._call
        call.raise_if_ended()
        if self._waiting:
            return self._waiting.popleft()
        loop = call.switch.loop
        deadline = None if timeout is None else loop.time() + timeout
        while not self._waiting and (deadline is None or loop.time() < deadline):
            await self._listen(deadline)
        return self._waiting.popleft() if self._waiting else None

    async def send_digits(self, digits: str, *, duration: float, pause_s: float) -> None:
        """As `Call.send_digits`."""
        _check_digits(digits)
        call = self._call
        call.raise_if_ended()
        leg = await _leg_of(call)
        event = None if leg.negotiated is None else leg.negotiated.telephone_event
        if event is None:
            tones = [tone for digit in digits for tone in (key_tone(digit, duration), pause(pause_s))]
            if tones:
                await self._play(tones)
            return
        for first in range(0, len(digits), MAX_DIGITS):
            run = digits[first : first + MAX_DIGITS]
            await self._until_done(leg, leg.send_digits(run, event.send.payload_type, duration, pause_s), "digits")

    # How

    async def _listen(self, deadline: float | None) -> None:
        call = self._call
        if call.media is not None:
            call.media.hear_keys()
        waiter = call.new_waiter()
        self._listeners.add(waiter)
        timer = None if deadline is None else call.switch.loop.call_at(deadline, wake, waiter)
        try:
            await call.wait(waiter)
        finally:
            self._listeners.discard(waiter)
            if timer is not None:
                timer.cancel()

    def take_ahead(self, wanted: str) -> str:
        """A digit that was pressed before and stops what would be played; "" when there is none."""
        found = next((digit for digit in self._waiting if digit in wanted), "")
        if found:
            while self._waiting.popleft() != found:
                pass
        return found

    async def _stopped_by(self, wanted: str) -> str:
        while True:
            digit = await self.next_digit(KEY_HELD_S)
            if digit is None or digit in wanted:
                return digit or ""

    async def _play(
        self, source: Source | Music, *, stop_digits: str = "", turns: int = 1, start: float = 0.0
    ) -> PlayedReason:
        call = self._call
        call.raise_if_ended()
        items = items_of(source.source if isinstance(source, Music) else source)
        leg = await _leg_of(call)
        if isinstance(source, Music):
            prompts = await self._tune_in(source, items, leg)
            length = sum(prompt.seconds for prompt in prompts)
            start = source.position(call.switch.loop.time(), length)
        else:
            prompts = await _prompts(call, items, leg)
        call.raise_if_ended()
        if stop_digits and any(digit in stop_digits for digit in self._waiting):
            return "digit"  # pressed while the prompt was read: it does not begin
        for number in list(self._running):
            self._finish(number, "replaced")  # the engine says so too, unless its ring is full
        if stop_digits:
            leg.hear_keys()
        number = leg.play(prompts, turns=turns, start=start, stop_digits=stop_digits)
        return await self._until_done(leg, number, "prompt")

    async def _tune_in(self, music: Music, items: Sequence[str | Tone], leg: MediaLeg) -> list[EncodedAudio]:
        call = self._call
        try:
            return await _prompts(call, items, leg)
        except (PromptError, CodecMissingError) as error:
            call.note("%s waits without its music: %s", call.id, error)
            call.switch.counters["music_missing"] += 1
            return await _prompts(call, items_of(music.fallback), leg)

    async def _until_done(self, leg: MediaLeg, number: int, what: str) -> PlayedReason:
        call = self._call
        waiter = self._running[number] = call.new_waiter()
        try:
            await waiter
        finally:
            call.no_longer_wakes(waiter)
            if self._running.pop(number, None) is not None and what == "prompt":
                leg.stop_play(number)
            reason = self._reasons.pop(number, "stopped")
        call.raise_if_ended()
        return reason


class Digits:
    """The digits that are pressed, one by one; what waits comes first. Ends with the call: HungUp."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        digit = await self._call.playback.next_digit(None)
        assert digit is not None, "without a time limit there is a digit"
        return digit


async def _leg_of(call: Call) -> MediaLeg:
    await call.answer()
    assert call.media is not None, "an answered call has a port"
    return call.media


async def _prompts(call: Call, items: Sequence[str | Tone], leg: MediaLeg) -> list[EncodedAudio]:
    loop, cache, codec = call.switch.loop, call.switch.media.prompts, leg.prompt_codec
    found = cache.maybe_loaded(items, codec, loop.time())
    if found is None:
        found = await loop.run_in_executor(None, cache.load, items, codec, loop.time())
    return found


def _check_digits(digits: str) -> None:
    wrong = digits.lstrip(DIGITS)
    if wrong:
        raise ValueError(f"{wrong[0]!r} is no digit: 0-9, *, #, A-D")
