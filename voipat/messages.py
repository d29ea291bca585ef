"""Pager-mode messages (RFC 3428): one to a user goes to all his phones, one within a call to its other side."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Final

from sipcore.errors import LocalProtocolError
from sipcore.events import RequestFailed, RequestReceived, ResponseReceived
from sipcore.fields import NameAddr
from sipcore.message import Request
from sipcore.uri import Uri, escape_user
from voipat import reasons
from voipat.accounts import Identity
from voipat.asking import ask
from voipat.dialing import target_of
from voipat.exchange import Exchange
from voipat.location import Binding
from voipat.parties import name_of
from voipat.reasons import Reason

if TYPE_CHECKING:
    from voipat.call import Call

# RFC 3428 §8: "The size of MESSAGE requests outside of a media session MUST NOT exceed 1300 bytes".
MAX_MESSAGE: Final = 1300
# Of one that comes over TCP or TLS; to phones on UDP it does not go.
MAX_LARGE_MESSAGE: Final = 32_768
ACCEPTED: Final = "text/plain, text/html, message/cpim, application/im-iscomposing+xml"
_KINDS: Final = frozenset(kind.strip() for kind in ACCEPTED.split(","))
# How long the phones have before the sender is told that nobody took it.
ANSWER_S: Final = 10.0
# With these a phone says that it cannot now; with another failure, that it never will.
_NOT_NOW: Final = frozenset((408, 430, 480, 486, 500, 503, 504))
# Messages under way at once; more are answered 503.
MAX_UNDER_WAY: Final = 1000


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a user of `tenant` to another, or to an address of ours."""

    tenant: str
    sender: str
    recipient: str
    content_type: str
    body: bytes
    # When it was sent, wallclock seconds, of one that waited.
    sent: float | None = None

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")


class Kept(enum.Enum):
    """What a handler says of a message that it delivers later: the sender is told 202 (RFC 3428 §7)."""

    FOR_LATER = "for later"


# Takes a message: None when it is delivered, Kept.FOR_LATER, or why not.
MessageHandler = Callable[[Message], Awaitable[Reason | Kept | None]]


def refusal_of(request: Request, *, is_reliable: bool) -> Reason | None:
    """Why a MESSAGE is not taken, by what it carries alone."""
    # RFC 3428 §8 lets it be larger where every hop has congestion control; our next one has to have it too then.
    if len(request.body) > (MAX_LARGE_MESSAGE if is_reliable else MAX_MESSAGE):
        return reasons.MESSAGE_TOO_LARGE
    kind = (request.headers.get("Content-Type") or "text/plain").partition(";")[0].strip().lower()
    return None if kind in _KINDS else reasons.UNKNOWN_MESSAGE_TYPE


def refuse(exchange: Exchange, event: RequestReceived, reason: Reason) -> None:
    """Say why not, and what would be taken."""
    headers = {415: (("Accept", ACCEPTED),), 503: (("Retry-After", "10"),)}.get(reason.status, ())
    exchange.refuse(event, reason, headers)


def text_message(tenant: str, sender: str, recipient: str, text: str) -> Message:
    """Plain text. Raises: ValueError, too long."""
    message = Message(tenant, sender, recipient, "text/plain;charset=utf-8", text.encode())
    if len(message.body) > MAX_MESSAGE:
        raise ValueError(f"a message has at most {MAX_MESSAGE} bytes")
    return message


