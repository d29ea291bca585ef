"""From an INVITE outside of any dialog to a call with its handler, or to a refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sipcore.errors import ParseError
from sipcore.events import RequestReceived
from sipcore.flow import Flow
from sipcore.refer import Replaces, replaces_of
from sipcore.sdp import SessionDescription, parse_sdp
from sipcore.session_timer import TooSmall, grant
from sipcore.uri import Uri
from voipat import reasons
from voipat.accounts import Identity, TrunkIdentity
from voipat.bodies import ACCEPTABLE, SDP_TYPE, UnsupportedBodyError, accepts, session_description
from voipat.call import Call
from voipat.exchange import Exchange
from voipat.gateway import Credentials
from voipat.handling import Handling
from voipat.legs import InboundLeg
from voipat.parties import Parties, as_sip, user_of
from voipat.reasons import Reason
from voipat.routes import Routes
from voipat.seats import Caller
from voipat.switch import Handler, Switch
from voipat.transfer import find_replaced, replaces_handler

ReplacesPolicy = Callable[[Call, Call], Reason | None]


class Intake:
    """`canonical` gives a URI with our domain in place of our address, `caller_of` whose a request is.

    `on_replaces` as `App` has it.
    """

    def __init__(
        self,
        exchange: Exchange,
        handling: Handling,
        routes: Routes,
        *,
        canonical: Callable[[Uri, Flow], Uri],
        caller_of: Callable[[RequestReceived], Caller],
        on_replaces: ReplacesPolicy | None,
    ) -> None:
        self._exchange = exchange
        self._handling = handling
        self._routes = routes
        self._canonical = canonical
        self._caller_of = caller_of
        self._on_replaces: Final = on_replaces

    def receive(self, switch: Switch, event: RequestReceived) -> None:
        """Answer an INVITE."""
        request = event.request
        if not accepts(request, SDP_TYPE, otherwise=False):
            self._exchange.refuse(event, reasons.UNACCEPTABLE_ANSWER)
            return
        if isinstance(verdict := grant(request, switch.session), TooSmall):
            self._exchange.refuse(event, reasons.SESSION_TOO_SHORT, (("Min-SE", str(verdict.min_se)),))
            return
        try:
            offer = _read_offer(session_description(request))
        except UnsupportedBodyError:
            self._exchange.refuse(event, reasons.UNKNOWN_BODY, ACCEPTABLE)
            return
        except ParseError:
            self._exchange.refuse(event, reasons.BAD_DESCRIPTION)
            return
        replaced = None
        if "Replaces" in request.headers:
            replaced = self._replaced(switch, event)
            if replaced is None:
                return
        call = self._new_call(switch, event)
        call.offer = offer
        self._handling.begin(call, self._handler(call) if replaced is None else self._replaces(call, *replaced))

    def handler_of(self, call: Call) -> Handler | None:
        """The handler of a transferred call, which has the rights of who transferred it."""
        return self._routes.find(call.to, is_known=True)

    def _handler(self, call: Call) -> Handler | None:
        return self._routes.find(call.to, is_known=call.identity is not None)

    def _replaced(self, switch: Switch, event: RequestReceived) -> tuple[Call, Replaces] | None:
        """The call whose place an INVITE wants, of its own tenant; None when it was refused."""
        try:
            replaces = replaces_of(event.request)
        except ParseError:
            self._exchange.refuse(event, reasons.BAD_REFER)
            return None
        identity = event.identity
        found = None
        if replaces is not None and isinstance(identity, Identity) and not isinstance(identity, TrunkIdentity):
            found = find_replaced(switch, identity.tenant, replaces)
        if found is None or replaces is None:
            self._exchange.refuse(event, reasons.NO_SUCH_CALL)
            return None
        return found, replaces

    def _replaces(self, call: Call, replaced: Call, replaces: Replaces) -> Handler:
        refusal = None if self._on_replaces is None else self._on_replaces(call, replaced)
        handler = replaces_handler(replaced, replaces) if refusal is None else refusal
        return _rejects(handler) if isinstance(handler, Reason) else handler

    def _new_call(self, switch: Switch, event: RequestReceived) -> Call:
        identity, from_, seat = self._caller_of(event)
        to, caller = self._canonical(event.request.uri, event.flow), from_.uri
        identifier = switch.entropy.token(8)
        tenant, user = ("", user_of(caller)) if identity is None else (identity.tenant, identity.user)
        to = as_sip(to, tenant) if tenant else to
        parties = Parties(identifier, identifier, tenant, user, user_of(to))
        leg = InboundLeg(self._exchange, event)
        call = Call(switch, leg, parties, to=to, caller=caller)
        leg.open(call)
        if isinstance(identity, TrunkIdentity) and identity.login is not None:
            leg.credentials = Credentials(identity.login, switch.entropy)
        call.identity, call.seat = identity, seat
        call.display_name = from_.display_name
        call.publish_start()
        return call


def _read_offer(body: bytes) -> SessionDescription | None:
    return parse_sdp(body) if body else None


def _rejects(reason: Reason) -> Handler:
    async def reject(call: Call) -> None:
        await call.reject(reason)

    return reject
