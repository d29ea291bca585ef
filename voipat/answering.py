"""What a caller is told of media: early media and our answer to its offer, or our offer when the INVITE had none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from sipcore.beside import is_fax
from sipcore.errors import NegotiationError
from sipcore.message import Request
from sipcore.offer_answer import offered_formats
from sipcore.reliable import takes_reliable, wants_reliable
from sipcore.sdp import MediaDescription, RtpFormat, SessionDescription
from voipat.accounts import TrunkIdentity
from voipat.bodies import session_description
from voipat.connected import response_headers
from voipat.early_media import told
from voipat.errors import CallOutcome, Rejected
from voipat.leg_audio import with_events, with_own
from voipat.legs import InboundLeg
from voipat.outcomes import reason_of_negotiation
from voipat.parties import CallState
from voipat.waiting import wake

if TYPE_CHECKING:
    import asyncio

    from voipat.call import Call
    from voipat.media_leg import MediaLeg


class Answering:
    """How far that is in one call, and what it is to be made of."""

    __slots__ = ("acknowledged", "awaits", "early", "formats", "partner", "told")

    def __init__(self) -> None:
        # What a 183 has told the caller: RFC 3261 §13.2.1 has it ignore any other description until the ACK.
        self.early = b""
        # Where the answer to an offer in a response of ours comes: "ack", "prack", or "" when none is owed.
        self.awaits: Literal["", "ack", "prack"] = ""
        self.acknowledged: asyncio.Future[None] | None = None
        # Answer with these codecs, when the offer has them.
        self.formats: Sequence[RtpFormat] = ()
        # Whose streams beside the audio the caller is answered with.
        self.partner: MediaLeg | None = None
        # The last provisional response, and the attempt whose early media it told of.
        self.told: tuple[int, Call | None] = (0, None)


# Before the answer


def progress(call: Call, status: int, body: bytes = b"") -> None:
    """180, 183 and the like, reliable where that is wanted or an offer of ours is in it. Raises: Rejected."""
    leg, answering = call.leg, call.answering
    if not isinstance(leg, InboundLeg) or leg.is_final:
        return
    is_required = wants_reliable(leg.request)
    if is_required and call.offer is None and not answering.early:
        # RFC 3261 §13.2.1: our offer is "in the first reliable non-failure message".
        body = _early_offer(call)
    reliable = is_required or (bool(body) and call.offer is None)
    more = response_headers(call)
    if isinstance(call.identity, TrunkIdentity) and call.identity.authorizes_early:
        more += told(leg.request, body)
    leg.provisional(status, body, reliable=reliable, more=more)
    call.mark_ringing()


def relay_progress(call: Call, attempt: Call, status: int, *, has_media: bool) -> None:
    """Pass a provisional response on to the caller, with the attempt's early media when it has some."""
    if call.transfer_ is not None:
        call.transfer_.tell(status)
    if call.state in (CallState.ANSWERED, CallState.ENDED) or not isinstance(call.leg, InboundLeg):
        return
    answering = call.answering
    source = answering.told[1]
    if has_media and source in (None, attempt):
        body = _early_description(call, call.leg.request, attempt)
        if body and answering.told != (status, attempt):
            answering.told = (status, attempt)
            progress(call, status, body)
            return
    if answering.told[0] != status:
        answering.told = (status, source)
        progress(call, status)


def hush(call: Call, attempt: Call) -> None:
    """The caller hears the attempt no more; what it was told of its media stays for the answer."""
    status, source = call.answering.told
    if source is attempt and call.media is not None and call.answered is None:
        call.answering.told = (status, None)
        call.media.disconnect()


def check_media(call: Call) -> None:
    """Before anything rings: the caller's port, and media as secret as it has to be. Raises: Rejected."""
    if not isinstance(call.leg, InboundLeg) or call.state is CallState.ANSWERED:
        return
    media = call.open_media()
    if call.offer is None:
        return
    try:
        media.check(call.offer)
    except NegotiationError as error:
        raise Rejected(reason_of_negotiation(error)) from error