class Messages:
    """The messages of an App: each is carried by a task of its own. `handler` takes them instead of the phones."""

    def __init__(
        self,
        exchange: Exchange,
        lookup: Callable[[str, str], Sequence[Binding]],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self.handler: MessageHandler | None = None
        self._exchange = exchange
        self._lookup = lookup
        self._spawn = spawn
        self._under_way = 0

    def receive(self, event: RequestReceived, identity: Identity, to: Uri) -> None:
        """A user's MESSAGE outside of a call; `to` in our domains' canonical form."""
        refusal = refusal_of(event.request, is_reliable=event.flow.reliable)
        if refusal is None and to.host.lower() != identity.tenant:
            # H12: another tenant's users are as unknown as nobody's.
            refusal = reasons.UNKNOWN_NUMBER
        if refusal is None and self._under_way >= MAX_UNDER_WAY:
            refusal = reasons.TOO_MANY_MESSAGES
        if refusal is not None:
            refuse(self._exchange, event, refusal)
            return
        kind = event.request.headers.get("Content-Type") or "text/plain"
        message = Message(identity.tenant, identity.user, name_of(to), kind, event.request.body)
        self._under_way += 1
        self._spawn(self._carry(message, event))

    async def take(self, message: Message) -> Reason | Kept | None:
        """As one that a user has sent: the handler has it, or without one the recipient's phones."""
        return await (self.handler or self.deliver)(message)

    async def _carry(self, message: Message, event: RequestReceived) -> None:
        try:
            outcome = await self.take(message)
        except Exception:
            self._exchange.failed("the handler of a message failed", event.request.call_id)
            outcome = reasons.INTERNAL_ERROR
        finally:
            self._under_way -= 1
        if isinstance(outcome, Reason):
            refuse(self._exchange, event, outcome)
        else:
            # RFC 3428 §7: "A UAS which is, in fact, a message relay, storing the message and forwarding it later on …
            # SHOULD return a 202 (Accepted) response".
            self._exchange.respond(event.transaction, 200 if outcome is None else 202)

    async def deliver(self, message: Message) -> Reason | None:
        """To every phone of the recipient; None when one took it, else why none did."""
        return await deliver(self._exchange, self._lookup(message.tenant, message.recipient), message)


async def deliver(exchange: Exchange, bindings: Sequence[Binding], message: Message) -> Reason | None:
    """Send it to every phone; None as soon as one has taken it, else why nobody did."""
    if not bindings:
        return reasons.NOT_REGISTERED
    if len(message.body) > MAX_MESSAGE:
        bindings = [each for each in bindings if each.flow.reliable]
        if not bindings:
            return reasons.MESSAGE_TOO_LARGE
    waiting = {asyncio.ensure_future(_send(exchange, binding, message)) for binding in bindings}
    statuses: list[int] = []
    deadline = asyncio.get_running_loop().time() + ANSWER_S
    try:
        while waiting:
            left = deadline - asyncio.get_running_loop().time()
            done, waiting = await asyncio.wait(waiting, timeout=max(left, 0), return_when=asyncio.FIRST_COMPLETED)
            statuses += [each.result() for each in done]
            if any(status < 300 for status in statuses):
                return None
            if not done:
                break
        is_open = bool(waiting) or not _NOT_NOW.isdisjoint(statuses)
        return reasons.MESSAGE_UNANSWERED if is_open else reasons.MESSAGE_NOT_TAKEN
    finally:
        for each in waiting:
            each.cancel()


async def _send(exchange: Exchange, binding: Binding, message: Message) -> int:
    """The status of the answer; 408 without one."""
    target = target_of(binding)
    headers = [("Route", value) for value in target.path]
    headers += [
        ("From", str(NameAddr(Uri("sip", escape_user(message.sender), message.tenant)))),
        ("To", str(NameAddr(Uri("sip", escape_user(message.recipient), message.tenant)))),
        ("Content-Type", message.content_type),
    ]
    if message.sent is not None:
        headers.append(("Date", formatdate(message.sent, usegmt=True)))
    answer = await ask(exchange, Request("MESSAGE", target.uri, headers, message.body), target.flow)
    return 408 if answer is None else answer.response.status


def receive_in_call(call: Call, event: RequestReceived) -> None:
    """A MESSAGE within a call goes to the other side, and its answer comes back."""
    exchange, request = call.switch.exchange, event.request
    other = None if call.bridge_ is None else call.bridge_.other(call).leg.dialog
    refusal = refusal_of(request, is_reliable=event.flow.reliable) or (
        reasons.NO_MESSAGE_PARTNER if other is None else None
    )
    if refusal is not None or other is None:
        refuse(exchange, event, refusal or reasons.NO_MESSAGE_PARTNER)
        return
    headers = (("Content-Type", request.headers.get("Content-Type") or "text/plain"),)
    try:
        exchange.send_in_dialog(_Relayed(exchange, event), other, "MESSAGE", headers, request.body)
    except LocalProtocolError:
        refuse(exchange, event, reasons.MESSAGE_NOT_TAKEN)


async def send_in_call(call: Call, text: str) -> Reason | None:
    """As `Call.send_message` says."""
    message = text_message(call.tenant, "", "", text)
    dialog, exchange = call.leg.dialog, call.switch.exchange
    if dialog is None:
        return reasons.NO_SUCH_CALL
    answer: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
    headers = (("Content-Type", message.content_type),)
    try:
        exchange.send_in_dialog(_Told(answer), dialog, "MESSAGE", headers, message.body)
    except LocalProtocolError:
        return reasons.NO_SUCH_CALL
    status = await answer
    return None if status is not None and status < 300 else reasons.MESSAGE_NOT_TAKEN


class _Told:
    def __init__(self, answer: asyncio.Future[int | None]) -> None:
        self._answer = answer

    def on_response(self, event: ResponseReceived) -> None:
        """The final one counts."""
        if event.response.status >= 200 and not self._answer.done():
            self._answer.set_result(event.response.status)

    def on_failure(self, event: RequestFailed) -> None:
        """It says nothing."""
        if not self._answer.done():
            self._answer.set_result(None)


class _Relayed:
    def __init__(self, exchange: Exchange, event: RequestReceived) -> None:
        self._exchange = exchange
        self._event = event

    def on_response(self, event: ResponseReceived) -> None:
        """What the other side says."""
        status = event.response.status
        if 200 <= status < 300:
            self._exchange.respond(self._event.transaction, status)
        elif status >= 300:
            refuse(self._exchange, self._event, reasons.MESSAGE_NOT_TAKEN)

    def on_failure(self, event: RequestFailed) -> None:
        """It says nothing."""
        refuse(self._exchange, self._event, reasons.MESSAGE_NOT_TAKEN)
