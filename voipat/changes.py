"""Changes of a session that we want from the peer of one leg, by re-INVITE or UPDATE: one at a time, in their order.

What cannot go now waits: for a change that is under way here until that is over, after a 491 for the pause of RFC 3261
§14.1, after a 500 for its Retry-After (§14.2, RFC 3311 §5.2). A refusal leaves the session as it was (§14.1).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from sipcore.errors import LocalProtocolError, NegotiationError, ParseError
from sipcore.events import RequestFailed, ResponseReceived
from sipcore.message import Response
from voipat.auth_gate import ALLOW
from voipat.legs import SDP
from voipat.session_refresh import glare_pause

if TYPE_CHECKING:
    from voipat.call import Call

# Refusals of one change that ask for another try; at least half a minute goes by.
MAX_TRIES: Final = 10
# Changes of one leg that wait; a program that wants more is told that one is under way.
MAX_WAITING: Final = 16
# How soon to look again whether the change that is under way here is over; it always ends, by its timers.
LOOK_AGAIN_S: Final = 0.2
# A Retry-After of ten seconds is the longest that §14.2 gives.
LONGEST_PAUSE_S: Final = 10.0

Headers = tuple[tuple[str, str], ...]


class Message(NamedTuple):
    """What is sent. With a body it is an offer."""

    method: str
    headers: Headers = ()
    body: bytes = b""


class Change(Protocol):
    """Something to tell the peer."""

    def message(self) -> Message | None:
        """As it is due now; None when nothing is left to tell."""
        ...

    def done(self, status: int) -> None:
        """How it ended: after a 2xx the answer is in force; 481 when the call is over first."""
        ...


class Changes:
    """The changes of one leg."""

    __slots__ = ("_sent", "_timer", "_tries", "_user", "_waiting")

    def __init__(self, call: Call) -> None:
        # Let go of at the end, so that an ended call is in no cycle.
        self._user: Call | None = call
        self._waiting: list[Change] = []
        self._sent: Change | None = None
        self._tries = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, change: Change) -> None:
        """Make this change, now or when its turn comes."""
        if self._user is None or len(self._waiting) >= MAX_WAITING:
            change.done(481 if self._user is None else 491)
            return
        self._waiting.append(change)
        self.proceed()

    def proceed(self) -> None:
        """Send the next change, unless one is under way."""
        call = self._user
        if self._timer is not None or self._sent is not None or call is None:
            return
        if call.direction == "inbound" and not call.was_acknowledged:
            return  # The ACK to our 2xx comes first, and then calls this.
        while self._waiting and self._user is not None:
            change = self._waiting[0]
            message = change.message()
            if message is not None:
                self._send(call, change, message)
                return
            self._finish(200)

    def close(self) -> None:
        """The leg is over."""
        if self._timer is not None:
            self._timer.cancel()
        self._user = self._timer = self._sent = None
        waiting, self._waiting = self._waiting, []
        for change in waiting:
            change.done(481)

    def _send(self, call: Call, change: Change, message: Message) -> None:
        dialog = call.leg.dialog
        if dialog is None:
            self._finish(481)
            return
        described = (SDP,) if message.body else ()
        headers = (("Allow", ALLOW), *call.session.request_headers(), *message.headers, *described)
        request = _Sent(self, call, has_offer=bool(message.body))
        try:
            call.switch.exchange.send_in_dialog(request, dialog, message.method, headers, message.body)
        except LocalProtocolError as error:
            request.withdraw()
            if error.status_hint == 491:
                self._pause(call, LOOK_AGAIN_S)
            else:
                self._finish(481)
        else:
            self._sent = change

    def answered(self, call: Call, response: Response, status: int) -> None:
        """The final response to what was sent; `status` is 488 for a 2xx without a usable answer."""
        self._sent = None
        if self._user is None:
            return
        pause = _asked_to_wait(call, response, status)
        self._tries += 1
        if pause is not None and self._tries < MAX_TRIES:
            call.note("%s takes no change now (%d), again in %g s", call.id, status, pause)
            self._pause(call, pause)
            return
        self._finish(status)
        self.proceed()

    def lost(self) -> None:
        """No response: the dialog ends, and the call with it."""
        self._sent = None
        if self._user is not None:
            self._finish(408)
            self.proceed()

    def _finish(self, status: int) -> None:
        self._tries = 0
        self._waiting.pop(0).done(status)

    def _pause(self, call: Call, seconds: float) -> None:
        self._timer = call.switch.loop.call_later(seconds, self._again)

    def _again(self) -> None:
        self._timer = None
        self.proceed()


def _asked_to_wait(call: Call, response: Response, status: int) -> float | None:
    if status == 491:
        return glare_pause(call)
    if status != 500:
        return None
    # §14.2: it "MUST include a Retry-After header field with a randomly chosen value of between 0 and 10 seconds".
    value = (response.headers.get("Retry-After") or "").partition(";")[0].partition("(")[0].strip()
    return min(float(value), LONGEST_PAUSE_S) if value.isascii() and value.isdigit() else None


class _Sent:
    """A request on its way. It is acknowledged and read even when nobody waits for it any more."""

    def __init__(self, changes: Changes, call: Call, *, has_offer: bool) -> None:
        self._changes = changes
        self._call = call
        self._has_offer = has_offer

    def withdraw(self) -> None:
        """Nothing came of our offer: what was agreed on before stands (RFC 6141 §3.1)."""
        if self._has_offer and self._call.media is not None:
            self._call.media.offer_refused()

    def on_response(self, event: ResponseReceived) -> None:
        """A final one ends it."""
        call, response = self._call, event.response
        status = response.status
        if status < 200:
            return
        if status < 300:
            status = self._read(event)
        if status >= 300:
            self.withdraw()
        self._changes.answered(call, response, status)

    def _read(self, event: ResponseReceived) -> int:
        call, response = self._call, event.response
        if response.cseq.method == "INVITE" and event.dialog is not None:
            call.switch.exchange.ack(event.dialog)
        if call.outcome is not None:
            return response.status
        call.session.agreed(response)
        if not self._has_offer or call.media is None:
            return response.status
        try:
            call.media.read_answer(response.body)
        except (ParseError, NegotiationError):
            return 488
        return response.status

    def on_failure(self, event: RequestFailed) -> None:
        """The peer is silent."""
        self.withdraw()
        self._changes.lost()
