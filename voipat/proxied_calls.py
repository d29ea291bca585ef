"""What is known of calls that only pass: enough for a CDR, until the BYE has passed or the call is too old.

The dialog belongs to the phones. Each INVITE that passes has its CDR, whatever Call-ID the caller gives it, and an
answered one is found by its dialog. A call whose BYE never came this way is ended by its age, with a cause that says
so.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sipcore.events import RelayedInDialog, RelayEnded, RelayReceived, TransactionId
from sipcore.uri import Uri
from voipat import events, reasons
from voipat.accounts import Identity
from voipat.outcomes import reason_of_status
from voipat.reasons import Reason

if TYPE_CHECKING:
    from voipat.switch import Switch

# Beyond these the oldest is closed.
MAX_CALLS: Final = 100_000
MAX_AGE_S: Final = 12 * 3600.0


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
        self._switch.publish(events.CallAnswered(call.id, call.id, call.tenant, call.answered, None))

    def refused(self, event: RelayReceived, reason: Reason, status: int) -> None:
        """We have answered an INVITE ourselves."""
        call = self._calls.get(event.transaction)
        if call is not None:
            self._end(call, "server", reason, status)

    def passed(self, event: RelayedInDialog) -> None:
        """A request of a call under way has passed."""
        request = event.request
        if request.method != "BYE":
            return
        call_id, from_tag, to_tag = request.call_id, request.from_.tag or "", request.to.tag or ""
        if (call := self._answered.get((call_id, from_tag, to_tag))) is not None:
            self._end(call, "caller", reasons.NORMAL_CLEARING, 200)
        elif (call := self._answered.get((call_id, to_tag, from_tag))) is not None:
            self._end(call, "callee", reasons.NORMAL_CLEARING, 200)

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
