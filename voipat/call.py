"""A call: one dialog plus one port, driven by one async function.

A verb that waits is woken when the call ends, and raises how it ended; a handler needs no `try`. Whatever ends
first decides: later ends of the same call are nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Coroutine, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack
from os import PathLike
from typing import Any, Final, Literal

from media import MediaError
from media.prompts import Source
from media.recorder import Channels
from media.tap import DropPolicy, TapSide
from sipcore.errors import ParseError
from sipcore.events import RequestFailed, RequestReceived, ResponseReceived
from sipcore.fields import NameAddr
from sipcore.message import Request
from sipcore.reason import is_completed_elsewhere
from sipcore.uri import Uri
from voipat import events, monitoring, reasons, waiting
from voipat.answering import check_media, description, progress, wait_for_ack
from voipat.call_facts import CallFacts
from voipat.changes import Changes
from voipat.connected import Connected, response_headers, set_connected, tell
from voipat.dialing import DialTarget, Fork, added_headers, resolve_targets, ring
from voipat.errors import CallOutcome, Cancelled, HungUp, Rejected, Transferred
from voipat.holding import change_hold, stop_music
from voipat.in_dialog import agree_on_codec, receive_in_dialog, receive_late_answer
from voipat.invited import receive_failure, receive_response
from voipat.legs import InboundLeg, OutboundLeg
from voipat.media_leg import MediaLeg
from voipat.messages import send_in_call
from voipat.monitoring import Monitor, MonitorMode
from voipat.music import Music
from voipat.parties import CallState, Parties, address_of
from voipat.playback import DEFAULT_ANSWER_S, DEFAULT_BETWEEN_S, CallAudio, Digits
from voipat.reasons import Reason
from voipat.redirecting import redirect
from voipat.session_refresh import SessionRefresh
from voipat.speech import PromptSet, Said
from voipat.switch import Switch
from voipat.taking import AudioStream, CallRecording, FileAt, RecordingStore, Samples, Voice, speak
from voipat.transfer import transfer

DEFAULT_RING_S: Final = 30.0


class Call(CallFacts):
    """A call as its handler sees it. Made by the App, or by `dial`."""

    __slots__ = ("__weakref__", "_playback", "changes", "prompts", "session")

    def __init__(
        self, switch: Switch, leg: InboundLeg | OutboundLeg, parties: Parties, *, to: Uri, caller: Uri
    ) -> None:
        super().__init__(switch, leg, parties, to=to, caller=caller)
        # What `say` takes its words from; a flow may set another language.
        self.prompts: PromptSet = switch.prompts
        # Its session timer (RFC 4028), from the answer on.
        self.session: Final = SessionRefresh(self, switch.session)
        self.changes: Final = Changes(self)
        self._playback: CallAudio | None = None

    # Verbs

    async def ring(self) -> None:
        """Tell the caller that somebody is alerted. Raises: HungUp, Cancelled."""
        self.raise_if_ended()
        progress(self, 180)

    async def answer(self) -> None:
        """Take the call. Raises: HungUp, Cancelled; Rejected when there is no port or no codec."""
        self.raise_if_ended()
        if self._is_led():
            assert self.transfer_ is not None, "asked for just now"
            self.transfer_.commit()
        if self.state is CallState.ANSWERED or not isinstance(self.leg, InboundLeg):
            return
        body = description(self)
        self.leg.accept(self, body, (*self.session.granted(self.leg.request), *response_headers(self)))
        self.mark_answered()
        if self.answering.awaits:
            await wait_for_ack(self)

    async def reject(self, reason: Reason = reasons.DECLINED, *, status: int | None = None) -> None:
        """Refuse the call; the caller gets the reason's status or `status`."""
        if self._is_led():
            raise Rejected(reason, status=status)
        self.end("server", reason, status=status, by_handler=True)

    async def redirect(self, *targets: str | Uri, permanent: bool = False) -> None:
        """Tell the caller to call somebody else by itself, best target first: 302, or 301 with `permanent`.

        A target is a number of the tenant or a URI. A caller that was transferred here, and has no INVITE to answer, is
        connected with the first one instead. Raises: ValueError for what is no target, and for a call that was answered
        or dialled; HungUp, Cancelled.
        """
        self.raise_if_ended()
        if self._is_led() and targets:
            await self.transfer(targets[0], how="bridge")
            return
        redirect(self, targets, is_permanent=permanent)

    async def hangup(self, reason: Reason = reasons.NORMAL_CLEARING) -> None:
        """End the call: BYE, or a refusal when it was not answered."""
        if self.state is not CallState.ANSWERED and reason is reasons.NORMAL_CLEARING:
            reason = reasons.NOT_TAKEN
        if self._is_led():
            raise Rejected(reasons.NOT_TAKEN if reason is reasons.NORMAL_CLEARING else reason)
        self.end("server", reason, by_handler=True)

    async def transfer(
        self, target: str | Uri | Call, *, how: Literal["refer", "bridge"] = "refer", timeout: float = 30.0
    ) -> None:
        """Send the caller on to a number, a URI, or the peer of another call.

        "refer" asks the caller's phone to call the target itself, and waits `timeout` seconds for how that went; a peer
        that does not take REFER, as most trunks, is connected here, and so it always is with "bridge": the handler of
        the target's number then runs as if the number had been dialled, and this returns when it does.
        Raises: Rejected when the target does not take the call, HungUp, Cancelled.
        """
        await transfer(self, target, how=how, timeout=timeout)

    def set_caller_id(self, number: str | Uri, *, name: str | None = None) -> None:
        """Show those that are dialled from now on this caller: a number of the tenant or a URI, `name` for the display.

        The CDR, limits and rights stay those of the caller; a trunk takes only numbers that it allows.
        Raises: ValueError for no address, or a name of more than one line.
        """
        self.shown_as = NameAddr(self._address_of(number), _one_line(name))

    async def set_connected(self, target: str | Uri, *, name: str | None = None) -> None:
        """Tell the peer whom it talks with from now on: a number of the tenant, or a URI; `name` is for its display.

        Before the answer the next response says so, in a call an UPDATE. A bridge does this by itself. A peer that must
        not be told, as a trunk that is not trusted, is not.

        Raises: ValueError for no address, or a name of more than one line; HungUp, Cancelled.
        """
        self.raise_if_ended()
        set_connected(self, Connected(NameAddr(self._address_of(target), _one_line(name))))

    def _address_of(self, target: str | Uri) -> Uri:
        try:
            return address_of(target, self.tenant or self.to.host)
        except ParseError as error:
            raise ValueError(f"{target!r} is nobody's address") from error

    async def send_message(self, text: str) -> Reason | None:
        """Send text to the peer within the call (RFC 3428); None when it took it, else why not.

        Raises: ValueError, longer than 1300 bytes; HungUp, Cancelled when the call is over.
        """
        self.raise_if_ended()
        return await send_in_call(self, text)

    async def dial(
        self,
        targets: DialTarget | Sequence[DialTarget],
        *,
        timeout: float = DEFAULT_RING_S,
        headers: Sequence[tuple[str, str]] = (),
        auto_answer: bool = False,
    ) -> Call:
        """Ring all targets together until one answers; that call, to be bridged. The others are cancelled.

        A target is a user of the caller's tenant ("1002"), a SIP URI, or a binding. What the phones signal before
        the answer (ringing, early media) goes to the caller. `headers` are added to each INVITE: `Alert-Info`, `X-…`.
        With `auto_answer` phones are asked to answer by themselves, each as its brand understands it.

        Raises: ValueError for a header that is ours to write; Rejected with the best refusal, NoAnswer after `timeout`
        seconds; HungUp, Cancelled.
        """
        self.raise_if_ended()
        check_media(self)
        fork = Fork(self, resolve_targets(self, targets), added_headers(headers), auto_answer)
        self.note("%s rings %d contacts for %g s", self.id, fork.size, timeout)
        return await ring(self, fork, timeout)

    async def bridge(self, other: Call) -> CallOutcome:
        """Join two calls until either ends; returns how the other ended.

        Raises: HungUp when this one did, Transferred when it went to another handler meanwhile.
        """
        from voipat.bridge import Bridge

        self.raise_if_ended()
        tell(self, other)
        await self.answer()
        bridge = Bridge(self, other)
        try:
            bridge.begin()
            tell(other, self)
            bridge.connect()
            if self.origin is not None:
                self.origin.joined()
            if self.answering.early:
                agree_on_codec(self)
            await bridge.over()
        finally:
            bridge.close()
        self.raise_if_ended()
        if bridge.leaver is self:
            await self.hung_up()
        if bridge.leaver is not None:
            raise Transferred(reasons.TRANSFERRED)
        assert other.outcome is not None, "one of two ended, and it was not this one"
        self.aftermath = (other.hangup_by or "server", other.outcome.reason)
        return other.outcome

    async def hold(self) -> None:
        """Put the peer on hold: it hears `on_hold` until `resume`, or nothing. Answers the call.

        Raises: Rejected when the peer refuses, and all stays as it was; HungUp, Cancelled.
        """
        await change_hold(self, held=True)

    async def resume(self) -> None:
        """Take the peer back from hold; a peer that holds us goes on with that. Raises: Rejected, HungUp."""
        await change_hold(self, held=False)

    async def echo(self) -> None:
        """Send back what the caller says until the caller hangs up. Raises: HungUp."""
        await self.answer()
        assert self.media is not None, "an answered call has a port"
        self.media.echo()
        await self.hung_up()

    async def play(
        self, source: Source | Music, *, stop_digits: str = "", loop: bool = False, start: float = 0.0
    ) -> str:
        """Play a WAV file, a Tone, or several of these one after another; the digit that stopped it, or "".

        `Music` goes on until something else stops it, from where it is now.

        Answers the call first. A digit of `stop_digits` stops it when the key goes down, or before it began when it was
        pressed ahead; with `loop` nothing else does. `start`: seconds into it.
        Raises: PromptError when there is nothing to play, HungUp, Cancelled.
        """
        return await self.playback.play(source, stop_digits=stop_digits, loop=loop, start=start)

    async def say(self, *items: Said, stop_digits: str = "") -> str:
        """Say prompts of the set by name, and values in words: `call.say("vm/you-have", Number(3), "vm/new-messages")`.

        As `play` otherwise. Raises: PromptMissingError, ValueError, HungUp, Cancelled.
        """
        return await self.playback.play(self.prompts.say(items), stop_digits=stop_digits, loop=False, start=0.0)

    async def ask(
        self,
        prompt: Source | None,
        *,
        digits: int = 1,
        timeout: float = DEFAULT_ANSWER_S,
        between: float = DEFAULT_BETWEEN_S,
        terminator: str = "#",
    ) -> str:
        """Play a prompt and collect up to so many digits, "" when nobody presses any.

        The first digit stops the prompt. `timeout` seconds after the prompt, or `between` seconds after a digit,
        what is there is the answer; so is it at a terminator, which is a digit like any other when one digit is wanted.
        Raises: PromptError when there is nothing to play, HungUp, Cancelled.
        """
        return await self.playback.ask(prompt, digits=digits, timeout=timeout, between=between, terminator=terminator)

    def digits(self) -> Digits:
        """The keys that the peer presses, however it tells them: `async for digit in call.digits()`. Raises: HungUp."""
        return Digits(self)

    async def hear_tones(self) -> None:
        """Take keys that are heard as tones for digits, also from a peer that has agreed on telephone-events.

        From one that has not, every verb that waits for digits does so by itself. Answers the call. Raises: HungUp.
        """
        await self.answer()
        if self.media is not None:
            self.media.hear_keys(always=True)

    async def send_digits(self, digits: str, *, duration: float = 0.1, pause: float = 0.1) -> None:
        """Press keys, and wait until they are sent: as telephone-events, or as tones to who takes none.

        Raises: ValueError for what is no digit, HungUp, Cancelled.
        """
        await self.playback.send_digits(digits, duration=duration, pause_s=pause)

    def record(
        self,
        store: RecordingStore | str | PathLike[str],
        *,
        stereo: bool = True,
        stop_digit: str = "",
        max_seconds: float | None = None,
    ) -> CallRecording:
        """Record the call, as `async with call.record("note.wav", stop_digit="#") as recording`.

        Left is what its peer says, right what the peer is told; without `stereo` both are one channel. To a path it is
        a WAV file, or Opus when it ends with .opus or .ogg; to a store what that makes of it. It ends with the block,
        the call, a digit of `stop_digit` or after `max_seconds`; `await recording.finished()` waits for that. A full
        disk ends it and not the call: the recording is partial then, and RecordingEnded says so. Answers the call.
        Raises: CodecMissingError, HungUp.
        """
        where = FileAt(store) if isinstance(store, str | PathLike) else store
        channels: Channels = "stereo" if stereo else "mixed"
        return CallRecording(self, where, channels=channels, stop_digit=stop_digit, max_seconds=max_seconds)

    def audio(self, *, rate: int = 16000, side: TapSide = "heard", drop: DropPolicy = "oldest") -> AudioStream:
        """What the peer says, 20 ms at a time: `async for frame in call.audio(rate=16000)`. Raises there: HungUp.

        A program that is too slow misses the oldest or the newest frames, as `drop` says, and `frame.lost` tells how
        many; the call does not notice. Answers the call. Raises: ValueError; CodecMissingError there.
        """
        return AudioStream(self, rate=rate, side=side, drop=drop)

    def voice(self, *, rate: int = 16000) -> Voice:
        """A way to say samples: `async with call.voice() as voice: mark = await voice.write(samples)`."""
        return Voice(self, rate=rate)

    async def speak(
        self,
        frames: Samples | Iterable[Samples] | AsyncIterable[Samples],
        *,
        rate: int = 16000,
        stop_digits: str = "",
    ) -> str:
        """Say 16-bit samples, or pieces of them as they come, and return when they were sent.

        A digit of `stop_digits` ends it at once and is returned, as with `play`. Raises: HungUp.
        """
        return await speak(self, frames, rate=rate, stop_digits=stop_digits)

    @property
    def playback(self) -> CallAudio:
        """What it plays and hears; for the modules of this package."""
        if self._playback is None:
            self._playback = CallAudio(self)
        return self._playback

    async def until(self, event: asyncio.Future[Any], *, timeout: float) -> bool:
        """Wait for something outside of the call; False after `timeout` seconds without it. Raises: HungUp."""
        return await waiting.until(self, event, timeout)

    def meanwhile(self, what: Coroutine[Any, Any, object]) -> AbstractAsyncContextManager[None]:
        """Let something go on during a block: `async with call.meanwhile(call.play(music, loop=True))`."""
        return waiting.meanwhile(self, what)

    def ringing_at(self, number: str) -> Sequence[Call]:
        """The calls that ring at the phones of a user of this tenant now, the oldest first."""
        return waiting.ringing_at(self, number)

    def talking_at(self, number: str) -> Sequence[Call]:
        """The calls in which a user of this tenant talks with somebody now, by his side of them."""
        return monitoring.talking_at(self, number)

    def monitor(self, target: Call, *, mode: MonitorMode = "listen") -> Monitor:
        """Hear a conversation of `target`, whisper to it, or speak with both: `await call.monitor(target).run()`.

        Who may is for the handler to decide. Raises: Rejected for a call of another tenant, or this one.
        """
        return Monitor(self, target, mode)

    def is_reachable(self, number: str) -> bool:
        """Whether a user of this tenant has a phone here that is not known to be gone."""
        return waiting.is_reachable(self, number)

    async def pick_up(self, ringing: Call) -> None:
        """Take a call that rings elsewhere and stay in it. Raises: Rejected for who comes second, HungUp."""
        await waiting.pick_up(self, ringing)

    async def hand_over(self, to: Call) -> None:
        """Talk with a caller who came for this call and waits in `hung_up`; its end is his. Raises: as `bridge`."""
        await waiting.hand_over(self, to)

    @property
    def transferor(self) -> Call | None:
        """The call of who transfers this one, until a target has taken it; None when nobody does."""
        return None if self.transfer_ is None else self.transfer_.transferor

    async def hung_up(self) -> None:
        """Wait for the end. Raises: HungUp."""
        self.raise_if_ended()
        await self.wait(self.new_waiter())

    def take_place(self) -> ExitStack:
        """What was taken for it by `Placed`, when a 3xx led to it: from now on whoever asks gives it back."""
        return ExitStack() if self.fork is None else self.fork.take_place(self)

    # The end

    def end(
        self, by: str, reason: Reason, *, status: int | None = None, by_peer: bool = False, by_handler: bool = False
    ) -> None:
        """End the call, whatever its state, and unwind its handler, unless that is who asks (`by_handler`).

        `by_peer`: a message of the peer ended it, nothing is sent to it.
        """
        if self.state is CallState.ENDED:
            return
        was_answered = self.state is CallState.ANSWERED
        self.session.close()
        self.changes.close()
        if self.music is not None:
            stop_music(self)
        self.state = CallState.ENDED
        self.ended = self.switch.wallclock()
        self.hangup_by = by
        code = reason.status if status is None else status
        was_cancelled = reason is reasons.CALLER_GAVE_UP or (by == "caller" and reason is reasons.COMPLETED_ELSEWHERE)
        self.outcome = Cancelled(reason) if was_cancelled else HungUp(reason, by=by)
        self.outcome.status = 200 if was_answered and reason is reasons.NORMAL_CLEARING else code
        if by_peer:
            self.leg.forget()
        else:
            self.leg.end(reason, code)
        figures = events.MediaFigures() if self.media is None else self.media.close()
        self.publish_end(was_answered, reason, figures)
        self.wake(unwind=not by_handler)
        # Let go of, so that an ended call is freed at once: a cycle would wait for the collector and its pauses.
        fork, self.fork = self.fork, None
        if fork is not None:
            fork.ended(self)

    def settle(self, outcome: CallOutcome | None) -> None:
        """The handler is done: end what it left. Called by the App."""
        if self.state is not CallState.ENDED:
            by, reason = self.aftermath or ("server", reasons.NORMAL_CLEARING)
            if outcome is not None:
                by, reason = outcome.by, outcome.reason
            if self.state is not CallState.ANSWERED and reason.status < 300:
                reason, outcome = reasons.NOT_TAKEN, None
            self.end(by, reason, status=None if outcome is None else outcome.status, by_handler=True)
        assert self.outcome is not None, "an ended call has its outcome"
        self.outcome.__traceback__ = None
        for attempt in self.attempts:
            attempt.end(self.hangup_by or "server", self.outcome.reason)

    # Events of its signalling

    def on_cancel(self, request: Request) -> None:
        """The caller gave up, or who forked the call to us says that it was taken elsewhere (RFC 3326 §2)."""
        reason = reasons.COMPLETED_ELSEWHERE if is_completed_elsewhere(request) else reasons.CALLER_GAVE_UP
        self.end("caller", reason, status=487, by_peer=True)

    def on_prack_timeout(self) -> None:
        """The caller never acknowledged a reliable response (RFC 3262 §3)."""
        self.end("server", reasons.NO_PRACK)

    def on_request(self, event: RequestReceived) -> None:
        """A request within the dialog."""
        receive_in_dialog(self, event)

    def on_ack(self, request: Request) -> None:
        """ACK to our 200; with the answer when we had made the offer."""
        self.was_acknowledged = True
        if isinstance(self.leg, InboundLeg):
            self.leg.acknowledged()
        if self.answering.early:
            agree_on_codec(self)
        if self.answering.awaits == "ack":
            receive_late_answer(self, request)
        self.changes.proceed()

    def on_prack(self) -> None:
        """The caller has acknowledged a reliable response, and said nothing of media."""
        if self.answering.awaits == "prack":
            self.end("server", reasons.NO_SDP_ANSWER)

    def on_ack_timeout(self) -> None:
        """The caller never acknowledged."""
        self.end("server", reasons.NO_ACK)

    def on_dialog_ended(self) -> None:
        """The dialog is gone without a BYE."""
        self.end("server", reasons.DIALOG_LOST, by_peer=True)

    def on_media_timeout(self) -> None:
        """The engine heard nothing for the time of the media timeout."""
        if self.media is None or not self.media.expects_media:
            return
        if self.media.seat is not None:
            self.session.ask()  # Who listens in a conference may be silent, and even send no reports.
        else:
            self.end("server", reasons.MEDIA_TIMEOUT)

    def on_insecure(self, cause: str) -> None:
        """There will be no secure media, and no other is allowed."""
        self.note("%s has no secure media: %s", self.id, cause)
        self.end("server", reasons.HANDSHAKE_FAILED)

    def on_response(self, event: ResponseReceived) -> None:
        """A response to our INVITE."""
        if isinstance(self.leg, OutboundLeg):
            receive_response(self, self.leg, event)

    def on_failure(self, event: RequestFailed) -> None:
        """No final response to our INVITE."""
        receive_failure(self, event)

    def open_media(self) -> MediaLeg:
        """The call's port, opened at first use. Raises: Rejected."""
        if self.media is None:
            try:
                self.media = self.switch.media.open(self, self.leg.flow)
            except (MediaError, OSError) as error:
                raise Rejected(reasons.NO_MEDIA_PORT) from error
            self.note_port()
        return self.media

    def _is_led(self) -> bool:
        """Whether who calls this is the handler of a target that has not taken the call yet."""
        led = self.transfer_
        return led is not None and led.task is asyncio.current_task(self.switch.loop)


def _one_line(name: str | None) -> str | None:
    """A display name. Raises: ValueError."""
    if name is not None and not name.isprintable():
        raise ValueError(f"{name!r} is no name: it has line ends or control characters")
    return name
