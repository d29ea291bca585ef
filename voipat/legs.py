"""The signalling of one leg: the INVITE that came to us, or the one we sent. Each ends in the way its state needs."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from sipcore.dialog import DialogState
from sipcore.events import DialogId, RequestReceived, ResponseReceived, TransactionId
from sipcore.flow import Flow
from sipcore.message import Request
from voipat.auth_gate import ALLOW
from voipat.early import EarlyAnswers
from voipat.early_media import EarlyAuthority
from voipat.exchange import MAX_ANSWERS, Cancellable, DialogUser, Exchange, Requester
from voipat.gateway import Credentials, once_more
from voipat.reasons import Reason

SDP: Final = ("Content-Type", "application/sdp")


class InviteUser(DialogUser, Cancellable, Protocol):
    """What an INVITE that came to us belongs to."""


class InboundLeg:
    """We are the UAS."""

    def __init__(self, exchange: Exchange, event: RequestReceived) -> None:
        assert event.dialog is not None, "an INVITE outside of a dialog comes with one"
        self._exchange = exchange
        self.event: Final = event
        self.request: Final = event.request
        self.flow: Final = event.flow
        self.dialog: Final[DialogId] = event.dialog
        self.call_id: Final = event.request.call_id
        self.is_final = False
        # What a final response other than 2xx says besides its reason.
        self.final_headers: tuple[tuple[str, str], ...] = ()
        # Of a trunk that may want them for what we send within the call.
        self.credentials: Credentials | None = None

    def has_dialog(self, dialog: DialogId) -> bool:
        """Whether it is this leg's."""
        return dialog == self.dialog

    def open(self, user: InviteUser) -> None:
        """Requests within its dialog, answered or not, and a CANCEL are for `user`."""
        self._exchange.invites[self.event.transaction] = user
        self._exchange.dialogs[self.dialog] = user

    def provisional(
        self, status: int, body: bytes = b"", *, reliable: bool = False, more: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """180, 183 and the like; `reliable`: to a caller that takes these, repeated until its PRACK comes."""
        # RFC 3311 §5.1: what a caller may send us in the early dialog.
        allow = (("Allow", ALLOW),) if reliable else ()
        headers = (*allow, *more, SDP) if body else (*allow, *more)
        self._exchange.respond(self.event.transaction, status, headers, body, reliable=reliable)

    def accept(self, user: DialogUser, body: bytes, session: tuple[tuple[str, str], ...] = ()) -> None:
        """200 with our description, without one when all is agreed on by then."""
        self.is_final = True
        # A call may be up for hours, and hardly anybody asks for its INVITE again.
        self.request.let_go()
        exchange = self._exchange
        exchange.dialogs[self.dialog] = user
        if self.credentials is not None:
            exchange.may_ask(self.dialog, self.credentials)
        described = (SDP,) if body else ()
        exchange.respond(self.event.transaction, 200, (("Allow", ALLOW), *session, *described), body)
        if not exchange.endpoint.is_held_back(self.event.transaction):
            # A 2xx that waits for a PRACK can still be cancelled.
            exchange.invites.pop(self.event.transaction, None)

    def acknowledged(self) -> None:
        """The ACK is here: no CANCEL comes any more."""
        self._exchange.invites.pop(self.event.transaction, None)

    def end(self, reason: Reason, status: int) -> None:
        """BYE, or the final response; our 2xx may still wait for a PRACK."""
        if self.is_final and not self._is_early:
            self._exchange.bye(self.dialog, reason)
            return
        # RFC 6432: a Q.850 cause may be in any final response.
        headers = [reason.warning(str(self.flow.local)), reason.header(), *self.final_headers]
        if status == 503:
            headers.append(("Retry-After", "10"))
        self._close_early()
        self._exchange.respond(self.event.transaction, status, headers)

    def forget(self) -> None:
        """The peer ended it: nothing is owed any more."""
        self._close_early()

    def _close_early(self) -> None:
        if not self.is_final:
            # Nobody tells of the end of a dialog that no response of ours has made.
            self._exchange.dialogs.pop(self.dialog, None)
        self.is_final = True
        self._exchange.invites.pop(self.event.transaction, None)

    @property
    def _is_early(self) -> bool:
        view = self._exchange.endpoint.dialog(self.dialog)
        return view is not None and view.state in (DialogState.TRYING, DialogState.EARLY)


class OutboundLeg:
    """We are the UAC."""

    def __init__(self, exchange: Exchange, flow: Flow | None) -> None:
        self._exchange = exchange
        self.flow: Final = flow
        self.call_id = ""
        self.dialog: DialogId | None = None
        # Those that provisional responses made, for who picks the call up (RFC 3891).
        self.early: list[DialogId] = []
        self.answers: Final = EarlyAnswers()
        self.authority = EarlyAuthority()
        self._transaction: TransactionId | None = None
        # Of a gateway that has given us a password; whether our INVITE has had them, and how often it was sent anew.
        self.credentials: Credentials | None = None
        self._has_credentials = False
        self._answers = 0
        self._request: Request | None = None
        # Of an attempt that has another way: who is called counts as gone when it runs out before any response.
        self.silence: asyncio.TimerHandle | None = None

    def heard(self) -> None:
        """There is a response, were it a 100."""
        if self.silence is not None:
            self.silence.cancel()
            self.silence = None

    def invite(self, requester: Requester, request: Request) -> None:
        """Send the INVITE. Raises: LocalProtocolError."""
        self._request = request
        self._transaction = self._exchange.send(requester, request, self.flow)

    def answer_challenge(self, requester: Requester, event: ResponseReceived) -> bool:
        """Send the INVITE again with credentials; False when there are none for this challenge."""
        credentials, request = self.credentials, self._request
        if credentials is None or request is None or self._answers >= MAX_ANSWERS:
            return False
        if not credentials.hears(event, again=self._has_credentials):
            return False
        again = once_more(request, credentials)
        if again is None:
            return False
        self._has_credentials = True
        self._answers += 1
        self._send_again(requester, again)
        return True

    def ask_longer(self, requester: Requester, headers: tuple[tuple[str, str], ...]) -> bool:
        """Send the INVITE again with another session interval (RFC 4028 §7.3); False when it is settled."""
        request = self._request
        if request is None or self._transaction is None:
            return False
        again = once_more(request, self.credentials if self._has_credentials else None)
        if again is None:
            return False
        for name, value in headers:
            again.headers.set(name, value)
        self._send_again(requester, again)
        return True

    def _send_again(self, requester: Requester, request: Request) -> None:
        self._request = request
        self._transaction = self._exchange.send(requester, request, self.flow)

    def has_dialog(self, dialog: DialogId) -> bool:
        """Whether it is this leg's, answered or not."""
        return dialog == self.dialog or dialog in self.early

    def open_early(self, user: DialogUser, dialog: DialogId) -> None:
        """A provisional response made this dialog; `user` hears of requests within it until the answer."""
        if dialog not in self.early:
            self.early.append(dialog)
            self._exchange.dialogs[dialog] = user
            self._may_ask(dialog)

    def confirm(self, user: DialogUser, dialog: DialogId) -> None:
        """The 2xx is here: ACK."""
        self.dialog = dialog
        self.early.clear()
        self.answers.clear()
        self._transaction = self._request = None
        self._exchange.dialogs[dialog] = user
        self._may_ask(dialog)
        self._exchange.ack(dialog)

    def _may_ask(self, dialog: DialogId) -> None:
        if self.credentials is not None:
            self._exchange.may_ask(dialog, self.credentials)

    def end(self, reason: Reason, status: int) -> None:
        """BYE, or CANCEL."""
        self.heard()
        if self.dialog is not None:
            self._exchange.bye(self.dialog, reason)
        elif self._transaction is not None:
            self._exchange.cancel(self._transaction, reason, self.credentials)
            self._transaction = None

    def forget(self) -> None:
        """The peer ended it: nothing is owed any more."""
        self.heard()
        self._transaction = self._request = None
