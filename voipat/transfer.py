"""Transfers (RFC 3515, 3891, 5589): a phone's REFER, an INVITE with Replaces, and the verb of a handler.

We are the one that both phones talk to, so we carry a transfer out ourselves: the transferee is led through the same
handlers, and thereby the same admission and routing, as if it had called the target. Until the target takes the call
nothing is lost: the two stay joined, a refusal leaves them so, and the transferor may hang up before it is decided.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from sipcore.errors import LocalProtocolError, ParseError
from sipcore.events import RequestFailed, RequestReceived, ResponseReceived
from sipcore.refer import SIPFRAG, ReferTo, Replaces, refer_to_of, sipfrag, sipfrag_status, wants_subscription
from sipcore.subscription import EventField
from sipcore.uri import Uri
from voipat import events, reasons
from voipat.auth_gate import ALLOW
from voipat.errors import CallOutcome, Rejected
from voipat.parties import as_sip, called_by
from voipat.reasons import Reason
from voipat.renegotiation import renegotiate
from voipat.watching import Headers, Watch

if TYPE_CHECKING:
    from voipat.call import Call
    from voipat.switch import Handler, Switch

# RFC 3515 §2.4.4: the subscription that a REFER makes; longer than any phone rings.
REFER_EXPIRES: Final = 180
DEFAULT_TRANSFER_S: Final = 30.0


# A REFER that comes to us


def receive_refer(call: Call, event: RequestReceived) -> None:
    """Answer a REFER within a call, and begin what it asks for."""
    exchange = call.switch.exchange
    try:
        target = refer_to_of(event.request)
        target = replace(target, uri=as_sip(target.uri, call.tenant))
        consultation = None if target.replaces is None else find_replaced(call.switch, call.tenant, target.replaces)
    except ParseError as error:
        warning = reasons.BAD_REFER.warning(str(event.flow.local))
        exchange.respond(event.transaction, error.status_hint, (warning,))
        return
    refusal = _refusal(call, target, consultation)
    if refusal is not None:
        exchange.refuse(event, refusal)
        return
    assert call.bridge_ is not None and event.dialog is not None, "looked at by _refusal"
    progress = Progress(call, event)
    transfer = Transfer(call, call.bridge_.other(call), target.uri, progress, consultation)
    call.note("%s transfers %s to %s", call.id, transfer.transferee.id, target.uri)
    transfer.start()


def _refusal(call: Call, target: ReferTo, consultation: Call | None) -> Reason | None:
    """RFC 3515 §5.2: who refers decides whom we call, so only our own phones may, and only within their tenant."""
    bridge, switch = call.bridge_, call.switch
    if call.outcome is not None or not call.may_refer:
        return reasons.NO_TRANSFER
    if target.replaces is not None and (consultation is None or consultation is call):
        # RFC 5057 §5.1: a phone takes 481 for one of its own call, and hangs up.
        return reasons.NOTHING_TO_TAKE_OVER
    flow = call.leg.flow
    domain = None if flow is None else switch.domain_of(target.uri, flow)
    if domain not in (None, call.tenant):
        return reasons.NO_TRANSFER
    if bridge is None:
        return reasons.NO_TRANSFER
    if bridge.is_busy or bridge.other(call).outcome is not None:
        return reasons.CHANGE_PENDING
    return None if switch.on_refer is None else switch.on_refer(call, target.uri)


def find_replaced(switch: Switch, tenant: str, replaces: Replaces) -> Call | None:
    """The leg whose dialog with us a Replaces names, of this tenant only; None when there is none."""
    identifier = switch.exchange.endpoint.dialog_named(replaces.call_id, replaces.to_tag, replaces.from_tag)
    if identifier is None:
        return None
    user = switch.exchange.dialogs.get(identifier)
    for call in switch.calls.values():
        for each in (call, *call.attempts):
            if each is user or (each.outcome is None and each.leg.has_dialog(identifier)):
                return each if each.tenant == tenant else None
    return None


class Progress:
    """The subscription that a REFER makes: what the transferor is told of it."""

    def __init__(self, call: Call, event: RequestReceived) -> None:
        self._call = call
        self._status = 100
        self._watch: Watch | None = None
        self._finished = False
        exchange, request = call.switch.exchange, event.request
        assert event.dialog is not None, "a REFER within a call"
        if not wants_subscription(request):
            exchange.respond(event.transaction, 200, (("Refer-Sub", "false"),))
            return
        # RFC 3515 §2.4.6: from the second on the `id` "MUST" be there; a phone that knows one REFER ignores it.
        id_ = str(request.cseq.number) if call.was_referred else None
        call.was_referred = True
        self._watch = Watch(exchange, event.dialog, EventField("refer", id_), self, loop=call.switch.loop)
        call.refers.append(self)
        exchange.respond(event.transaction, 202, (("Allow", ALLOW),))
        self._watch.subscribed(REFER_EXPIRES)

    @property
    def event(self) -> EventField:
        """What tells it from others of the same dialog."""
        return EventField("refer") if self._watch is None else self._watch.machine.event

    def tell(self, status: int) -> None:
        """How the target's phone reacts."""
        if self._watch is not None and status > self._status and not self._finished:
            self._status = status
            self._watch.changed()

    def finish(self, status: int) -> None:
        """How it ended. RFC 3515 §2.4.7: then the subscription is over too."""
        if self._finished:
            return
        self._finished, self._status = True, status
        if self._watch is None or self._watch.is_over:
            self._hang_up()
        else:
            self._watch.end("noresource")

    def refresh(self, expires: int) -> None:
        """A SUBSCRIBE of the transferor: more time, or no more NOTIFYs."""
        if self._watch is not None:
            self._watch.subscribed(min(expires, REFER_EXPIRES))

    def render(self, watch: Watch) -> tuple[Headers, bytes]:
        """The sipfrag."""
        return (("Content-Type", SIPFRAG), ("Allow", ALLOW)), sipfrag(self._status)

    def closed(self, watch: Watch) -> None:
        """The transferor knows how it ended, or does not want to."""
        if self in self._call.refers:
            self._call.refers.remove(self)
        self._watch = None
        if self._finished:
            self._hang_up()

    def _hang_up(self) -> None:
        # Its own BYE may cross ours; a phone that waits for the server to hang up gets it.
        if self._status < 300:
            self._call.end("server", reasons.TRANSFERRED)


