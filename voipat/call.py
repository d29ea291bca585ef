"""A call: one dialog plus one port, driven by one async function.

A verb that waits is woken when the call ends, and raises how it ended; a handler needs no `try`. Whatever ends
first decides: later ends of the same call are nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Coroutine, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack
from enum import Enum
from os import PathLike
from typing import TYPE_CHECKING, Any, Final, Literal

from media import MediaError
from media.prompts import Source
from media.recorder import Channels
from media.tap import DropPolicy, TapSide
from sipcore.errors import NegotiationError, ParseError
from sipcore.events import DialogId, RequestFailed, RequestReceived, ResponseReceived
from sipcore.fields import NameAddr
from sipcore.message import Request
from sipcore.offer_answer import offered_formats
from sipcore.reason import is_completed_elsewhere, q850_cause
from sipcore.reliable import takes_reliable, wants_reliable
from sipcore.sdp import MediaDescription, RtpFormat, SessionDescription, parse_sdp
from sipcore.uri import Uri, escape_user, unescape
from sipcore.values import value_object
from voipat import events, monitoring, reasons, waiting
from voipat.accounts import Identity, TrunkIdentity
from voipat.changes import Changes
from voipat.connected import Acquaintance, Connected, learn, response_headers, set_connected, tell
from voipat.dialing import DialTarget, Fork, added_headers, resolve_targets
from voipat.errors import CallOutcome, Cancelled, HungUp, NoAnswer, Redirected, Rejected, Transferred
from voipat.gateway import Gateway
from voipat.holding import change_hold, stop_music
from voipat.in_dialog import EarlyDialog, agree_on_codec, receive_in_dialog, receive_late_answer
from voipat.leg_audio import with_events, with_own
from voipat.legs import InboundLeg, OutboundLeg
from voipat.media_leg import MediaLeg
from voipat.messages import send_in_call
from voipat.monitoring import Monitor, MonitorMode
from voipat.music import Music
from voipat.outcomes import reason_of_failure, reason_of_gateway, reason_of_negotiation, reason_of_status
from voipat.playback import DEFAULT_ANSWER_S, DEFAULT_BETWEEN_S, CallAudio, Digits
from voipat.reasons import Reason
from voipat.redirecting import contacts_of, redirect
from voipat.security import SrtpRules
from voipat.session_refresh import SessionRefresh
from voipat.speech import PromptSet, Said
from voipat.switch import Switch
from voipat.taking import AudioStream, CallRecording, FileAt, RecordingStore, Samples, Voice, speak
from voipat.transfer import transfer

if TYPE_CHECKING:
    from voipat.bridge import Bridge
    from voipat.consulting import Consultation
    from voipat.transfer import Progress, Referral, Transfer

DEFAULT_RING_S: Final = 30.0


class CallState(Enum):
    """How far a call is."""

    TRYING = "trying"
    RINGING = "ringing"
    ANSWERED = "answered"
    ENDED = "ended"


@value_object(frozen=True, slots=True)
class Parties:
    """Who calls whom, as the CDR says it. `linked_id` is the id of the call's first leg."""

    id: str
    linked_id: str
    tenant: str
    caller: str
    callee: str

    @property
    def leg(self) -> events.LegName:
        """The first of its call, or one that was called for it."""
        return "a" if self.id == self.linked_id else "b"


@value_object(frozen=True, slots=True)
class Role:
    """Who calls whom, as a handler sees it."""

    to: Uri
    from_: Uri
    caller: str
    callee: str
    transferred_by: str | None = None


