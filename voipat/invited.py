"""What comes back for an INVITE of ours: progress and early media, the answer, a challenge, a refusal, or nothing."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from media import MediaError
from sipcore.errors import NegotiationError, ParseError
from sipcore.events import DialogId, RequestFailed, ResponseReceived
from sipcore.reason import q850_cause
from sipcore.registration import retry_after
from voipat import reasons
from voipat.connected import learn
from voipat.early_media import hear_as_told
from voipat.in_dialog import EarlyDialog
from voipat.legs import OutboundLeg
from voipat.outcomes import reason_of_failure, reason_of_gateway, reason_of_negotiation, reason_of_status
from voipat.parties import CallState
from voipat.reasons import Reason
from voipat.redirecting import contacts_of

if TYPE_CHECKING:
    from voipat.call import Call

logger: Final = logging.getLogger("voipat")


def receive_response(call: Call, leg: OutboundLeg, event: ResponseReceived) -> None:
    """A response to the INVITE of this leg."""
    response = event.response
    leg.heard()
    if response.status < 300:
        learn(call, response)
    if response.status < 200:
        _on_provisional(call, leg, event)
    elif response.status < 300:
        _on_answer(call, leg, event)
    elif call.state is CallState.ENDED or not _asks_again(call, leg, event):
        if call.gateway is None:
            reason = reason_of_status(response.status)
        else:
            reason = reason_of_gateway(response.status, q850_cause(response))
            if response.status == 503 and call.gateway.on_busy is not None and (seconds := retry_after(response)):
                call.gateway.on_busy(seconds)
        call.moved_to = contacts_of(response)
        call.end("callee", reason, status=response.status, by_peer=True)


def receive_failure(call: Call, event: RequestFailed) -> None:
    """No final response."""
    reason = reasons.TRUNK_UNAVAILABLE if call.gateway is not None else reason_of_failure(event.failure)
    call.end("server", reason, by_peer=True)


def _asks_again(call: Call, leg: OutboundLeg, event: ResponseReceived) -> bool:
    """Whether the INVITE went out again as the response asks: with credentials, or another session interval."""
    if leg.answer_challenge(call, event):
        return True
    return call.session.raised(event.response) and leg.ask_longer(call, call.session.request_headers())


def _on_provisional(call: Call, leg: OutboundLeg, event: ResponseReceived) -> None:
    status, body, dialog = event.response.status, event.response.body, event.dialog
    if dialog is not None:
        leg.open_early(EarlyDialog(call), dialog)
        if event.is_reliable:
            # All our INVITEs offer, so that a PRACK (RFC 3262) says nothing more.
            call.switch.exchange.prack(dialog)
    if status == 100 or call.state is CallState.ENDED:
        return
    if status == 199:
        _on_early_end(call, leg, dialog)
        return
    has_media = bool(body) and _read_answer(call, body) is None
    if has_media:
        leg.answers.said(dialog, body)
    call.mark_ringing()
    if not hear_as_told(call, leg, dialog, event.response) and call.fork is not None:
        is_heard = has_media and leg.authority.allows(dialog)
        # A description whose media is not heard is no more than ringing.
        call.fork.progressed(call, 180 if has_media and not is_heard else status, has_media=is_heard)


def _on_early_end(call: Call, leg: OutboundLeg, dialog: DialogId | None) -> None:
    """199: one of the phones that a proxy rings has refused (RFC 6228); whom it still rings is heard again."""
    if dialog is None:
        return
    if dialog in leg.early:
        leg.early.remove(dialog)
    before = leg.answers.ended(dialog)
    if before and leg.authority.always and _read_answer(call, before) is None and call.fork is not None:
        call.fork.progressed(call, 183, has_media=True)


def _on_answer(call: Call, leg: OutboundLeg, event: ResponseReceived) -> None:
    assert event.dialog is not None, "an answer makes a dialog"
    # Of several early dialogs this one counts, and what it said before when it says nothing now.
    body = event.response.body or leg.answers.of(event.dialog)
    leg.confirm(call, event.dialog)
    call.session.agreed(event.response)
    problem = _read_answer(call, body) if body else reasons.NO_SDP_ANSWER
    if problem is not None:
        call.end("server", problem)
        return
    call.mark_answered()
    if call.fork is not None:
        call.fork.answered(call)


def _read_answer(call: Call, body: bytes) -> Reason | None:
    assert call.media is not None, "an INVITE of ours offers media"
    try:
        call.media.read_answer(body)
    except ParseError:
        return reasons.BAD_DESCRIPTION
    except NegotiationError as error:
        return reason_of_negotiation(error)
    except MediaError as error:
        logger.error("the engine does not take the answer of %s: %s", call.id, error)
        return reasons.INTERNAL_ERROR
    return None