def receive_subscribe(call: Call, event: RequestReceived) -> bool:
    """A SUBSCRIBE within a call refreshes the subscription of a REFER; False when it is not about one."""
    try:
        wanted = EventField.parse(event.request.headers.get("Event") or "")
        expires = event.request.expires
    except ParseError:
        return False
    for progress in call.refers:
        if progress.event == wanted or (wanted.package == "refer" and wanted.id is None and len(call.refers) == 1):
            granted = REFER_EXPIRES if expires is None else min(expires, REFER_EXPIRES)
            call.switch.exchange.respond(event.transaction, 200, (("Expires", str(granted)),))
            progress.refresh(granted)
            return True
    return False


class Teller(Protocol):
    """Tells the transferor how it goes."""

    def tell(self, status: int) -> None: ...

    def finish(self, status: int) -> None: ...


class Transfer:
    """The transferee on its way to the target, in a task of its own, until the target has taken the call."""

    def __init__(
        self,
        transferor: Call,
        transferee: Call,
        target: Uri,
        progress: Teller,
        consultation: Call | None,
        *,
        handler: Handler | None = None,
    ) -> None:
        """`handler` runs for the transferee instead of the target's."""
        self.transferor: Final = transferor
        self.transferee: Final = transferee
        self._target = target
        self._progress = progress
        self._consultation = consultation
        self._handler = handler
        self._is_committed = False
        self._was_listed = False
        self._role = transferee.role
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin. The transferee no longer ends with the transferor."""
        transferee, switch = self.transferee, self.transferee.switch
        assert transferee.bridge_ is not None, "only calls that are joined are transferred"
        transferee.bridge_.transfer_ = transferee.transfer_ = self
        self.transferor.release(transferee)
        self._was_listed = transferee.id in switch.calls
        switch.calls[transferee.id] = transferee
        self.task = switch.spawn(self._run())

    def tell(self, status: int) -> None:
        """The target's phone rings."""
        self._progress.tell(status)

    def commit(self) -> None:
        """The target takes the call: from here on the transferee is its new handler's."""
        transferee, bridge = self.transferee, self.transferee.bridge_
        self._is_committed = True
        transferee.transfer_ = None
        transferee.task = self.task
        transferee.release(self.transferor)
        if bridge is not None:
            bridge.part(self.transferor)
        renegotiate(transferee)
        call = self.transferor
        transferee.switch.publish(
            events.CallTransferred(
                id=transferee.id,
                linked_id=transferee.linked_id,
                tenant=transferee.tenant,
                transferor=call.id,
                transferee=transferee.caller,
                target=transferee.callee,
                moved=transferee.switch.wallclock(),
            )
        )
        self._progress.finish(200)

    async def _run(self) -> None:
        transferee, switch = self.transferee, self.transferee.switch
        if self._consultation is not None and self._consultation.bridge_ is None:
            # Semi-attended (RFC 5589 §7.5): the consultation still rings; its target is called anew for the transferee.
            consultation, self._consultation = self._consultation, None
            consultation.end("server", reasons.COMPLETED_ELSEWHERE, status=487)
        transferee.take_role(self._target, by=self.transferor)
        handler = self._handler
        if handler is None:
            handler = switch.handler_of(transferee) if self._consultation is None else joins(self._consultation)
        outcome = await switch.run_handler(transferee, handler)
        if not self._is_committed:
            self._fail(outcome)

    def _fail(self, outcome: CallOutcome | None) -> None:
        transferee, transferor = self.transferee, self.transferor
        reason = reasons.NOT_TAKEN if outcome is None else outcome.reason
        status = reason.status if outcome is None else outcome.status
        self._progress.finish(status if status >= 300 else 487)
        transferee.role = self._role
        transferee.transfer_ = None
        bridge = transferee.bridge_
        if bridge is not None:
            bridge.transfer_ = None
            bridge.wake()
        if self._was_listed:
            return
        if transferor.outcome is None and bridge is not None and bridge.leaver is None:
            transferee.switch.calls.pop(transferee.id, None)
            transferor.adopt_again(transferee)
            return
        transferee.end("server", reason)
        transferee.settle(None)
        transferee.switch.forget(transferee)