def offered(call: Call) -> Sequence[RtpFormat]:
    """What a phone that we dial for this call is offered: the caller's codecs, then our own; none for a fax.

    Raises: Rejected.
    """
    own = call.switch.media.formats
    media = call.open_media()
    if media.negotiated is not None:
        return with_own(media.formats, own)
    if call.offer is None:
        return own
    if is_fax(call.offer):
        return ()
    try:
        return with_own(media.codecs.limited(offered_formats(call.offer)), own)
    except NegotiationError as error:
        raise Rejected(reason_of_negotiation(error)) from error


def offered_beside(call: Call) -> Sequence[MediaDescription]:
    """The caller's video, text and fax, for a phone that we dial for it; nothing once the caller was told."""
    media = call.open_media()
    return [] if call.offer is None or media.negotiated is not None else media.beside.wanted(call.offer)


# The answer


def agree_with(call: Call, media: MediaLeg) -> None:
    """Answer with what a phone that was dialled for the call has agreed on, when the offer has it."""
    call.answering.formats = with_events(media.formats, call.switch.media.formats)
    call.answering.partner = media


def description(call: Call) -> bytes:
    """Our answer, or our offer when the INVITE had none; nothing when that is settled already. Raises: Rejected."""
    answering, offer = call.answering, call.offer
    if answering.early:
        return b"" if offer is None else answering.early
    if offer is None:
        body = _offer_late(call)
        answering.awaits = "ack"
        return body
    media = call.open_media()
    try:
        return _answer_with(call, media, offer, answering.formats or media.codecs.own)
    except NegotiationError as error:
        raise Rejected(reason_of_negotiation(error)) from error


async def wait_for_ack(call: Call) -> None:
    """Until the answer to the offer in our 200 is here. Raises: HungUp."""
    waiter = call.answering.acknowledged = call.new_waiter()
    try:
        await call.wait(waiter)
    finally:
        call.answering.acknowledged = None


def take_late_answer(call: Call, request: Request) -> None:
    """The ACK or PRACK with the answer to our offer. Raises: UnsupportedBodyError, ParseError, NegotiationError."""
    answering = call.answering
    body = session_description(request)
    answering.awaits = ""
    if call.media is None:
        return
    call.media.read_answer(body)
    join_media(call)
    if answering.acknowledged is not None:
        wake(answering.acknowledged)


def join_media(call: Call) -> None:
    """Relay between this leg and whom it talks with, or whose early media it hears, by what is agreed on now."""
    source = call.answering.told[1]
    if call.bridge_ is not None:
        call.bridge_.connect()
    elif call.answered is None and call.media is not None and source is not None and source.media is not None:
        call.media.connect(source.media)


def _early_description(call: Call, request: Request, attempt: Call) -> bytes:
    """What the caller is told of the attempt's media: our answer, or our offer if it takes reliable responses."""
    assert attempt.media is not None, "it has early media"
    answering = call.answering
    agree_with(call, attempt.media)
    try:
        if call.offer is not None:
            body = answering.early = description(call)
        elif answering.early or not takes_reliable(request):
            return b""
        else:
            body = _early_offer(call)
    except CallOutcome:
        return b""  # The answer will fail for the same cause, and then say so.
    if call.media is not None and call.media.negotiated is not None:
        call.media.connect(attempt.media)
    return body


def _early_offer(call: Call) -> bytes:
    """Our offer in a reliable response; the PRACK answers (RFC 3262 §5). Raises: Rejected."""
    body = call.answering.early = _offer_late(call)
    call.answering.awaits = "prack"
    return body


def _offer_late(call: Call) -> bytes:
    media, formats = call.open_media(), call.answering.formats
    own = media.codecs.own
    try:
        return media.offer(with_own(formats, own) if formats else own)
    except NegotiationError as error:
        raise Rejected(reason_of_negotiation(error)) from error


def _answer_with(call: Call, media: MediaLeg, offer: SessionDescription, formats: Sequence[RtpFormat]) -> bytes:
    """The other side's codecs; when the offer has none of them, our own, and the call is transcoded."""
    partner = call.answering.partner
    beside = None if partner is None else partner.beside
    try:
        return media.answer(offer, formats, beside=beside)
    except NegotiationError:
        if formats is media.codecs.own:
            raise
        return media.answer(offer, media.codecs.own, beside=beside)
