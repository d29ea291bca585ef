"""What is known of calls that only pass: enough for a CDR, until the BYE has passed or the call is too old.

The dialog belongs to the phones. Each INVITE that passes has its CDR, whatever Call-ID the caller gives it, and an
answered one is found by its dialog. A call whose BYE never came this way is ended by its age, with a cause that says
so.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from sipcore.events import RelayedInDialog, RelayEnded, RelayReceived, TransactionId
from sipcore.session_timer import session_expires
from sipcore.uri import Uri
from voipat import events, reasons
from voipat.accounts import Identity
from voipat.alarms import Alarm
from voipat.outcomes import reason_of_status
from voipat.reasons import Reason

if TYPE_CHECKING:
    from voipat.switch import Switch

# Beyond these the oldest is closed.
MAX_CALLS: Final = 100_000
MAX_AGE_S: Final = 12 * 3600.0
# A call without a session timer of which nothing passes for so long keeps its place no more: both phones may have lost
# their power, and their next calls must not be refused for it all day.
PLACE_S: Final = 4 * 3600.0
# How long after the end of a session (RFC 4028 §10) a refresh may still be on its way.
LATE_S: Final = 32.0


@dataclass(slots=True)
class _Passing:
    id: str
    tenant: str
    caller: str
    callee: str
    call_id: str
    from_tag: str
    transaction: TransactionId
    started: float
    started_now: float
    to_tag: str = ""
    answered: float | None = None
    answered_now: float | None = None
    # When a request of it passed last, how long it lasts without one, and whether it is over then.
    seen_now: float = 0.0
    lasts_s: float = PLACE_S
    has_timer: bool = False
    alarm: Alarm | None = None
    # What it takes while it lasts.
    place: ExitStack = field(default_factory=ExitStack)


class ProxiedCalls:
    """Publishes the events of a leg for each INVITE that passes."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self._calls: OrderedDict[TransactionId, _Passing] = OrderedDict()
        self._answered: dict[tuple[str, str, str], _Passing] = {}

    def started(self, event: RelayReceived, identity: Identity | None) -> str:
        """An INVITE that starts a call; the call's id, for the trace."""
        switch, request = self._switch, event.request
        self._forget_old()
        call = _Passing(
            id=switch.entropy.token(8),
            tenant="" if identity is None else identity.tenant,
            caller=_user(request.from_.uri) if identity is None else identity.user,
            callee=_user(request.uri),
            call_id=request.call_id,
            from_tag=request.from_.tag or "",
            transaction=event.transaction,
            started=switch.wallclock(),
            started_now=switch.loop.time(),
        )
        self._calls[event.transaction] = call
        switch.publish(
            events.CallStarted(
                call.id, call.id, call.tenant, "a", "inbound", call.caller, call.callee, call.call_id, call.started
            )
        )
        return call.id

    def hold(self, transaction: TransactionId, place: ExitStack) -> None:
        """Give this back when the call is over."""
        self._calls[transaction].place = place

    def answered_or_failed(self, event: RelayEnded) -> None:
        """The final response to an INVITE has passed."""
        call = self._calls.get(event.transaction)
        if call is None:
            return
        if event.status >= 300:
            reason = reason_of_status(event.status)
            by = "caller" if event.status == 487 else "callee" if event.response is not None else "server"
            self._end(call, by, reason, event.status)
            return
        call.answered, call.answered_now = self._switch.wallclock(), self._switch.loop.time()
        if event.response is not None:
            call.to_tag = event.response.to.tag or ""
            self._answered[call.call_id, call.from_tag, call.to_tag] = call
            session = session_expires(event.response)
            if session is not None:
                call.has_timer, call.lasts_s = True, session.seconds + LATE_S
        call.seen_now = call.answered_now
        call.alarm = self._switch.alarms.call_later(call.lasts_s, partial(self._silent, call))
        self._switch.publish(events.CallAnswered(call.id, call.id, call.tenant, call.answered, None))

    def refused(self, event: RelayReceived, reason: Reason, status: int) -> None:
        """We have answered an INVITE ourselves."""
        call = self._calls.get(event.transaction)
        if call is not None:
            self._end(call, "server", reason, status)

    def passed(self, event: RelayedInDialog) -> None:
        """A request of a call under way has passed."""
        request, by = event.request, "caller"
        call_id, from_tag, to_tag = request.call_id, request.from_.tag or "", request.to.tag or ""
        call = self._answered.get((call_id, from_tag, to_tag))
        if call is None:
            by, call = "callee", self._answered.get((call_id, to_tag, from_tag))
        if call is None:
            return
        call.seen_now = self._switch.loop.time()
        if request.method == "BYE":
            self._end(call, by, reasons.NORMAL_CLEARING, 200)

    def close(self) -> None:
        """Nothing more is seen: what is under way has its CDR now, and goes on without us."""
        for call in tuple(self._calls.values()):
            if call.answered is None:
                self._end(call, "server", reasons.SHUTDOWN, reasons.SHUTDOWN.status)
            else:
                self._end(call, "server", reasons.END_NOT_SEEN, 200)

    def _silent(self, call: _Passing) -> None:
        """Whether anything has passed meanwhile; otherwise the session is over, or the place is given back at least."""
        left = call.seen_now + call.lasts_s - self._switch.loop.time()
        if left > 0.0:
            call.alarm = self._switch.alarms.call_later(left, partial(self._silent, call))
        elif call.has_timer:
            self._end(call, "server", reasons.END_NOT_SEEN, 200)
        else:
            call.place.close()

    def _forget_old(self) -> None:
        now = self._switch.loop.time()
        while self._calls:
            oldest = next(iter(self._calls.values()))
            if len(self._calls) < MAX_CALLS and now - oldest.started_now < MAX_AGE_S:
                return
            self._end(oldest, "server", reasons.END_NOT_SEEN, 200)

    def _end(self, call: _Passing, by: str, reason: Reason, status: int) -> None:
        del self._calls[call.transaction]
        dialog = (call.call_id, call.from_tag, call.to_tag)
        if self._answered.get(dialog) is call:
            del self._answered[dialog]
        if call.alarm is not None:
            call.alarm.cancel()
        call.place.close()
        switch = self._switch
        now = switch.loop.time()
        switch.publish(
            events.CallEnded(
                id=call.id,
                linked_id=call.id,
                tenant=call.tenant,
                leg="a",
                direction="inbound",
                caller=call.caller,
                callee=call.callee,
                call_id=call.call_id,
                started=call.started,
                answered=call.answered,
                ended=switch.wallclock(),
                duration_s=now - call.started_now,
                billable_s=0.0 if call.answered_now is None else now - call.answered_now,
                disposition=reason.disposition if call.answered is None else "answered",
                hangup_by=by,
                cause=events.Cause(status, reason.q850, reason.id, reason.text),
                media=events.MediaFigures(),
                attempts=0,
            )
        )


def _user(uri: Uri) -> str:
    return uri.user or uri.host