def joins(replaced: Call) -> Handler:
    """A handler that takes the place of a call that talks with somebody."""

    async def join(call: Call) -> None:
        if replaced.bridge_ is None or replaced.outcome is not None:
            raise Rejected(reasons.NO_SUCH_CALL)
        await call.answer()
        if replaced.bridge_ is None:
            raise Rejected(reasons.NO_SUCH_CALL)
        peer = take_peer(call, replaced)
        for each in (call, peer):
            renegotiate(each)
        await call.bridge(peer)

    return join


def take_peer(call: Call, replaced: Call) -> Call:
    """The other side of `replaced` is with `call` now, and belongs to it; `replaced` is hung up."""
    bridge = replaced.bridge_
    assert bridge is not None, "looked at before"
    peer = bridge.other(replaced)
    switch = call.switch
    for each, other in ((replaced, peer), (peer, replaced)):
        each.release(other)
    # A handler of its own is told by `Transferred` that the call is not its any more.
    peer.task = None
    peer.fork = None
    switch.forget(peer)
    bridge.part(replaced)
    call.adopt_again(peer)
    joined = peer.linked_id
    switch.join(joined, call.linked_id)
    switch.publish(
        events.CallTransferred(
            id=peer.id,
            linked_id=call.linked_id,
            tenant=call.tenant,
            transferor=replaced.id,
            transferee=call.caller,
            target=peer.callee,
            moved=switch.wallclock(),
            joined=joined,
        )
    )
    replaced.end("server", reasons.TRANSFERRED)
    return peer


# An INVITE with Replaces


