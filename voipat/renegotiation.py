"""Our own re-INVITE after a call came to somebody else: whom the last peer had put on hold talks again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sipcore.errors import LocalProtocolError, NegotiationError, ParseError
from sipcore.events import RequestFailed, ResponseReceived
from sipcore.sdp import Direction
from voipat.legs import SDP

if TYPE_CHECKING:
    from voipat.call import Call

MAX_TRIES: Final = 4


def renegotiate(call: Call, tries: int = MAX_TRIES) -> None:
    """Offer the call's peer to send and receive, unless it does; a peer that holds the call itself goes on with it."""
    media, dialog = call.media, call.leg.dialog
    if media is None or dialog is None or call.outcome is not None or media.negotiated is None:
        return
    if media.negotiated.direction is Direction.SENDRECV:
        return
    try:
        call.switch.exchange.send_in_dialog(_Renegotiation(call, tries), dialog, "INVITE", (SDP,), media.offer())
    except LocalProtocolError:
        media.offer_refused()
        _again(call, tries)


def _again(call: Call, tries: int) -> None:
    # RFC 3261 §14.1: after a glare, up to two seconds for who did not make the Call-ID.
    if tries > 1 and call.outcome is None:
        switch = call.switch
        switch.loop.call_later(switch.entropy.uniform(0.0, 2.0), renegotiate, call, tries - 1)


class _Renegotiation:
    def __init__(self, call: Call, tries: int) -> None:
        self._call = call
        self._tries = tries

    def on_response(self, event: ResponseReceived) -> None:
        """A refusal leaves the session as it was (RFC 3261 §14.1)."""
        call, status = self._call, event.response.status
        if status >= 300 and call.media is not None:
            call.media.offer_refused()
        if status == 491:
            _again(call, self._tries)
        if not 200 <= status < 300 or event.dialog is None:
            return
        call.switch.exchange.ack(event.dialog)
        try:
            if call.media is not None and call.outcome is None:
                call.media.read_answer(event.response.body)
        except (ParseError, NegotiationError):
            return
        if call.bridge_ is not None:
            call.bridge_.connect()

    def on_failure(self, event: RequestFailed) -> None:
        """The peer is silent; its dialog ends, and the call with it."""
