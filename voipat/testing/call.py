"""One call as a simulated phone has it: what it saw, and what it is told to do.

    call = alice.dial("sip:1002@office.test").presses("1").hangs_up(after=5.0)
    world.run()
    assert call.statuses == [100, 180, 200] and call.ended_by == "alice"

Steps run one after another, each when the one before is done; a step that needs an answered call waits for the
answer. A call that ends skips its remaining steps, and a test reads from the call how that came.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal

from sipcore.errors import NegotiationError, ParseError
from sipcore.events import DialogId, TransactionId
from sipcore.fields import NameAddr
from sipcore.flow import Address
from sipcore.message import Request, Response
from sipcore.offer_answer import LocalMedia, NegotiatedAudio, OfferAnswer
from sipcore.refer import ReferTo, Replaces, sipfrag_status
from sipcore.reliable import reliable_number
from sipcore.sdp import Direction, RtpFormat, parse_sdp
from sipcore.transaction import HeaderPairs
from sipcore.uri import Uri
from voipat.testing.audio import FRAME_SECONDS, Recorder, Talker

if TYPE_CHECKING:
    from voipat.testing.phone import Phone

FORMATS: Final = (
    RtpFormat(0, "PCMU", 8000),
    RtpFormat(8, "PCMA", 8000),
    RtpFormat(101, "telephone-event", 8000, fmtp="0-16"),
)
SDP_TYPE: Final = (("Content-Type", "application/sdp"),)

# A phone that keeps silent sends a packet now and then, so that media timeouts tell it from a dead one.
SPARSE_SECONDS: Final = 10.0
LISTEN_STEP: Final = 0.1

ChangeMethod = Literal["INVITE", "UPDATE"]
HoldStyle = Literal["sendonly", "recvonly", "inactive", "0.0.0.0"]
HoldLevel = Literal["media", "session"]

_REASON_ID = re.compile(r"\bVP-\d{4}\b")


class CallState(Enum):
    """How far a call is."""

    NEW = "new"
    RINGING = "ringing"
    ANSWERED = "answered"
    ENDED = "ended"


class PhoneCall:
    """One call of one phone, outgoing or incoming."""

    def __init__(self, phone: Phone, remote: Uri, *, is_outgoing: bool) -> None:
        self.phone = phone
        self.remote = remote
        self.is_outgoing = is_outgoing
        self.state = CallState.NEW
        self.statuses: list[int] = []
        self.responses: list[Response] = []
        self.request: Request | None = None
        self.headers: tuple[tuple[str, str], ...] = ()
        self.answer_headers: HeaderPairs = ()
        self.late_offer = False
        self.reasons: list[str] = []
        self.answered_at: float | None = None
        self.ended_at: float | None = None
        self.ended_by: str | None = None
        self.unmet: list[str] = []
        self.refer_statuses: list[int] = []
        self.transfer_statuses: list[int] = []
        self.change_statuses: list[int] = []
        self.transferred_to: str | None = None
        self.audio: NegotiatedAudio | None = None
        self.held_by_peer = False
        # Whom its display shows as the other party, each time that it was told: P-Asserted-Identity, "" when hidden.
        self.shown: list[str] = []
        self.heard = Recorder()
        self.dialog: DialogId | None = None
        # The last one that a provisional response to our INVITE made.
        self.early_dialog: DialogId | None = None
        self._invite: TransactionId | None = None
        self._cancelled = False
        self._tells: Callable[[int], None] | None = None
        self._media = Address(phone.address.host, phone._next_rtp_port())
        self._offers = OfferAnswer(phone.entropy.uint32() >> 1)
        self._local = LocalMedia(self._media.host, self._media.port, FORMATS, security=phone.security)
        self._talker: Talker | None = None
        self._talk_timer: asyncio.TimerHandle | None = None
        self._answered = asyncio.Event()
        self._over = asyncio.Event()
        self._steps: list[Callable[[], Awaitable[None]]] = []
        self._script: asyncio.Task[None] | None = None

    # What it saw

    @property
    def status(self) -> int | None:
        """The last status: the final one once there is one."""
        return self.statuses[-1] if self.statuses else None

    @property
    def is_over(self) -> bool:
        """Whether the call has ended, one way or the other."""
        return self.state is CallState.ENDED

    @property
    def was_answered(self) -> bool:
        """Whether it was ever answered."""
        return self.answered_at is not None

    @property
    def warning_ids(self) -> list[str]:
        """The reason ids (VP-nnnn) of all Warning and Reason headers received, in order."""
        warnings = [value for response in self.responses for value in response.headers.get_all("Warning")]
        return _REASON_ID.findall(" ".join([*warnings, *self.reasons]))

    @property
    def is_busy(self) -> bool:
        """Whether its script has something left to do, or the call is up."""
        return not self.is_over or (self._script is not None and not self._script.done())

    def then_tells(self, tell: Callable[[int], None]) -> None:
        """Tell somebody the statuses of this outgoing call."""
        self._tells = tell

    def _show(self, message: Request | Response) -> None:
        if "P-Asserted-Identity" in message.headers or "Remote-Party-ID" in message.headers:
            value = message.headers.get("P-Asserted-Identity")
            self.shown.append("" if value is None else str(NameAddr.parse(value)))

    # What it does, step by step

    def waits(self, seconds: float) -> PhoneCall:
        """Do nothing for a while."""
        return self._then(lambda: self._pause(seconds))

    def hangs_up(self, *, after: float = 0.0) -> PhoneCall:
        """Hang up `after` seconds into the answered call (or after the step before)."""
        return self._then(lambda: self._when_answered(after, self.hang_up))

    def cancels(self, *, after: float = 0.0) -> PhoneCall:
        """Give up `after` seconds, answered or not."""
        return self._then(lambda: self._later(after, self.give_up))

    def presses(self, digits: str, *, after: float = 0.0) -> PhoneCall:
        """Press digits (RFC 4733), 100 ms each."""
        return self._then(lambda: self._press(digits, after))

    def holds(self, *, after: float = 0.0, style: HoldStyle = "sendonly", level: HoldLevel = "media") -> PhoneCall:
        """Put the peer on hold, in the way of some phone."""
        return self._then(lambda: self._when_answered(after, lambda: self.hold(style, level)))

    def resumes(self, *, after: float = 0.0) -> PhoneCall:
        """Take the peer back from hold."""
        return self._then(lambda: self._when_answered(after, self.resume))

    def asks_for_offer(self, *, after: float = 0.0, direction: Direction = Direction.SENDRECV) -> PhoneCall:
        """Re-INVITE without SDP: the other side offers, and our ACK answers with this direction."""
        return self._then(lambda: self._when_answered(after, lambda: self.ask_for_offer(direction)))

    def hears(self, hertz: int, *, within: float = 5.0) -> PhoneCall:
        """Expect a tone; early media counts."""
        return self._then(lambda: self._listen(hertz, within))

    def transfers(self, target: str, *, after: float = 0.0) -> PhoneCall:
        """Send the peer to somebody else, a number or a URI (blind), and hang up when it has arrived there."""
        return self._then(lambda: self._when_answered(after, lambda: self.refer(self.phone.uri_of(target))))

    def transfers_to(self, other: PhoneCall, *, after: float = 0.0) -> PhoneCall:
        """Join the peers of this call and of `other`, answered or still ringing."""
        return self._then(lambda: self._when_answered(after, lambda: self.refer(other.remote, other)))

    # The same, at once

    def refer(self, target: Uri, other: PhoneCall | None = None, *, headers: HeaderPairs = ()) -> None:
        """Send REFER within the call; what comes of it is in `refer_statuses` and `transfer_statuses`."""
        if self.dialog is None or self.is_over:
            return
        replaces = None if other is None else other.replaces()
        lines = (("Refer-To", str(ReferTo(target, replaces))), *headers)
        self.phone.request_in(self.dialog, "REFER", lambda status: self.refer_statuses.append(status), headers=lines)

    def replaces(self) -> Replaces | None:
        """What takes the place of this phone's side of the call: to be read by the server."""
        if self.dialog is not None and (view := self.phone.endpoint.dialog(self.dialog)) is not None:
            return Replaces.of(view)
        ringing = [response for response in self.responses if response.to.tag]
        if self.request is None or not ringing:
            return None
        return Replaces(self.request.call_id, ringing[-1].to.tag or "", self.request.from_.tag or "")

    def hang_up(self) -> None:
        """Send BYE; a call that rings is given up or refused."""
        if self.state is not CallState.ANSWERED or self.dialog is None:
            self.give_up()
            return
        dialog = self.dialog
        self.phone._execute(lambda now: self.phone.endpoint.bye(dialog, now))
        self._end(self.phone.name)

    def give_up(self) -> None:
        """CANCEL an outgoing call, refuse an incoming one with 480; an answered one is hung up."""
        if self.state is CallState.ANSWERED:
            self.hang_up()
        elif self.is_outgoing and self._invite is not None and not self.is_over:
            invite, self._cancelled = self._invite, True
            self.phone._execute(lambda now: self.phone.endpoint.cancel(invite, now))
        elif not self.is_outgoing:
            self.refuse(480)

    def ring(self, status: int = 180, *, early_media: bool = False) -> None:
        """Send a provisional response; `early_media` lets the phone talk before the answer."""
        body = self._maybe_answer_sdp() if early_media else b""
        if body is None:
            return
        self._respond(status, body)
        self.state = CallState.RINGING
        if early_media:
            self._start_talking()

    def answer(self) -> None:
        """Send 200 with our answer to the offer."""
        if self.is_over or self.was_answered:
            return
        body = self._maybe_answer_sdp()
        if body is not None:
            self._respond(200, body, headers=self.answer_headers)
            self._mark_answered()

    def refuse(self, status: int, reason: str | None = None, *, headers: HeaderPairs = ()) -> None:
        """Send a final response other than 2xx."""
        if self.is_over or self.was_answered:
            return
        self._respond(status, b"", reason, headers)
        self._end(self.phone.name)

    def hold(
        self, style: HoldStyle = "sendonly", level: HoldLevel = "media", *, method: ChangeMethod = "INVITE"
    ) -> None:
        """Re-INVITE, or UPDATE, with a direction or the address 0.0.0.0, for the stream or for the session.

        After a glare (491) the phone tries again by itself (RFC 3261 §14.1).
        """
        direction = Direction.SENDRECV if style == "0.0.0.0" else Direction(style)
        self._offer_again(direction, "0.0.0.0" if style == "0.0.0.0" else self._media.host, level, method)

    def refresh(self, *, method: ChangeMethod = "UPDATE", headers: HeaderPairs = ()) -> None:
        """Offer the session as it is (RFC 4028 §7.4); an UPDATE says nothing of it."""
        if self.dialog is not None and not self.is_over:
            describe = self._offer if method == "INVITE" else lambda: b""
            self.phone._change(self, self.dialog, method, describe, headers)

    def resume(self, *, method: ChangeMethod = "INVITE") -> None:
        """Re-INVITE, or UPDATE, with a sendrecv offer."""
        self._offer_again(Direction.SENDRECV, self._media.host, "media", method)

    def ask_for_offer(self, direction: Direction = Direction.SENDRECV) -> None:
        """Re-INVITE without SDP."""
        if self.dialog is not None and not self.is_over:
            self._local = replace(self._local, direction=direction)
            self.phone._change(self, self.dialog, "INVITE", lambda: b"")

    # Outgoing: driven by the phone

    def _start(self) -> None:
        self.phone._send_invite(self)
        self._script = self.phone.world._start_task(self._play(), f"script of {self.phone.name}")

    def _offer(self) -> bytes:
        return b"" if self.late_offer and self.audio is None else self._offers.make_offer(self._local)

    def _on_response(self, response: Response | None, dialog: DialogId | None) -> None:
        """A response to our INVITE, or None when there was none."""
        if response is None:
            self._end("network")
            return
        self.statuses.append(response.status)
        self.responses.append(response)
        self._show(response)
        if self._tells is not None and response.status != 100:
            self._tells(response.status)
        if response.status < 200:
            self._on_provisional(response, dialog)
        elif response.status < 300:
            self._on_success(response, dialog)
        else:
            self._end("peer" if not self._cancelled else self.phone.name)

    def _on_provisional(self, response: Response, dialog: DialogId | None) -> None:
        if response.status > 100 and not self.is_over:
            self.state = CallState.RINGING
        self.early_dialog = dialog or self.early_dialog
        if reliable_number(response) is not None and dialog is not None:
            is_offer = self.late_offer and self.audio is None and bool(response.body)
            self.phone._prack(dialog, self._late_answer(response) if is_offer else b"")
            if is_offer:
                self._start_talking()
        if response.body and not self.late_offer:
            self._read_answer(response.body)
            self._start_talking()

    def _on_success(self, response: Response, dialog: DialogId | None) -> None:
        assert dialog is not None, "a 2xx to INVITE makes a dialog"
        endpoint = self.phone.endpoint
        answer = self._late_answer(response) if self.late_offer and self.audio is None else b""
        headers = SDP_TYPE if answer else ()
        self.phone._execute(lambda now: endpoint.ack(dialog, now, headers=headers, body=answer))
        if self.is_over or self._cancelled or self.was_answered:
            # Answered while our CANCEL was under way, or a second fork answered: nobody is there for it.
            self.phone._execute(lambda now: endpoint.bye(dialog, now))
            if not self.was_answered:
                self._end(self.phone.name)
            return
        self.dialog = dialog
        self.phone._in_dialog(self, dialog)
        if response.body and not self.late_offer:
            self._read_answer(response.body)
        self._mark_answered()

    def _late_answer(self, response: Response) -> bytes:
        """The offer came in a reliable response: our answer goes into the PRACK or ACK (RFC 3261 §13.2.1)."""
        try:
            body, self.audio = self._offers.make_answer(parse_sdp(response.body), self._local)
        except (NegotiationError, ParseError) as error:
            self._miss(str(error))
            return b""
        return body

    # Incoming

    def _respond(self, status: int, body: bytes = b"", reason: str | None = None, headers: HeaderPairs = ()) -> None:
        invite = self._invite
        assert invite is not None, "an incoming call has its transaction"
        headers = (*headers, *SDP_TYPE) if body else headers
        self.statuses.append(status)
        self.phone._execute(
            lambda now: self.phone.endpoint.respond(invite, status, now, reason=reason, headers=headers, body=body)
        )

    def _maybe_answer_sdp(self) -> bytes | None:
        """Our answer (or our offer, when the INVITE brought none); None when nothing fits, and the call is refused."""
        request = self.request
        assert request is not None, "an incoming call has its INVITE"
        if not request.body:
            return self._offer()
        try:
            body, self.audio = self._offers.make_answer(parse_sdp(request.body), self._local)
        except (NegotiationError, ParseError):
            self.refuse(488)
            return None
        return body

    def _on_cancelled(self, cancel: Request) -> None:
        self.reasons += cancel.headers.get_all("Reason")
        self._end("peer")

    # Both ways

    def _on_offer(self, transaction: TransactionId, request: Request) -> None:
        """A re-INVITE or UPDATE."""
        self._show(request)
        body = b""
        if request.body:
            try:
                body, self.audio = self._offers.make_answer(parse_sdp(request.body), self._local)
            except (NegotiationError, ParseError):
                self.phone._execute(lambda now: self.phone.endpoint.respond(transaction, 488, now))
                return
            self.held_by_peer = self.audio.held
            if self._talker is not None:
                self._talker.payload_type = self.audio.formats[0].send.payload_type
        elif request.method == "INVITE":
            body = self._offer()
        headers = SDP_TYPE if body else ()
        self.phone._execute(lambda now: self.phone.endpoint.respond(transaction, 200, now, headers=headers, body=body))

    def _answer_again(self, response: Response) -> bytes:
        """Our answer to the offer that our re-INVITE has asked for."""
        body = self._late_answer(response)
        if self.audio is not None:
            self.held_by_peer = self.audio.held
        return body

    def _on_bye(self, request: Request) -> None:
        self.reasons += request.headers.get_all("Reason")
        self._end("peer")

    def _read_answer(self, body: bytes) -> None:
        try:
            self.audio = self._offers.read_answer(parse_sdp(body))
        except (NegotiationError, ParseError) as error:
            self.unmet.append(f"{self.phone.name}: {error}")

    def _on_late_answer(self, body: bytes) -> None:
        """The ACK answers the offer of our 200."""
        self._read_answer(body)
        self._start_talking()

    def _offer_again(self, direction: Direction, address: str, level: HoldLevel, method: ChangeMethod) -> None:
        if self.dialog is None or self.is_over:
            return
        self._local = replace(self._local, direction=direction, address=address)
        self.phone._change(self, self.dialog, method, lambda: _at_level(self._offer(), direction, level))

    def _glare_pause(self) -> float:
        """RFC 3261 §14.1: who made the Call-ID waits longer."""
        low, high = (2.1, 4.0) if self.is_outgoing else (0.0, 2.0)
        return round(self.phone.entropy.uniform(low, high), 2)

    def _mark_answered(self) -> None:
        self.state = CallState.ANSWERED
        self.answered_at = self.phone.world.now
        self._answered.set()
        self._start_talking()

    def _end(self, by: str) -> None:
        if self.is_over:
            return
        self.state = CallState.ENDED
        self.ended_at = self.phone.world.now
        self.ended_by = by
        self._answered.set()
        self._over.set()
        self._stop_talking()
        self.phone._forget(self)

    def _on_notify(self, request: Request) -> None:
        try:
            self.transfer_statuses.append(sipfrag_status(request.body))
        except ParseError as error:
            self._miss(str(error))

    # Talking and listening

    def _start_talking(self) -> None:
        interval = self.phone.world.talk(self)
        if self.audio is None or self._talker is not None or interval <= 0 or self.is_over:
            return
        entropy, audio = self.phone.entropy, self.audio
        self._talker = Talker(entropy.uint32(), entropy.uint32() & 0xFFFF, entropy.uint32(), self.phone.tone)
        self._talker.payload_type = audio.formats[0].send.payload_type
        if audio.telephone_event is not None:
            self._talker.telephone_event = audio.telephone_event.send.payload_type
            self.heard.telephone_event = audio.telephone_event.receive.payload_type
        self.phone.world.network.bind(self._media, self._on_rtp)
        self._talk(interval, skipped=0)

    def _talk(self, interval: float, skipped: int) -> None:
        talker, audio = self._talker, self.audio
        if talker is None or audio is None:
            return
        if audio.direction.sends and audio.remote.port:
            self.phone.world.network.send(self._media, audio.remote, talker.packet(skipped=skipped), media=True)
        pause = FRAME_SECONDS if talker.is_pressing else interval
        skip = round(pause / FRAME_SECONDS) - 1
        self._talk_timer = self.phone.world.loop.call_later(pause, self._talk, interval, skip)

    def _stop_talking(self) -> None:
        if self._talk_timer is not None:
            self._talk_timer.cancel()
        if self._talker is not None:
            self._talker = None
            self.phone.world.network.unbind(self._media)

    def _on_rtp(self, data: bytes, source: Address) -> None:
        self.heard.take(data, self.phone.world.now)

    # The script

    def _then(self, step: Callable[[], Awaitable[None]]) -> PhoneCall:
        self._steps.append(step)
        if self._script is not None and self._script.done() and not self.is_over:
            # It has done all that it was told before.
            self._script = self.phone.world._start_task(self._play(), f"script of {self.phone.name}")
        return self

    async def _play(self) -> None:
        for step in self._steps:
            await step()
        self._steps.clear()

    async def _pause(self, seconds: float) -> None:
        """Wait, but no longer than the call lasts."""
        if seconds > 0 and not self.is_over:
            await _wait(self._over, seconds)

    async def _later(self, seconds: float, action: Callable[[], None]) -> None:
        await self._pause(seconds)
        if not self.is_over:
            action()

    async def _when_answered(self, seconds: float, action: Callable[[], None]) -> None:
        await self._answered.wait()
        await self._later(seconds, action)

    async def _press(self, digits: str, after: float) -> None:
        await self._answered.wait()
        await self._pause(after)
        if self._talker is None:
            self._miss(f"could not press {digits}: the call was over or has no audio")
            return
        if self._talk_timer is not None:
            self._talk_timer.cancel()
        for digit in digits:
            self._talker.press(digit)
        self._talk(self.phone.world.talk(self), skipped=0)
        while self._talker is not None and self._talker.is_pressing:
            await asyncio.sleep(FRAME_SECONDS)

    async def _listen(self, hertz: int, within: float) -> None:
        since = self.phone.world.now
        while not self.heard.hears(hertz, since=since):
            if self.is_over or self.phone.world.now >= since + within:
                self._miss(f"expected a tone of {hertz} Hz, heard {self.heard.tone(since=since)}")
                return
            await asyncio.sleep(LISTEN_STEP)

    def _miss(self, what: str) -> None:
        self.unmet.append(f"{self.phone.name} at {self.phone.world.now:.3f}: {what}")


def _at_level(body: bytes, direction: Direction, level: HoldLevel) -> bytes:
    """The description with its direction and address in the session's part, or in the stream's."""
    lines = body.split(b"\r\n")
    stream = next(index for index, line in enumerate(lines) if line.startswith(b"m="))
    if level == "session":
        line = b"a=" + direction.word.encode()
        lines.remove(line)
    else:
        line = next(line for line in lines if line.startswith(b"c="))
        lines.remove(line)
    lines.insert(stream, line)
    return b"\r\n".join(lines)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