def replaces_handler(replaced: Call, replaces: Replaces) -> Handler | Reason:
    """What becomes of an INVITE that wants the place of `replaced` (RFC 3891 §3)."""
    if replaced.answered is not None:
        return reasons.BUSY if replaces.early_only or replaced.bridge_ is None else joins(replaced)
    if replaced.fork is None or replaced.direction == "inbound":
        # "If the Replaces header field matches an early dialog that was not initiated by this UA, [...] 481".
        return reasons.NO_SUCH_CALL
    return _picks_up(replaced)


def _picks_up(ringing: Call) -> Handler:
    async def pick_up(call: Call) -> None:
        fork = ringing.fork
        if fork is None:
            raise Rejected(reasons.BUSY)
        await fork.pick_up(call)
        await call.hung_up()

    return pick_up


# The verb of a handler


async def transfer(call: Call, target: str | Uri | Call, *, how: str, timeout: float) -> None:
    """As `Call.transfer` says."""
    from voipat.call import Call

    if isinstance(target, Call):
        if how == "refer" and await _refer(call, _attended(target), timeout):
            return
        await call.bridge(target)
        return
    uri = called_by(target, call.tenant or call.to.host)
    if how == "refer" and await _refer(call, ReferTo(uri), timeout):
        return
    call.take_role(uri, by=call)
    handler = call.switch.handler_of(call)
    if handler is None:
        raise Rejected(reasons.UNKNOWN_NUMBER)
    await handler(call)


def _attended(other: Call) -> ReferTo:
    view = None if other.leg.dialog is None else other.switch.exchange.endpoint.dialog(other.leg.dialog)
    if view is None:
        raise Rejected(reasons.NO_SUCH_CALL)
    return ReferTo(view.remote_target, Replaces.of(view))


async def _refer(call: Call, target: ReferTo, timeout: float) -> bool:
    """Ask the peer to call the target itself; False when it refuses to.

    Raises: Rejected when it tried in vain, HungUp when it hung up before it said how it went.
    """
    await call.answer()
    if call.leg.dialog is None:
        return False
    referral = Referral(call)
    call.referral_ = referral
    by = f"<sip:{call.tenant or call.to.host}>"
    headers = (("Refer-To", str(target)), ("Referred-By", by), ("Allow", ALLOW))
    timer = call.switch.loop.call_later(timeout, referral.expire)
    try:
        call.switch.exchange.send_in_dialog(referral, call.leg.dialog, "REFER", headers)
        status = await referral.wait()
    except LocalProtocolError:
        return False
    finally:
        timer.cancel()
        call.referral_ = None
    if not referral.was_accepted:
        return False
    if status >= 300:
        raise Rejected(reasons.TRANSFER_FAILED, status=status, by="callee")
    call.end("server", reasons.TRANSFERRED, by_handler=True)
    return True


class Referral:
    """A REFER of ours: its response, and the NOTIFYs that tell how it goes."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._waiter = call.new_waiter()
        self._status = 0
        self.was_accepted = False

    async def wait(self) -> int:
        """The final status. Raises: HungUp."""
        try:
            await self._waiter
        finally:
            self._call.no_longer_wakes(self._waiter)
        if self._status == 0 and self._call.outcome is not None:
            raise self._call.outcome
        return self._status

    def expire(self) -> None:
        """It takes too long."""
        self._done(408)

    def on_response(self, event: ResponseReceived) -> None:
        """Whether the peer will try."""
        status = event.response.status
        if status >= 300:
            self._done(status)
        elif status >= 200:
            self.was_accepted = True
            if (event.response.headers.get("Refer-Sub") or "").strip().lower() == "false":
                self._done(200)

    def on_failure(self, event: RequestFailed) -> None:
        """No answer."""
        self._done(408)

    def notified(self, event: RequestReceived) -> None:
        """How it goes."""
        self.was_accepted = True
        exchange = self._call.switch.exchange
        try:
            status = sipfrag_status(event.request.body)
        except ParseError:
            exchange.refuse(event, reasons.BAD_REFER)
            return
        exchange.respond(event.transaction, 200)
        is_over = (event.request.headers.get("Subscription-State") or "").lower().startswith("terminated")
        if status >= 200 or is_over:
            self._done(status if status >= 200 else 487)

    def _done(self, status: int) -> None:
        if not self._waiter.done():
            self._status = status
            self._waiter.set_result(None)
