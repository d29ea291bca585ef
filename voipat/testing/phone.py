"""A simulated phone: a user agent on our own sans-IO endpoint, told in words what to do with calls.

alice = world.phone("sip:1001@office.test", password="pass-1001").register()
bob = world.phone("sip:1002@office.test", password="pass-1002").register().answers(after=2.0)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sipcore.aio.driver import Driver
from sipcore.auth import answer_challenge, challenges_of
from sipcore.endpoint import Admit, Drop, Endpoint, Verdict
from sipcore.entropy import Entropy
from sipcore.errors import LocalProtocolError, RemoteProtocolError
from sipcore.events import (
    AckReceived,
    AckTimedOut,
    CancelReceived,
    DialogEnded,
    DialogId,
    Event,
    RequestFailed,
    RequestReceived,
    ResponseReceived,
    TransactionId,
)
from sipcore.flow import Address, Flow
from sipcore.message import Request, Response
from sipcore.outputs import Output
from sipcore.refer import SIPFRAG, refer_to_of, sipfrag
from sipcore.registration import granted_seconds
from sipcore.sdp_security import LocalSecurity
from sipcore.transaction import HeaderPairs
from sipcore.uri import Uri
from voipat.testing.call import SDP_TYPE, PhoneCall
from voipat.testing.manners import Manners

if TYPE_CHECKING:
    from voipat.testing.world import SimWorld

ALLOW: Final = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, REFER, SUBSCRIBE, NOTIFY, MESSAGE"

# A phone refreshes its registration well before it runs out.
REFRESH_AT: Final = 0.8

OnResponse = Callable[[Response | None, DialogId | None], None]


class Phone:
    """One user agent at one address. `tone` is what it says in a call, in hertz."""

    def __init__(
        self,
        world: SimWorld,
        uri: Uri,
        address: Address,
        *,
        password: str | None,
        ha1s: Mapping[str, str],
        server: Flow | None,
        entropy: Entropy,
        tone: int,
    ) -> None:
        self.world = world
        self.uri = uri
        self.address = address
        self.entropy = entropy
        self.tone = tone
        # What its descriptions say of keys; the audio that it makes stays plain, so nothing of it is heard with keys.
        self.security: LocalSecurity | None = None
        # What its INVITEs say that it takes.
        self.allow = ALLOW
        self.name = world.network.name_of(address)
        self.calls: list[PhoneCall] = []
        self.received: list[PhoneCall] = []
        self.registration_statuses: list[int] = []
        self.registration_responses: list[Response] = []
        self.is_registered = False
        self.manners = Manners()
        self.endpoint = Endpoint(entropy=entropy, gate=self._gate, server="voipat-sim")
        self.driver = Driver(self.endpoint, on_event=self._on_event, loop=world.loop)
        self._password = password
        self._ha1s = ha1s
        self._server = server
        self._accepts_refer = False
        self.notified: list[Request] = []
        self.messages: list[Request] = []
        self._watching: set[DialogId] = set()
        self._on_call: Callable[[PhoneCall], object] | None = None
        self._waiting: dict[TransactionId, OnResponse] = {}
        self._ringing: dict[TransactionId, PhoneCall] = {}
        self._dialogs: dict[DialogId, PhoneCall] = {}
        self._challenges: list[tuple[str, str]] = []
        self._nonce_count = 0
        self._rtp_port = 4000
        self._registration = (entropy.token(12), entropy.token(6))
        self._register_cseq = 0
        self._refresh: asyncio.TimerHandle | None = None

    # What it does

    def dial(
        self, target: str, *, after: float = 0.0, headers: Sequence[tuple[str, str]] = (), late_offer: bool = False
    ) -> PhoneCall:
        """Call somebody: a SIP URI, or a number in the phone's own domain.

        With `late_offer` the INVITE has no SDP: the other side offers, and our ACK answers.
        """
        call = PhoneCall(self, self.uri_of(target), is_outgoing=True)
        call.headers = tuple(headers)
        call.late_offer = late_offer
        self.calls.append(call)
        self.world._calls.append(call)
        if after > 0:
            self.world.loop.call_later(after, call._start)
        else:
            call._start()
        return call

    def register(self, *, expires: int = 3600, contact: str | None = None, refresh: bool = True) -> Phone:
        """Register, and register again before it runs out."""
        self.stop_refreshing()
        binding = contact or f"<{self.contact}>"
        self._send_register(binding, expires, lambda granted: self._arm_refresh(granted) if refresh else None)
        return self

    def unregister(self, *, everything: bool = False) -> Phone:
        """Remove this phone's binding, or all bindings of its user."""
        self.stop_refreshing()
        self._send_register("*" if everything else f"<{self.contact}>", 0, lambda granted: None)
        return self

    def stop_refreshing(self) -> None:
        """Let the registration run out in its time."""
        if self._refresh is not None:
            self._refresh.cancel()
            self._refresh = None

    def vanish(self) -> None:
        """The power goes: nothing is said to anybody, and the phone remembers nothing."""
        self.world.network.cut_off(self.name)
        self.world.unwatch(f"phone {self.name}")
        self.stop_refreshing()
        for call in list(self.calls):
            call._end("power")

    @property
    def contact(self) -> Uri:
        """Where this phone is reached."""
        params = {"transport": "tcp"} if self._server is not None and self._server.transport == "TCP" else {}
        return Uri("sip", self.uri.user, self.address.host, self.address.port, params=params)

    def uri_of(self, target: str) -> Uri:
        """A SIP URI, or a number in the phone's own domain."""
        return Uri.parse(target if ":" in target else f"sip:{target}@{self.uri.host}")

    def request_in(
        self,
        dialog: DialogId,
        method: str,
        then: Callable[[int], object],
        *,
        headers: HeaderPairs = (),
        body: bytes = b"",
    ) -> None:
        """Send a request within a dialog and tell `then` its final status, 408 without one."""
        transaction = self.endpoint.new_transaction()

        def received(response: Response | None, _: DialogId | None) -> None:
            if response is None or response.status >= 200:
                then(408 if response is None else response.status)

        self._waiting[transaction] = received
        try:
            self._execute(
                lambda now: self.endpoint.send_in_dialog(dialog, transaction, method, now, headers=headers, body=body)
            )
        except LocalProtocolError as error:
            del self._waiting[transaction]
            then(error.status_hint)

    def request(
        self,
        method: str,
        target: str,
        then: Callable[[Response | None], object] = lambda response: None,
        *,
        headers: HeaderPairs = (),
        body: bytes = b"",
    ) -> Request:
        """Send a request outside of a dialog, with credentials when they are asked for; `then` has the last response.

        A SUBSCRIBE's NOTIFYs are in `notified`.
        """
        uri, call_id, tag = self.uri_of(target), self.entropy.token(12), self.entropy.token(6)

        def send(challenge: Response | None) -> Request:
            lines = [
                ("From", f"<{self.uri}>;tag={tag}"),
                ("To", f"<{uri}>"),
                ("Call-ID", call_id),
                ("CSeq", f"{1 if challenge is None else 2} {method}"),
                ("Contact", f"<{self.contact}>"),
                *headers,
            ]
            request = Request(method, uri, lines, body)
            if challenge is not None and not self._authenticated(request, challenge):
                then(challenge)
            else:
                self._send(request, lambda response, dialog: received(response, again=challenge is None))
                if method == "SUBSCRIBE":
                    self.endpoint.expect_notify(request)
            return request

        def received(response: Response | None, *, again: bool) -> None:
            if response is not None and response.status < 200:
                return
            if response is not None and response.status in (401, 407) and again:
                send(response)
            else:
                then(response)

        return send(None)

    def subscribe(self, package: str, target: str, *, expires: int = 3600, headers: HeaderPairs = ()) -> list[int]:
        """Watch somebody; the statuses of the answers are in the list, the NOTIFYs in `notified`."""
        statuses: list[int] = []
        self.request(
            "SUBSCRIBE",
            target,
            lambda response: statuses.append(408 if response is None else response.status),
            headers=(("Event", package), ("Expires", str(expires)), *headers),
        )
        return statuses

    def says(self, target: str, text: str, *, headers: HeaderPairs = (("Content-Type", "text/plain"),)) -> list[int]:
        """Send a MESSAGE; the status of its answer is in the list."""
        statuses: list[int] = []
        self.request(
            "MESSAGE",
            target,
            lambda response: statuses.append(408 if response is None else response.status),
            headers=headers,
            body=text.encode(),
        )
        return statuses

    # What it does with incoming calls

    def accepts_refer(self) -> Phone:
        """Do what a REFER of the server asks: call the target, and tell how it goes."""
        self._accepts_refer = True
        return self

    def answers(self, *, after: float = 1.0, hangs_up_after: float | None = None, early_media: bool = False) -> Phone:
        """Ring, answer after so many seconds, and hang up so many seconds later."""
        self.manners = Manners(answer_after=after, hang_up_after=hangs_up_after, early_media=early_media)
        if early_media:
            self.manners = replace(self.manners, ring_status=183)
        return self

    def rings(self, *, early_media: bool = False) -> Phone:
        """Ring and never answer."""
        self.manners = Manners(early_media=early_media, ring_status=183 if early_media else 180)
        return self

    def refuses(self, status: int = 486, *, after: float = 0.0) -> Phone:
        """Refuse calls: busy, unless told otherwise; after ringing when `after` is given."""
        self.manners = Manners(ring_after=0.0 if after else None, refuse_after=after, refuse_status=status)
        return self

    def redirects(self, *contacts: str, status: int = 302) -> Phone:
        """Say that the user is elsewhere: Contact values, or numbers of the phone's own domain."""
        values = tuple(each if ":" in each else f"<sip:{each}@{self.uri.host}>" for each in contacts)
        self.manners = Manners(ring_after=None, refuse_after=0.0, refuse_status=status, moved_to=values)
        return self

    def ignores(self) -> Phone:
        """Say nothing to an INVITE, as a dead phone."""
        self.manners = Manners(is_deaf=True)
        return self

    def vanishes(self, *, after: float) -> Phone:
        """Ring, and fall off the network after so many seconds."""
        self.manners = Manners(vanish_after=after)
        return self

    def on_call(self, script: Callable[[PhoneCall], object]) -> Phone:
        """Let `script(call)` add steps to each incoming call: `lambda call: call.hears(440).hangs_up()`."""
        self._on_call = script
        return self

    # Requests

    def _execute(self, verb: Callable[[float], list[Output]]) -> None:
        self.driver.execute(verb(self.world.now))

    def _send(self, request: Request, on_response: OnResponse) -> TransactionId:
        transaction = self.endpoint.new_transaction()
        self._waiting[transaction] = on_response
        self._execute(lambda now: self.endpoint.send(transaction, request, now, flow=self._server))
        return transaction

    def _authenticated(self, request: Request, response: Response) -> bool:
        """Put our credentials into `request` for the challenge in `response`; False when we have none."""
        self._challenges = challenges_of(response)
        self._nonce_count = 0
        return self._add_credentials(request)

    def _add_credentials(self, request: Request) -> bool:
        if not self._challenges or not (self._password or self._ha1s):
            return False
        self._nonce_count += 1
        try:
            name, value = answer_challenge(
                self._challenges,
                method=request.method,
                uri=request.uri_text,
                username=self.uri.user or "",
                password=self._password,
                ha1s=None if self._password else self._ha1s,
                cnonce=self.entropy.token(8),
                nc=self._nonce_count,
                body=request.body,
            )
        except RemoteProtocolError:
            return False
        request.headers.set(name, value)
        return True

    def _send_register(self, contact: str, expires: int, then: Callable[[int], object]) -> None:
        call_id, tag = self._registration

        def send(response: Response | None) -> None:
            self._register_cseq += 1
            headers = [
                ("From", f"<{self.uri}>;tag={tag}"),
                ("To", f"<{self.uri}>"),
                ("Call-ID", call_id),
                ("CSeq", f"{self._register_cseq} REGISTER"),
                ("Contact", contact),
                ("Expires", str(expires)),
            ]
            request = Request("REGISTER", Uri("sip", None, self.uri.host), headers)
            has_credentials = (
                self._add_credentials(request) if response is None else self._authenticated(request, response)
            )
            if response is None or has_credentials:
                self._send(request, lambda answer, dialog: received(answer, again=response is None))

        def received(response: Response | None, *, again: bool) -> None:
            if response is None:
                self.registration_statuses.append(408)
                self.is_registered = False
                return
            if response.status < 200:
                return
            self.registration_statuses.append(response.status)
            self.registration_responses.append(response)
            if response.status == 401 and again:
                send(response)
                return
            self.is_registered = response.status == 200 and expires > 0
            if self.is_registered:
                then(granted_seconds(response, self.contact.equivalent, expires))

        send(None)

    def _arm_refresh(self, granted: int) -> None:
        self._refresh = self.world.loop.call_later(granted * REFRESH_AT, self.register)

    # Calls

    def _send_invite(self, call: PhoneCall) -> None:
        call_id, tag = self.entropy.token(12), self.entropy.token(6)
        cseq = self.entropy.uint32() & 0xFFFF
        body = call._offer()

        def send(response: Response | None) -> None:
            headers = [
                ("From", f"<{self.uri}>;tag={tag}"),
                ("To", f"<{call.remote}>"),
                ("Call-ID", call_id),
                ("CSeq", f"{cseq + (response is not None)} INVITE"),
                ("Contact", f"<{self.contact}>"),
                ("Allow", self.allow),
                *(SDP_TYPE if body else ()),
                *call.headers,
            ]
            request = Request("INVITE", call.remote, headers, body)
            if response is None:
                self._add_credentials(request)
            elif not self._authenticated(request, response):
                call._on_response(response, None)
                return
            call.request = request
            call._invite = self._send(request, lambda answer, dialog: received(answer, dialog, again=response is None))

        def received(response: Response | None, dialog: DialogId | None, *, again: bool) -> None:
            if response is not None and response.status in (401, 407) and again and not call._cancelled:
                send(response)
            else:
                call._on_response(response, dialog)

        send(None)

    def _change(
        self,
        call: PhoneCall,
        dialog: DialogId,
        method: str,
        describe: Callable[[], bytes],
        headers: HeaderPairs = (),
    ) -> None:
        transaction = self.endpoint.new_transaction()

        def received(response: Response | None, _: DialogId | None) -> None:
            if response is None or response.status < 200:
                return
            call.change_statuses.append(response.status)
            if response.status < 300:
                answer = call._answer_again(response) if method == "INVITE" and not body else b""
                if method == "INVITE":
                    lines = SDP_TYPE if answer else ()
                    self._execute(lambda now: self.endpoint.ack(dialog, now, headers=lines, body=answer))
                if response.body and body:
                    call._read_answer(response.body)
            elif response.status == 491 or "Retry-After" in response.headers:
                again()

        def again() -> None:
            self.world.loop.call_later(call._glare_pause(), retry)

        def retry() -> None:
            if not call.is_over:
                self._change(call, dialog, method, describe, headers)

        self._waiting[transaction] = received
        body = describe()
        try:
            lines = (*headers, *(SDP_TYPE if body else ()))
            self._execute(
                lambda now: self.endpoint.send_in_dialog(dialog, transaction, method, now, headers=lines, body=body)
            )
        except LocalProtocolError as error:
            del self._waiting[transaction]
            if error.status_hint == 491:
                again()

    def _prack(self, dialog: DialogId, body: bytes) -> None:
        """RFC 3262 §4, for a call that says `Supported: 100rel` or requires it."""
        transaction, headers = self.endpoint.new_transaction(), SDP_TYPE if body else ()
        self._execute(lambda now: self.endpoint.prack(dialog, transaction, now, headers=headers, body=body))

    def _in_dialog(self, call: PhoneCall, dialog: DialogId) -> None:
        self._dialogs[dialog] = call

    def _forget(self, call: PhoneCall) -> None:
        if call._invite is not None:
            self._ringing.pop(call._invite, None)

    def _next_rtp_port(self) -> int:
        self._rtp_port = 4000 + (self._rtp_port - 3998) % 40000
        if self._rtp_port == self.address.port:  # its own signalling
            self._rtp_port += 2
        return self._rtp_port

    # Events of the endpoint

    def _gate(self, request: Request, flow: Flow, now: float) -> Verdict:
        if self.manners.is_deaf and request.method == "INVITE" and request.to.tag is None:
            return Drop("deaf")
        return Admit()

    def _on_event(self, event: Event) -> None:
        match event:
            case ResponseReceived():
                self._on_response(event)
            case RequestFailed():
                waiting = self._waiting.pop(event.transaction, None)
                if waiting is not None:
                    waiting(None, None)
            case RequestReceived():
                self._on_request(event)
            case CancelReceived():
                call = self._ringing.get(event.transaction)
                if call is not None:
                    call._on_cancelled(event.request)
            case AckReceived():
                call = self._dialogs.get(event.dialog)
                if call is not None and event.request.body:
                    call._on_late_answer(event.request.body)
            case AckTimedOut():
                self._execute(lambda now: self.endpoint.bye(event.dialog, now))
            case DialogEnded():
                call = self._dialogs.pop(event.dialog, None)
                if call is not None:
                    call._end("network")

    def _on_response(self, event: ResponseReceived) -> None:
        waiting = self._waiting.get(event.transaction)
        if waiting is None:
            return
        # A forked INVITE may get more than one 2xx: its entry stays until the call is over.
        if event.response.status >= 300 or (event.response.status >= 200 and event.dialog is None):
            del self._waiting[event.transaction]
        waiting(event.response, event.dialog)

    def _on_request(self, event: RequestReceived) -> None:
        method = event.request.method
        call = self._dialogs.get(event.dialog) if event.dialog is not None else None
        if method == "INVITE" and not event.in_dialog:
            self._on_invite(event)
        elif call is not None and method in ("INVITE", "UPDATE"):
            call._on_offer(event.transaction, event.request)
        elif call is not None and method == "REFER":
            self._on_refer(call, event)
        else:
            if call is not None and method == "BYE":
                call._on_bye(event.request)
            elif call is not None and method == "NOTIFY":
                call._on_notify(event.request)
            elif method == "NOTIFY":
                self.notified.append(event.request)
                if event.dialog is not None and event.dialog not in self._watching:
                    self._watching.add(event.dialog)
                    self.endpoint.open_usage(event.dialog)
            elif method == "MESSAGE":
                self.messages.append(event.request)
            self._execute(lambda now: self.endpoint.respond(event.transaction, 200, now))
            self._stop_watching(event)

    def _on_refer(self, call: PhoneCall, event: RequestReceived) -> None:
        dialog = event.dialog
        if not self._accepts_refer or dialog is None:
            self._execute(lambda now: self.endpoint.respond(event.transaction, 603, now))
            return
        self._execute(lambda now: self.endpoint.respond(event.transaction, 202, now))
        target = refer_to_of(event.request)
        call.transferred_to = str(target.uri)
        self._notify_refer(dialog, 100)
        headers = () if target.replaces is None else (("Replaces", str(target.replaces)),)
        onward = self.dial(str(target.uri), headers=headers)
        onward.then_tells(lambda status: self._notify_refer(dialog, status))

    def _notify_refer(self, dialog: DialogId, status: int) -> None:
        state = "active;expires=60" if status < 200 else "terminated;reason=noresource"
        headers = (("Event", "refer"), ("Subscription-State", state), ("Content-Type", SIPFRAG))
        self.request_in(dialog, "NOTIFY", lambda _status: None, headers=headers, body=sipfrag(status))

    def _on_invite(self, event: RequestReceived) -> None:
        call = PhoneCall(self, event.request.from_.uri, is_outgoing=False)
        call.request, call._invite, call.dialog = event.request, event.transaction, event.dialog
        self._ringing[event.transaction] = call
        if event.dialog is not None:
            self._dialogs[event.dialog] = call
        self.calls.append(call)
        self.received.append(call)
        self.world._calls.append(call)
        if self._on_call is not None:
            self._on_call(call)
        call._script = self.world._start_task(self._treat(call), f"manners of {self.name}")

    async def _treat(self, call: PhoneCall) -> None:
        manners = self.manners
        if manners.ring_after is not None:
            await call._later(
                manners.ring_after, lambda: call.ring(manners.ring_status, early_media=manners.early_media)
            )
        if manners.refuse_after is not None:
            await call._later(
                manners.refuse_after,
                lambda: call.refuse(manners.refuse_status, headers=[("Contact", each) for each in manners.moved_to]),
            )
        if manners.vanish_after is not None:
            await call._later(manners.vanish_after, self.vanish)
        if manners.answer_after is not None:
            await call._later(manners.answer_after, call.answer)
            await call._play()
        if manners.hang_up_after is not None:
            await call._later(manners.hang_up_after, call.hang_up)

    def _stop_watching(self, event: RequestReceived) -> None:
        """The last NOTIFY of a subscription takes its dialog with it."""
        state = event.request.headers.get("Subscription-State") or ""
        dialog = event.dialog
        if dialog is not None and dialog in self._watching and state.startswith("terminated"):
            self._watching.discard(dialog)
            self._execute(lambda now: self.endpoint.close_usage(dialog, now))

    async def _close(self) -> None:
        self.stop_refreshing()
        for call in list(self.calls):
            call._end("world")
        await self.driver.close()