class Call:
    """A call as its handler sees it. Made by the App, or by `dial`."""

    # The call without a phone that this one was dialled for; for the modules of this package.
    origin: Call | None = None
    # Whether a re-INVITE of ours is on its way that makes up for what the 183 said.
    agrees = False
    was_acknowledged = False
    # Who those that it dials are told that calls, where that is not the caller itself.
    shown_as: NameAddr | None = None
    was_referred = False  # a REFER came in this dialog, whatever became of it
    # While it is away from a bridge to talk with a target; for the modules of this package.
    consulting: Consultation | None = None
    # The streams beside the audio that it may have, where that is not for the App to say.
    beside: Sequence[str] | None = None
    # Whether its pauses are comfort noise, where that is not for the App to say.
    comfort_noise: bool | None = None
    # Whose streams beside the audio the caller is answered with.
    _partner: MediaLeg | None = None

    def __init__(
        self, switch: Switch, leg: InboundLeg | OutboundLeg, parties: Parties, *, to: Uri, caller: Uri
    ) -> None:
        self._switch = switch
        self._leg = leg
        self._parties = parties
        # Who calls whom, as handlers see it: a transfer changes it, never the CDR's parties.
        self.role = Role(to, caller, parties.caller, parties.callee)
        self.display_name: str | None = None
        self.identity: Identity | None = None
        # What flows tell each other of the call.
        self.variables: Final[dict[str, str]] = {}
        self.state = CallState.TRYING
        self.started: Final = switch.wallclock()
        self.answered: float | None = None
        self.ended: float | None = None
        self.outcome: CallOutcome | None = None
        self.hangup_by: str | None = None
        self.media: MediaLeg | None = None
        # What this leg's media must be, where it is not for the App to say.
        self.srtp: SrtpRules | None = None
        # The only codecs that it may have, where that is not for the App to say; () are all.
        self.codecs: Sequence[str] | None = None
        self.offer: SessionDescription | None = None
        self.bridge_: Bridge | None = None
        self.fork: Fork | None = None
        self.task: asyncio.Task[None] | None = None
        # Its session timer (RFC 4028), from the answer on.
        self.session: Final = SessionRefresh(self, switch.session)
        self.changes: Final = Changes(self)
        # What `say` takes its words from; a flow may set another language.
        self.prompts: PromptSet = switch.prompts
        self._playback: CallAudio | None = None
        self.recordings = 0  # begun until now; for the modules of this package
        # What its peer hears while it is held, by us or by the other side of a bridge; None: that is passed on instead.
        self.on_hold: Source | Music | None = None
        self.music: asyncio.Task[None] | None = None
        self._started_now = switch.loop.time()
        self._answered_now: float | None = None
        self._waiters: set[asyncio.Future[None]] = set()
        self._attempts: list[Call] = []
        self._attempted = 0
        self._formats: Sequence[RtpFormat] = ()
        self._told: tuple[int, Call | None] = (0, None)
        # What a 183 has told the caller: RFC 3261 §13.2.1 has it ignore any other description until the ACK.
        self.early_answer = b""
        self.acquaintance: Final = Acquaintance(parties.callee if isinstance(leg, InboundLeg) else parties.caller)
        # Where the answer to an offer in a response of ours comes: "ack", "prack", or "" when none is owed.
        self.awaits: Literal["", "ack", "prack"] = ""
        self._acknowledged: asyncio.Future[None] | None = None
        # An attempt at a gateway, or at a phone that has another way: the timer of its silence.
        self.gateway: Gateway | None = None
        # Where a 3xx says that the callee is, best first.
        self.moved_to: tuple[Uri, ...] = ()
        self._silence: asyncio.TimerHandle | None = None
        # While somebody transfers this call; the subscriptions of those who transferred its peer; a REFER of ours.
        self.transfer_: Transfer | None = None
        self.refers: list[Progress] = []
        self.referral_: Referral | None = None
        # Why a handler that just returns hangs up: the other side of the last bridge did.
        self._aftermath: tuple[str, Reason] | None = None

    # What it is

    @property
    def id(self) -> str:
        return self._parties.id

    @property
    def linked_id(self) -> str:
        """The id of the call's first leg: its own for a call that came in."""
        return self._parties.linked_id

    @property
    def tenant(self) -> str:
        """The domain that the caller belongs to, "" for a stranger."""
        return self._parties.tenant

    @property
    def to(self) -> Uri:
        """Whom the call is for."""
        return self.role.to

    @property
    def from_(self) -> Uri:
        return self.role.from_

    @property
    def caller(self) -> str:
        return self.role.caller

    @property
    def callee(self) -> str:
        return self.role.callee

    @property
    def own_number(self) -> str:
        """The user whose phone this leg goes to."""
        return self._parties.caller if self.direction == "inbound" else self._parties.callee

    @property
    def transferred_by(self) -> str | None:
        """The user who transferred the call to its present target; None for a call that nobody transferred."""
        return self.role.transferred_by

    @property
    def may_refer(self) -> bool:
        """Whether its peer is a phone of ours, which may ask for a transfer: never a stranger, never a trunk."""
        if not self.tenant or self.gateway is not None:
            return False
        if isinstance(self._leg, OutboundLeg):
            return self._leg.flow is not None
        return self.identity is not None and not isinstance(self.identity, TrunkIdentity)

    @property
    def direction(self) -> str:
        return "inbound" if isinstance(self._leg, InboundLeg) else "outbound"

    @property
    def call_id(self) -> str:
        """The SIP Call-ID of this leg."""
        return self._leg.call_id

    @property
    def switch(self) -> Switch:
        """What this call shares with the others of its App; for the modules of this package."""
        return self._switch

    @property
    def leg(self) -> InboundLeg | OutboundLeg:
        """Its signalling; for the modules of this package."""
        return self._leg

    @property
    def attempts(self) -> Sequence[Call]:
        """The calls that it dialled and that have not ended."""
        return tuple(self._attempts)

    def header(self, name: str) -> str | None:
        """The first value of a header of the INVITE that came in."""
        return self._leg.request.headers.get(name) if isinstance(self._leg, InboundLeg) else None

    def header_values(self, name: str) -> Sequence[str]:
        """Every value of a header of the INVITE that came in."""
        return self._leg.request.headers.get_all(name) if isinstance(self._leg, InboundLeg) else ()

    def note(self, text: str, *values: object) -> None:
        """Put a decision into the call's trace: `text` with places for `values`, as %-formatting has them."""
        self._switch.recorder.note(self._parties.id, text, *values)

    def note_route(self, target: str) -> None:
        """Say in the trace, in the events and so in the CDR where the call is sent."""
        self.note("goes to %s", target)
        self._switch.publish(events.CallRouted(self.id, self.linked_id, self.tenant, target))

    def note_port(self) -> None:
        """Say in the trace which port the call's media has."""
        if self.media is not None:
            self.note("%s has media port %d", self.id, self.media.port.rtp_port)

    @property
    def is_held(self) -> bool:
        """Whether we hold its peer, by `hold`."""
        return self.media is not None and not self.media.own_direction.receives

    @property
    def held_by_peer(self) -> bool:
        """Whether its peer holds us: sendonly, inactive, or the address 0.0.0.0 of RFC 2543."""
        media = self.media
        return (
            self.answered is not None and media is not None and media.negotiated is not None and media.negotiated.held
        )

    # Verbs

    async def ring(self) -> None:
        """Tell the caller that somebody is alerted. Raises: HungUp, Cancelled."""
        self._check()
        self._progress(180, b"")

    async def answer(self) -> None:
        """Take the call. Raises: HungUp, Cancelled; Rejected when there is no port or no codec."""
        self._check()
        if self._is_led():
            assert self.transfer_ is not None, "asked for just now"
            self.transfer_.commit()
        if self.state is CallState.ANSWERED or not isinstance(self._leg, InboundLeg):
            return
        body = self._description()
        self._leg.accept(self, body, (*self.session.granted(self._leg.request), *response_headers(self)))
        self._mark_answered()
        if self.awaits:
            await self._wait_for_ack()

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
        self._check()
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
        Raises: ValueError for no address.
        """
        self.shown_as = NameAddr(self._uri_of(number), name)

    async def set_connected(self, target: str | Uri, *, name: str | None = None) -> None:
        """Tell the peer whom it talks with from now on: a number of the tenant, or a URI; `name` is for its display.

        Before the answer the next response says so, in a call an UPDATE. A bridge does this by itself. A peer that must
        not be told, as a trunk that is not trusted, is not. Raises: ValueError for no address, HungUp, Cancelled.
        """
        self._check()
        set_connected(self, Connected(NameAddr(self._uri_of(target), name)))

    def _uri_of(self, target: str | Uri) -> Uri:
        if isinstance(target, Uri):
            return target
        try:
            return Uri.parse(target if ":" in target else f"sip:{escape_user(target)}@{self.tenant or self.to.host}")
        except ParseError as error:
            raise ValueError(f"{target!r} is nobody's address") from error

    async def send_message(self, text: str) -> Reason | None:
        """Send text to the peer within the call (RFC 3428); None when it took it, else why not.

        Raises: ValueError, longer than 1300 bytes; HungUp, Cancelled when the call is over.
        """
        self._check()
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
        self._check()
        self._check_media()
        fork = Fork(self, resolve_targets(self, targets), added_headers(headers), auto_answer)
        self.note("%s rings %d contacts for %g s", self.id, fork.size, timeout)
        timer = self._switch.loop.call_later(timeout, fork.expire)
        waiter = self._waiter()
        try:
            fork.start(waiter)
            if not waiter.done():
                await waiter
            self._check()
            return self._dialled(fork)
        finally:
            timer.cancel()
            self._waiters.discard(waiter)
            fork.close()

    async def bridge(self, other: Call) -> CallOutcome:
        """Join two calls until either ends; returns how the other ended.

        Raises: HungUp when this one did, Transferred when it went to another handler meanwhile.
        """
        from voipat.bridge import Bridge

        self._check()
        tell(self, other)
        await self.answer()
        bridge = Bridge(self, other)
        try:
            bridge.begin()
            tell(other, self)
            bridge.connect()
            if self.origin is not None:
                self.origin.joined()
            if self.early_answer:
                agree_on_codec(self)
            await bridge.over()
        finally:
            bridge.close()
        self._check()
        if bridge.leaver is self:
            await self.hung_up()
        if bridge.leaver is not None:
            raise Transferred(reasons.TRANSFERRED)
        assert other.outcome is not None, "one of two ended, and it was not this one"
        self._aftermath = (other.hangup_by or "server", other.outcome.reason)
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
        return Digits(self.playback)

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
        self._check()
        waiter = self._waiter()
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)
        self._check()

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
        self._hear()
        self.session.close()
        self.changes.close()
        stop_music(self)
        self.state = CallState.ENDED
        self.ended = self._switch.wallclock()
        self.hangup_by = by
        code = reason.status if status is None else status
        was_cancelled = reason is reasons.CALLER_GAVE_UP or (by == "caller" and reason is reasons.COMPLETED_ELSEWHERE)
        self.outcome = Cancelled(reason) if was_cancelled else HungUp(reason, by=by)
        self.outcome.status = 200 if was_answered and reason is reasons.NORMAL_CLEARING else code
        if by_peer:
            self._leg.forget()
        else:
            self._leg.end(reason, code)
        figures = events.MediaFigures() if self.media is None else self.media.close()
        self._publish_end(was_answered, reason, figures)
        self._wake(unwind=not by_handler)
        # Let go of, so that an ended call is freed at once: a cycle would wait for the collector and its pauses.
        fork, self.fork = self.fork, None
        if fork is not None:
            fork.ended(self)

    def settle(self, outcome: CallOutcome | None) -> None:
        """The handler is done: end what it left. Called by the App."""
        if self.state is not CallState.ENDED:
            by, reason = self._aftermath or ("server", reasons.NORMAL_CLEARING)
            if outcome is not None:
                by, reason = outcome.by, outcome.reason
            if self.state is not CallState.ANSWERED and reason.status < 300:
                reason, outcome = reasons.NOT_TAKEN, None
            self.end(by, reason, status=None if outcome is None else outcome.status, by_handler=True)
        assert self.outcome is not None, "an ended call has its outcome"
        self.outcome.__traceback__ = None
        for attempt in self.attempts:
            attempt.end(self.hangup_by or "server", self.outcome.reason)

    def publish_start(self, call_id: str = "") -> None:
        """Tell that this leg is there; `call_id` for one that has no dialog."""
        parties = self._parties
        self._switch.publish(
            events.CallStarted(
                id=parties.id,
                linked_id=parties.linked_id,
                tenant=parties.tenant,
                leg=parties.leg,
                direction=self.direction,
                caller=parties.caller,
                callee=parties.callee,
                call_id=call_id or self.call_id,
                started=self.started,
            )
        )

    def _publish_end(self, was_answered: bool, reason: Reason, figures: events.MediaFigures) -> None:
        assert self.ended is not None and self.outcome is not None, "set by end"
        now = self._switch.loop.time()
        parties = self._parties
        self._switch.publish(
            events.CallEnded(
                id=parties.id,
                linked_id=parties.linked_id,
                tenant=parties.tenant,
                leg=parties.leg,
                direction=self.direction,
                caller=parties.caller,
                callee=parties.callee,
                call_id=self.call_id,
                started=self.started,
                answered=self.answered,
                ended=self.ended,
                duration_s=now - self._started_now,
                billable_s=0.0 if self._answered_now is None else now - self._answered_now,
                disposition="answered" if was_answered else reason.disposition,
                hangup_by=self.hangup_by or "server",
                cause=events.Cause(self.outcome.status, reason.q850, reason.id, reason.text),
                media=figures,
                attempts=self._attempted,
            )
        )

    def _wake(self, *, unwind: bool) -> None:
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        task = self.task
        if unwind and not waiters and task is not None and task is not asyncio.current_task(self._switch.loop):
            # The handler waits for something that is no verb of the call: hang-up unwinds it from there too.
            task.cancel()

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
        if isinstance(self._leg, InboundLeg):
            self._leg.acknowledged()
        if self.early_answer:
            agree_on_codec(self)
        if self.awaits == "ack":
            receive_late_answer(self, request)
        self.changes.proceed()

    def on_prack(self) -> None:
        """The caller has acknowledged a reliable response, and said nothing of media."""
        if self.awaits == "prack":
            self.end("server", reasons.NO_SDP_ANSWER)

    def on_ack_timeout(self) -> None:
        """The caller never acknowledged."""
        self.end("server", reasons.NO_ACK)

    def on_dialog_ended(self) -> None:
        """The dialog is gone without a BYE."""
        self.end("server", reasons.DIALOG_LOST, by_peer=True)

    def on_media_timeout(self) -> None:
        """The engine heard nothing for the time of the media timeout."""
        if self.media is not None and self.media.expects_media:
            self.end("server", reasons.MEDIA_TIMEOUT)

    def on_insecure(self, cause: str) -> None:
        """There will be no secure media, and no other is allowed."""
        self.note("%s has no secure media: %s", self.id, cause)
        self.end("server", reasons.HANDSHAKE_FAILED)

    def on_response(self, event: ResponseReceived) -> None:
        """A response to our INVITE."""
        response = event.response
        self._hear()
        if response.status < 300:
            learn(self, response)
        if response.status < 200:
            if event.dialog is not None and isinstance(self._leg, OutboundLeg):
                self._leg.open_early(EarlyDialog(self), event.dialog)
            self._acknowledge_progress(event)
            self._on_progress(event)
        elif response.status < 300:
            self._on_answer(event)
        elif not self._answer_challenge(event) and not self._ask_longer(event):
            if self.gateway is None:
                reason = reason_of_status(response.status)
            else:
                reason = reason_of_gateway(response.status, q850_cause(response))
            self.moved_to = contacts_of(response)
            self.end("callee", reason, status=response.status, by_peer=True)

    def on_failure(self, event: RequestFailed) -> None:
        """No final response to our INVITE."""
        reason = reasons.TRUNK_UNAVAILABLE if self.gateway is not None else reason_of_failure(event.failure)
        self.end("server", reason, by_peer=True)

    def expect_reaction(self, seconds: float | None, reason: Reason) -> None:
        """Who is called counts as gone, for this reason, when not even a 100 comes in so many seconds."""
        if seconds is not None:
            self._silence = self._switch.loop.call_later(seconds, self.end, "server", reason)

    def _hear(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None

    def _answer_challenge(self, event: ResponseReceived) -> bool:
        leg = self._leg
        if not isinstance(leg, OutboundLeg) or self.state is CallState.ENDED:
            return False
        return leg.answer_challenge(self, event, self._switch.entropy)

    def _ask_longer(self, event: ResponseReceived) -> bool:
        leg = self._leg
        if not isinstance(leg, OutboundLeg) or self.state is CallState.ENDED or not self.session.raised(event.response):
            return False
        return leg.ask_longer(self, self.session.request_headers())

    def _acknowledge_progress(self, event: ResponseReceived) -> None:
        """PRACK, for a response that wants one (RFC 3262): all our INVITEs offer, so that it says nothing more."""
        if event.is_reliable and event.dialog is not None:
            self._switch.exchange.prack(event.dialog)

    def _on_progress(self, event: ResponseReceived) -> None:
        status, body, leg = event.response.status, event.response.body, self._leg
        if status == 100 or self.state is CallState.ENDED or not isinstance(leg, OutboundLeg):
            return
        if status == 199:
            self._on_early_end(leg, event.dialog)
            return
        has_media = bool(body) and self._read_answer(body) is None
        if has_media:
            leg.answers.said(event.dialog, body)
        self._mark_ringing()
        if self.fork is not None:
            self.fork.progressed(self, status, has_media=has_media)

    def _on_early_end(self, leg: OutboundLeg, dialog: DialogId | None) -> None:
        """199: one of the phones that a proxy rings has refused (RFC 6228); whom it still rings is heard again."""
        if dialog is None:
            return
        leg.early.discard(dialog)
        before = leg.answers.ended(dialog)
        if before and self._read_answer(before) is None and self.fork is not None:
            self.fork.progressed(self, 183, has_media=True)

    def _on_answer(self, event: ResponseReceived) -> None:
        assert isinstance(self._leg, OutboundLeg) and event.dialog is not None, "only an INVITE of ours is answered"
        # Of several early dialogs this one counts, and what it said before when it says nothing now.
        body = event.response.body or self._leg.answers.of(event.dialog)
        self._leg.confirm(self, event.dialog)
        self.session.agreed(event.response)
        problem = self._read_answer(body) if body else reasons.NO_SDP_ANSWER
        if problem is not None:
            self.end("server", problem)
            return
        self._mark_answered()
        if self.fork is not None:
            self.fork.answered(self)

    def _read_answer(self, body: bytes) -> Reason | None:
        assert self.media is not None, "an INVITE of ours offers media"
        try:
            self.media.read_answer(body)
        except ParseError:
            return reasons.BAD_DESCRIPTION
        except NegotiationError as error:
            return reason_of_negotiation(error)
        return None

    # For `dial`, `bridge` and transfers

    def new_waiter(self) -> asyncio.Future[None]:
        """A future that is done at the latest when the call ends."""
        return self._waiter()

    def wakes(self, waiter: asyncio.Future[None]) -> None:
        """The end of this call wakes the waiter too."""
        self._waiters.add(waiter)

    def no_longer_wakes(self, waiter: asyncio.Future[None]) -> None:
        """It has no use for it."""
        self._waiters.discard(waiter)

    def prefer(self, formats: Sequence[RtpFormat]) -> None:
        """Answer with these codecs, when the offer has them."""
        self._formats = formats

    def take_role(self, target: Uri, *, by: Call) -> None:
        """Be, for the next handler, a caller who has dialled `target`, sent there by the peer of `by`."""
        flow = self._leg.flow
        domain = None if flow is None else self._switch.domain_of(target, flow)
        to = target if domain is None else target.replace(host=domain, port=None)
        from_, number = self.from_, self.own_number
        if isinstance(self._leg, OutboundLeg):
            from_ = Uri("sip", escape_user(number), self.tenant or self.from_.host)
            self.display_name = None
        try:
            callee = unescape(to.user) if to.user else to.host
        except ParseError:
            callee = to.user or to.host
        self.role = Role(to, from_, number, callee, by.own_number)

    def take_part(self, *, shown: str) -> None:
        """Be a call without a phone, for which others are dialled: they show this."""
        self.role = Role(self.to, self.from_, shown, self.callee)

    def joined(self, since: Call | None = None) -> None:
        """A call without a phone counts as answered when the two that it was made for talk, or as `since` was."""
        if self.answered is None and self.outcome is None:
            self._mark_answered()
            if since is not None:
                self.answered, self._answered_now = since.answered, since._answered_now

    def take_place(self) -> ExitStack:
        """What was taken for it by `Placed`, when a 3xx led to it: from now on whoever asks gives it back."""
        return ExitStack() if self.fork is None else self.fork.take_place(self)

    @property
    def attempted(self) -> int:
        """How many phones and trunks it has called."""
        return self._attempted

    def adopt_again(self, attempt: Call) -> None:
        """Own a call that is up already until it ends."""
        self._attempts.append(attempt)

    def adopt(self, attempt: Call) -> None:
        """Count an attempt of this call, and own it until it ends."""
        self._attempts.append(attempt)
        self._attempted += 1

    def release(self, attempt: Call) -> None:
        """The attempt has ended."""
        if attempt in self._attempts:
            self._attempts.remove(attempt)

    def relay_progress(self, attempt: Call, status: int, *, has_media: bool) -> None:
        """Pass a provisional response on to the caller, with the attempt's early media when it has some."""
        if self.transfer_ is not None:
            self.transfer_.tell(status)
        if self.state in (CallState.ANSWERED, CallState.ENDED) or not isinstance(self._leg, InboundLeg):
            return
        source = self._told[1]
        if has_media and source in (None, attempt):
            body = self._early_description(attempt)
            if body and self._told != (status, attempt):
                self._told = (status, attempt)
                self._progress(status, body)
                return
        if self._told[0] != status:
            self._told = (status, source)
            self._progress(status, b"")

    def _check_media(self) -> None:
        """Before anything rings: the caller's port, and media as secret as it has to be. Raises: Rejected."""
        if not isinstance(self._leg, InboundLeg) or self.state is CallState.ANSWERED:
            return
        media = self.open_media()
        if self.offer is None:
            return
        try:
            media.check(self.offer)
        except NegotiationError as error:
            raise Rejected(reason_of_negotiation(error)) from error

    def open_media(self) -> MediaLeg:
        """The call's port, opened at first use. Raises: Rejected."""
        if self.media is None:
            try:
                self.media = self._switch.media.open(self, self._leg.flow)
            except (MediaError, OSError) as error:
                raise Rejected(reasons.NO_MEDIA_PORT) from error
            self.note_port()
        return self.media

    def take_late_answer(self, body: bytes) -> None:
        """The answer to the offer in a response of ours. Raises: ParseError, NegotiationError."""
        self.awaits = ""
        if self.media is None:
            return
        self.media.read_answer(body)
        self.join_media()
        if self._acknowledged is not None and not self._acknowledged.done():
            self._acknowledged.set_result(None)

    def join_media(self) -> None:
        """Relay between this leg and whom it talks with, or whose early media it hears, by what is agreed on now."""
        source = self._told[1]
        if self.bridge_ is not None:
            self.bridge_.connect()
        elif self.answered is None and self.media is not None and source is not None and source.media is not None:
            self.media.connect(source.media)

    def offered(self) -> Sequence[RtpFormat]:
        """What a phone that we dial for this call is offered: the caller's codecs, then our own. Raises: Rejected."""
        own = self._switch.media.formats
        media = self.open_media()
        if media.negotiated is not None:
            return with_own(media.formats, own)
        if self.offer is None:
            return own
        try:
            return with_own(media.codecs.limited(offered_formats(self.offer)), own)
        except NegotiationError as error:
            raise Rejected(reason_of_negotiation(error)) from error

    def offered_beside(self) -> Sequence[MediaDescription]:
        """The caller's video, text and fax, for a phone that we dial for it; nothing once the caller was told."""
        media = self.open_media()
        return [] if self.offer is None or media.negotiated is not None else media.beside.wanted(self.offer)

    def _dialled(self, fork: Fork) -> Call:
        winner = fork.winner
        if winner is None:
            reason, by = fork.best_refusal()
            if reason is reasons.REDIRECTED:
                raise Redirected(reason, fork.moved_to, by=by)
            raise (NoAnswer if reason is reasons.NO_ANSWER else Rejected)(reason, by=by)
        assert winner.media is not None, "an answered call has a port"
        self._formats = with_events(winner.media.formats, self._switch.media.formats)
        self._partner = winner.media
        return winner

    def _early_description(self, attempt: Call) -> bytes:
        """What the caller is told of the attempt's media: our answer, or our offer if it takes reliable responses."""
        assert attempt.media is not None and isinstance(self._leg, InboundLeg), "early media of a caller"
        self._formats = with_events(attempt.media.formats, self._switch.media.formats)
        self._partner = attempt.media
        try:
            if self.offer is not None:
                body = self.early_answer = self._description()
            elif self.early_answer or not takes_reliable(self._leg.request):
                return b""
            else:
                body = self._early_offer()
        except CallOutcome:
            return b""  # The answer will fail for the same cause, and then say so.
        if self.media is not None and self.media.negotiated is not None:
            self.media.connect(attempt.media)
        return body

    def _early_offer(self) -> bytes:
        """Our offer in a reliable response; the PRACK answers (RFC 3262 §5). Raises: Rejected."""
        self.early_answer = self._offer_late()
        self.awaits = "prack"
        return self.early_answer

    def _description(self) -> bytes:
        """Our answer, or our offer when the INVITE had none; nothing when that is settled already. Raises: Rejected."""
        if self.early_answer:
            return b"" if self.offer is None else self.early_answer
        if self.offer is None:
            body = self._offer_late()
            self.awaits = "ack"
            return body
        media = self.open_media()
        try:
            return self._answer_with(media, self.offer, self._formats or media.codecs.own)
        except NegotiationError as error:
            raise Rejected(reason_of_negotiation(error)) from error

    def _offer_late(self) -> bytes:
        media = self.open_media()
        own = media.codecs.own
        try:
            return media.offer(with_own(self._formats, own) if self._formats else own)
        except NegotiationError as error:
            raise Rejected(reason_of_negotiation(error)) from error

    def _answer_with(self, media: MediaLeg, offer: SessionDescription, formats: Sequence[RtpFormat]) -> bytes:
        """The other side's codecs; when the offer has none of them, our own, and the call is transcoded."""
        beside = None if self._partner is None else self._partner.beside
        try:
            return media.answer(offer, formats, beside=beside)
        except NegotiationError:
            if formats is media.codecs.own:
                raise
            return media.answer(offer, media.codecs.own, beside=beside)

    async def _wait_for_ack(self) -> None:
        waiter = self._acknowledged = self._waiter()
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)
            self._acknowledged = None
        self._check()

    def _progress(self, status: int, body: bytes) -> None:
        leg = self._leg
        if not isinstance(leg, InboundLeg) or leg.is_final:
            return
        is_required = wants_reliable(leg.request)
        if is_required and self.offer is None and not self.early_answer:
            # RFC 3261 §13.2.1: our offer is "in the first reliable non-failure message".
            body = self._early_offer()
        reliable = is_required or (bool(body) and self.offer is None)
        leg.provisional(status, body, reliable=reliable, more=response_headers(self))
        self._mark_ringing()

    def _mark_ringing(self) -> None:
        if self.state is CallState.TRYING:
            self.state = CallState.RINGING
            self._switch.publish(events.CallRinging(self.id, self.linked_id, self.tenant, self._switch.wallclock()))

    def _mark_answered(self) -> None:
        self.state = CallState.ANSWERED
        self.answered = self._switch.wallclock()
        self._answered_now = self._switch.loop.time()
        codec = None if self.media is None else self.media.codec
        self._switch.publish(events.CallAnswered(self.id, self.linked_id, self.tenant, self.answered, codec))

    def _is_led(self) -> bool:
        """Whether who calls this is the handler of a target that has not taken the call yet."""
        led = self.transfer_
        return led is not None and led.task is asyncio.current_task(self._switch.loop)

    def _waiter(self) -> asyncio.Future[None]:
        waiter: asyncio.Future[None] = self._switch.loop.create_future()
        self._waiters.add(waiter)
        return waiter

    def _check(self) -> None:
        if self.outcome is not None:
            raise self.outcome


def read_offer(body: bytes) -> SessionDescription | None:
    """The offer of an INVITE; None when it has none. Raises: ParseError."""
    return parse_sdp(body) if body else None
