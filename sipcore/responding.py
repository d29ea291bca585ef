"""Responses as they leave: RFC 3261 §8.2.6 what they say, §18.2.2 whereto, §8.2.7 without state."""

from __future__ import annotations

from typing import Final

from sipcore._digest import sealed
from sipcore.errors import ParseError
from sipcore.events import MessageDropped
from sipcore.fields import Via
from sipcore.flow import Flow
from sipcore.message import Request
from sipcore.outputs import Output, Transmit
from sipcore.refusals import Refusal
from sipcore.routing import response_flow
from sipcore.state import EndpointState, has_header
from sipcore.transaction import HeaderPairs, Transaction

# A datagram of a stranger is answered by so many times its bytes at the most.
MAX_AMPLIFICATION: Final = 3


def refusal_bytes(request: Request, flow: Flow, status: int, to_tag: str, headers: HeaderPairs) -> bytes:
    """A response to a request that no endpoint knows, for the flow that it came on."""
    request.stamp_source(*flow.remote)
    return request.response_bytes(status, None, to_tag, headers, b"")


class ResponseWriter:
    """Writes responses."""

    __slots__ = ("_secret", "_state")

    def __init__(self, state: EndpointState) -> None:
        self._state = state
        self._secret = state.entropy.bytes(32)

    def _fill(
        self,
        transaction: Transaction,
        request: Request,
        status: int,
        reason: str | None,
        headers: HeaderPairs,
        body: bytes,
    ) -> None:
        if self._state.server:
            headers = [*headers, ("Server", self._state.server)]
        to_tag = transaction.local_tag if status > 100 else None
        if status == 100 and "Timestamp" in request.headers:
            # RFC 3261 §8.2.6.1: "MUST be copied into this 100 (Trying) response".
            headers = [*headers, ("Timestamp", request.headers.get("Timestamp") or "")]
        transaction.data = request.response_bytes(status, reason, to_tag, headers, body)

    def _with_dialog_headers(self, transaction: Transaction, request: Request, headers: HeaderPairs) -> HeaderPairs:
        """Of a 1xx or 2xx to a request whose Contact is a target."""
        if transaction.flow is None:
            return headers
        added = list(headers)
        if not has_header(headers, "contact"):
            added.append(("Contact", self._state.contact(transaction.flow, request)))
        if not request.to.tag and "Record-Route" in request.headers:
            # RFC 3261 §12.1.1: all of them, in order, in the response that creates the dialog.
            added += [("Record-Route", value) for value in request.headers.get_all("Record-Route")]
        return added

    # Without state

    def refuse_stateless(
        self,
        request: Request,
        flow: Flow,
        status: int,
        out: list[Output],
        reason: str | None = None,
        headers: HeaderPairs = (),
    ) -> None:
        """RFC 3261 §8.2.7: the same response to every copy, and nothing kept."""
        if not self._state.symmetric:
            flow = response_flow(request.via, flow, symmetric=False)
        self._transmit_stateless(request, flow, status, reason, headers, self._stateless_tag(request), out)

    def refuse(
        self, request: Request, flow: Flow, refusal: Refusal, out: list[Output], headers: HeaderPairs = ()
    ) -> None:
        """Answer a request that the protocol refuses, without state."""
        said = self._state.refusal_headers(refusal, flow)
        self.refuse_stateless(request, flow, refusal.status, out, None, (*headers, *said))

    def refuse_malformed(
        self, request: Request, flow: Flow, status: int, reason: str, now: float, out: list[Output]
    ) -> None:
        """Answer a request that could be read in part; with a broken Via the answer goes where it came from."""
        if not self._answers_stray(request, flow, now, out):
            return
        headers = self._state.refusal_headers(Refusal.UNREADABLE, flow)
        via = _readable_via(request)
        if via is not None:
            request.stamp_source(*flow.remote)
            flow = response_flow(via, flow, symmetric=self._state.symmetric)
        self._transmit_stateless(request, flow, status, reason, headers, self._stateless_tag(request), out)

    def _answers_stray(self, request: Request, flow: Flow, now: float, out: list[Output]) -> bool:
        asked = self._state.answers_stray
        if asked is None or asked(request, flow, now):
            return True
        self.drop("strays_unanswered", flow, out)
        return False

    def drop(self, reason: str, flow: Flow, out: list[Output]) -> None:
        """Count a message that gets no reaction."""
        self._state.counters[reason] += 1
        out.append(MessageDropped(reason, flow))

    def _send_stateless(
        self,
        request: Request,
        flow: Flow,
        status: int,
        reason: str | None,
        headers: HeaderPairs,
        to_tag: str,
        out: list[Output],
    ) -> None:
        if not self._state.symmetric:
            flow = response_flow(request.via, flow, symmetric=False)
        self._transmit_stateless(request, flow, status, reason, headers, to_tag, out)

    def _transmit_stateless(
        self,
        request: Request,
        flow: Flow,
        status: int,
        reason: str | None,
        headers: HeaderPairs,
        to_tag: str,
        out: list[Output],
    ) -> None:
        if self._state.server:
            headers = [*headers, ("Server", self._state.server)]
        data = request.response_bytes(status, reason, to_tag, headers, b"")
        if flow.transport == "UDP" and len(data) > MAX_AMPLIFICATION * self._state.received_bytes:
            # Its source may be forged, and who lives there is not to be flooded by us.
            self._state.counters["answers_too_long"] += 1
            return
        out.append(Transmit(data, flow))

    def _stateless_tag(self, request: Request) -> str:
        # The fields whole: they are in a malformed request too, which is answered like any other.
        headers = request.headers
        named = (headers.get("Call-ID") or "", headers.get("From") or "", headers.get("Via") or "")
        return sealed(self._secret, named, 8)


def _readable_via(request: Request) -> Via | None:
    """The top Via; None when it is broken."""
    try:
        return request.via
    except ParseError:
        return None
