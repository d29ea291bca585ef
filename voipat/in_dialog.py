"""Requests within a call: BYE, changes of the session (re-INVITE, UPDATE), INFO, and what we do not take.

A change of who sends to whom, or of the codec, is offered to the other side of the bridge first and answered with
what that side answered. All else (a refresh, a new address) concerns only the leg it comes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sipcore.beside import is_fax, replaces_audio
from sipcore.errors import LocalProtocolError, NegotiationError, ParseError
from sipcore.events import DialogId, RequestFailed, RequestReceived, ResponseReceived
from sipcore.message import Request
from sipcore.offer_answer import NegotiatedAudio, offered_formats
from sipcore.reason import q850_cause
from sipcore.sdp import Direction, RtpFormat, SessionDescription, parse_sdp
from voipat import reasons
from voipat.answering import join_media, take_late_answer
from voipat.auth_gate import ALLOW
from voipat.bodies import ACCEPTABLE, ACCEPTED, UnsupportedBodyError, brings_digits, info_digit, session_description
from voipat.changes import Message
from voipat.connected import learn, tell
from voipat.early_media import hear_as_told
from voipat.leg_audio import with_own
from voipat.legs import SDP, OutboundLeg
from voipat.media_leg import MediaLeg
from voipat.messages import receive_in_call
from voipat.outcomes import reason_of_bye, reason_of_negotiation
from voipat.renegotiation import bring_back_audio, renegotiate
from voipat.transfer import receive_refer, receive_subscribe

if TYPE_CHECKING:
    from voipat.call import Call


# RFC 3261 §20.1, an empty one: no body of an INFO is for us then, those of other kinds only pass to the other side.
_NO_BODY: Final = (("Accept", ""),)


def receive_in_dialog(call: Call, event: RequestReceived) -> None:
    """Answer a request within the call's dialog."""
    exchange = call.switch.exchange
    method = event.request.method
    if method == "BYE":
        reason = reasons.CALLER_GAVE_UP if call.answered is None else reason_of_bye(q850_cause(event.request))
        # Before the 200: it ends the dialog, and then the call would have ended without a BYE.
        call.end("caller" if call.direction == "inbound" else "callee", reason, by_peer=True)
        exchange.respond(event.transaction, 200)
    elif method in ("INVITE", "UPDATE"):
        _receive_change(call, event)
    elif method == "PRACK":
        _receive_prack(call, event)
    elif method == "INFO":
        _receive_info(call, event)
    elif method == "OPTIONS":
        exchange.respond(event.transaction, 200, (("Allow", ALLOW), ("Accept", ACCEPTED)))
    elif method == "REFER":
        receive_refer(call, event)
    elif method == "MESSAGE":
        receive_in_call(call, event)
    elif method == "NOTIFY" and call.referral_ is not None:
        call.referral_.notified(event)
    elif method == "SUBSCRIBE":
        if not receive_subscribe(call, event):
            exchange.refuse(event, reasons.UNKNOWN_PACKAGE, (("Allow-Events", "refer"),))
    elif method == "NOTIFY":
        exchange.refuse(event, reasons.NO_SUCH_SUBSCRIPTION)
    else:
        exchange.refuse(event, reasons.METHOD_NOT_ALLOWED, (("Allow", ALLOW),))


class EarlyDialog:
    """One of the dialogs that provisional responses to our INVITE made, until it is answered or gone."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call = call

    def on_request(self, event: RequestReceived) -> None:
        """A callee may change the session that a reliable response began (RFC 3311 §5.1)."""
        call, method = self._call, event.request.method
        exchange = call.switch.exchange
        if method == "UPDATE" and call.outcome is None:
            _receive_change(call, event)
            if isinstance(call.leg, OutboundLeg):
                hear_as_told(call, call.leg, event.dialog, event.request)
        elif method == "INFO" and _refuses_digits(call, event.request):
            exchange.refuse(event, reasons.INFO_DIGITS_REFUSED, _NO_BODY)
        elif method in ("BYE", "INFO"):
            exchange.respond(event.transaction, 200)
        elif method == "OPTIONS":
            exchange.respond(event.transaction, 200, (("Allow", ALLOW), ("Accept", ACCEPTED)))
        else:
            exchange.refuse(event, reasons.NO_SUCH_CALL)

    def on_ack(self, request: Request) -> None:
        """None comes to a UAC."""

    def on_ack_timeout(self) -> None:
        """None is awaited."""

    def on_dialog_ended(self) -> None:
        """Another dialog of the INVITE, or its final response, decides."""


def _receive_info(call: Call, event: RequestReceived) -> None:
    """Digits and the like of RFC 2976 go to the other side; packages of RFC 6086 were never agreed on."""
    exchange, request = call.switch.exchange, event.request
    if "Info-Package" in request.headers:
        exchange.refuse(event, reasons.BAD_INFO, (("Recv-Info", ""),))
        return
    if _refuses_digits(call, request):
        exchange.refuse(event, reasons.INFO_DIGITS_REFUSED, _NO_BODY)
        return
    exchange.respond(event.transaction, 200)
    content_type = request.headers.get("Content-Type")
    dialog = _other_dialog(call)
    digit = info_digit(content_type or "", request.body)
    if dialog is None or content_type is None:
        if digit:
            call.playback.on_info_digit(digit)
        return

    def pass_on() -> None:
        try:
            exchange.send_in_dialog(_Unheard(), dialog, "INFO", (("Content-Type", content_type),), request.body)
        except LocalProtocolError:
            call.switch.counters["info_not_relayed"] += 1

    if digit and _must_press(call):
        call.playback.on_info_digit(digit)
    elif digit and call.playback.takes_digits:
        call.playback.on_info_digit(digit, pass_on)
    else:
        pass_on()


def _refuses_digits(call: Call, request: Request) -> bool:
    """Whether the INFO brings digits, and this leg's are not taken so.

    RFC 3261 §8.2.3 and §21.4.13: the method is one of ours, only this body is not: 415, and the phone may try its other
    way to send keys. 469 is for packages (RFC 6086 §4.2.2), and 405 would contradict our Allow.
    """
    return not call.switch.media.takes_info_digits(call) and brings_digits(request)


def _must_press(call: Call) -> bool:
    """Whether the other side of the bridge takes keys as telephone-events, and this one has none to send."""
    other = None if call.bridge_ is None else call.bridge_.other(call)
    if other is None or call.media is None or other.media is None or not other.media.negotiated:
        return False
    mine = call.media.negotiated
    return other.media.negotiated.telephone_event is not None and (mine is None or mine.telephone_event is None)


def _other_dialog(call: Call) -> DialogId | None:
    bridge = call.bridge_
    return None if bridge is None or bridge.stepped_out is not None else bridge.other(call).leg.dialog


class _Unheard:
    """Waits for a response that changes nothing."""

    def on_response(self, event: ResponseReceived) -> None:
        """Whatever it is."""

    def on_failure(self, event: RequestFailed) -> None:
        """Nothing to do."""


def _receive_prack(call: Call, event: RequestReceived) -> None:
    """A PRACK with the answer to our offer, or with an offer, answered by the session as it is (RFC 3262 §5)."""
    exchange, media = call.switch.exchange, call.media
    if call.answering.awaits == "prack":
        try:
            take_late_answer(call, event.request)
        except (UnsupportedBodyError, ParseError, NegotiationError):
            exchange.refuse(event, reasons.NO_SDP_ANSWER)
            call.end("server", reasons.NO_SDP_ANSWER)
        else:
            exchange.respond(event.transaction, 200)
        return
    if media is None:
        exchange.refuse(event, reasons.CHANGE_REFUSED)
        return
    try:
        body = media.answer(parse_sdp(session_description(event.request)), media.formats)
    except (UnsupportedBodyError, ParseError, NegotiationError):
        exchange.refuse(event, reasons.CHANGE_REFUSED)
        return
    if call.answering.early:
        call.answering.early = body
    join_media(call)
    exchange.respond(event.transaction, 200, (SDP,), body)


def _accept(call: Call, event: RequestReceived, body: bytes = b"") -> None:
    """200 to a change; it refreshes the session of this leg too."""
    described = (SDP,) if body else ()
    # Before the answer nothing is refreshed: that has the session's own headers.
    session = () if call.answered is None else call.session.granted(event.request)
    call.switch.exchange.respond(event.transaction, 200, (("Allow", ALLOW), *session, *described), body)


def _receive_change(call: Call, event: RequestReceived) -> None:
    exchange = call.switch.exchange
    if learn(call, event.request) and call.bridge_ is not None:
        tell(call.bridge_.other(call), call)
    too_small = call.session.refusal(event.request)
    if too_small is not None:
        exchange.refuse(event, reasons.SESSION_TOO_SHORT, (("Min-SE", str(too_small)),))
        return
    if event.request.method == "UPDATE" and not event.request.body:
        # A refresh, or who the peer is now; it says nothing of media.
        _accept(call, event)
        return
    try:
        body = session_description(event.request)
        if call.media is None or (call.answered is None and not _is_early_change(call, event.request)):
            exchange.refuse(event, reasons.CHANGE_PENDING)
            return
        if not body:
            _answer_without_offer(call, call.media, event)
            return
        offer = parse_sdp(body)
        wanted = None if is_fax(offer) else call.media.preview(offer)
    except UnsupportedBodyError:
        exchange.refuse(event, reasons.UNKNOWN_BODY, ACCEPTABLE)
    except ParseError:
        exchange.refuse(event, reasons.BAD_DESCRIPTION)
    except NegotiationError as error:
        exchange.refuse(event, reason_of_negotiation(error))
    else:
        if wanted is None:
            _take_fax(call, call.media, event, offer)
        else:
            _take_change(call, call.media, event, offer, wanted)


def _is_early_change(call: Call, request: Request) -> bool:
    """Before the answer only an UPDATE can come, and its offer only after another offer has its answer."""
    return request.method == "UPDATE" and (not request.body or (call.media is not None and bool(call.media.negotiated)))


def _answer_without_offer(call: Call, media: MediaLeg, event: RequestReceived) -> None:
    """A re-INVITE that wants our offer.

    RFC 3261 §14.2: that is made "as if the UAS were making a brand new call": every codec that we take, and the
    direction that the other side leaves us, whatever this one had said before.
    """
    try:
        body = media.offer(with_own(media.formats, media.codecs.own), _direction_left(call))
    except NegotiationError as error:
        call.switch.exchange.refuse(event, reason_of_negotiation(error))
        return
    call.answering.awaits = "ack"
    _accept(call, event, body)


def _direction_left(call: Call) -> Direction:
    """What the other side of the bridge lets this one do: less than all when it holds and there is no music for it."""
    other = None if call.bridge_ is None else call.bridge_.other(call)
    if other is None or other.media is None or other.media.negotiated is None or call.on_hold is not None:
        return Direction.SENDRECV
    if call.held_by_peer:
        # The other side may be silent only because of that, and this may be the end of it (RFC 6337 §5.3).
        return Direction.SENDRECV
    return other.media.negotiated.direction.reversed if other.held_by_peer else Direction.SENDRECV


def receive_late_answer(call: Call, request: Request) -> None:
    """The ACK has the answer to the offer in our 200; without one there is no session, and the call ends."""
    before = None if call.media is None else call.media.negotiated
    try:
        take_late_answer(call, request)
    except (UnsupportedBodyError, ParseError, NegotiationError):
        call.answering.awaits = ""
        call.end("server", reasons.NO_SDP_ANSWER)
        return
    now = None if call.media is None else call.media.negotiated
    bridge = call.bridge_
    if bridge is None or before is None or now is None:
        return
    other = bridge.other(call)
    if now.direction is before.direction or call.is_held or other.is_held or other.on_hold is not None:
        return
    # A hold, or its end, that the other side hears nothing else of.
    renegotiate(other, now.direction.reversed)


def _take_change(
    call: Call, media: MediaLeg, event: RequestReceived, offer: SessionDescription, wanted: NegotiatedAudio
) -> None:
    bridge = call.bridge_
    other = None if bridge is None or bridge.stepped_out is not None else bridge.other(call)
    is_same_audio = _concerns_one_side(media, wanted)
    if other is None or other.leg.dialog is None or other.media is None:
        _answer(call, media, event, offer)
        return
    if is_same_audio and not media.beside.wants_change(offer, other.media.beside):
        _answer(call, media, event, offer)
        return
    if not media.beside.is_fax and _is_held_here(call, media, other, wanted):
        _answer(call, media, event, offer)
        if not call.held_by_peer and not other.held_by_peer:
            # What an earlier hold, without music, had told the other side ends now too.
            renegotiate(other)
        return
    change = _Change(call, media, other, other.media, event, offer)
    change.may_decline = is_same_audio and not media.beside.is_fax
    change.send(other.media.offer(offered_formats(offer), wanted.direction.reversed, media.beside.wanted(offer)))


def _take_fax(call: Call, media: MediaLeg, event: RequestReceived, offer: SessionDescription) -> None:
    """The call is to go on as a fax: only with the other side of a bridge, while nobody is on hold."""
    if media.beside.is_fax and not media.beside.wants_change(offer):
        _answer(call, media, event, offer)
        return
    bridge = call.bridge_
    other = None if bridge is None or bridge.stepped_out is not None else bridge.other(call)
    wanted = [stream for stream in media.beside.wanted(offer) if stream.media == "image"]
    if other is None or other.leg.dialog is None or other.media is None or not wanted:
        call.switch.exchange.refuse(event, reasons.NO_COMMON_CODEC)
        return
    if call.is_held or other.is_held or call.held_by_peer or other.held_by_peer:
        call.switch.exchange.refuse(event, reasons.CHANGE_REFUSED)
        return
    change = _Change(call, media, other, other.media, event, offer)
    try:
        body = other.media.offer_fax(wanted[0], replaces=replaces_audio(offer))
    except NegotiationError:
        call.switch.exchange.refuse(event, reasons.CHANGE_REFUSED)
        return
    change.send(body)


def change_headers(call: Call) -> tuple[tuple[str, str], ...]:
    """What a re-INVITE or UPDATE of ours says besides its description."""
    return (("Allow", ALLOW), *call.session.request_headers())


def _is_held_here(call: Call, media: MediaLeg, other: Call, wanted: NegotiatedAudio) -> bool:
    """Whether a hold or its end is ours to answer: music is there for who is held, or we hold one of them ourselves."""
    now = media.negotiated
    if now is None or not now.formats[0].send.matches(wanted.formats[0].send):
        return False
    return call.is_held or other.is_held or (other.on_hold is not None and (wanted.held or now.held))


def _concerns_one_side(media: MediaLeg, wanted: NegotiatedAudio) -> bool:
    now = media.negotiated
    return (
        now is not None
        and now.direction is wanted.direction
        and now.held == wanted.held
        and now.formats[0].send.matches(wanted.formats[0].send)
    )


def _answer(call: Call, media: MediaLeg, event: RequestReceived, offer: SessionDescription) -> None:
    exchange = call.switch.exchange
    try:
        body = media.answer(offer, media.formats)
    except NegotiationError as error:
        exchange.refuse(event, reason_of_negotiation(error))
        return
    if call.answered is None and call.answering.early:
        # The 2xx repeats what was agreed on last.
        call.answering.early = body
    join_media(call)
    _accept(call, event, body)


def agree_on_codec(call: Call) -> None:
    """Offer the caller the other side's codec, when a 183 of another phone had told it of one which that does not take.

    All early media comes in one dialog, whose first description is its answer (RFC 3261 §13.2.1), so that the 2xx
    repeats it and cannot say anything new. Nothing happens until the ACK is there.
    """
    agreement = _Agreement(call)
    if call.was_acknowledged and not call.agrees and agreement.wanted() is not None:
        call.agrees = True
        call.changes.add(agreement)


def _can_talk(media: MediaLeg, other: MediaLeg) -> bool:
    """Whether each side takes what the other one sends first."""
    mine, theirs = media.formats, other.formats
    return any(each.matches(mine[0]) for each in theirs) and any(each.matches(theirs[0]) for each in mine)


class _Agreement:
    """Our re-INVITE to the caller."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def wanted(self) -> list[RtpFormat] | None:
        """What the caller offered and the other side takes; None when they can talk as it is."""
        bridge, media, offer = self._call.bridge_, self._call.media, self._call.offer
        other = None if bridge is None else bridge.other(self._call).media
        if media is None or other is None or offer is None or not (media.formats and other.formats):
            return None  # or a fax
        if _can_talk(media, other):
            return None
        offered = offered_formats(offer)
        return [each for mine in other.formats for each in offered if each.matches(mine)]

    def message(self) -> Message | None:
        wanted, media = self.wanted(), self._call.media
        return None if wanted is None or media is None else Message("INVITE", body=media.offer(wanted))

    def done(self, status: int) -> None:
        """The caller had offered this codec before, so that a refusal means that there is none."""
        self._call.agrees = False
        if status >= 300:
            self._call.end("server", reasons.NO_COMMON_CODEC)
        elif self._call.bridge_ is not None:
            self._call.bridge_.connect()


class _Change:
    """A change of the session on its way to the other side of the bridge."""

    def __init__(  # the two sides, and what one of them asked
        self,
        call: Call,
        media: MediaLeg,
        other: Call,
        other_media: MediaLeg,
        event: RequestReceived,
        offer: SessionDescription,
    ) -> None:
        self._call = call
        self._media = media
        self._other = other
        self._other_media = other_media
        self._event = event
        self._offer = offer
        # Whether the audio stays as it is: a side that refuses the rest is no reason to refuse it all.
        self.may_decline = False

    def send(self, body: bytes) -> None:
        """Offer it to the other side, whose dialog is there."""
        exchange, dialog = self._call.switch.exchange, self._other.leg.dialog
        assert dialog is not None, "looked at before"
        try:
            exchange.send_in_dialog(self, dialog, "INVITE", (*change_headers(self._other), SDP), body)
        except LocalProtocolError:
            self._other_media.offer_refused()
            exchange.refuse(self._event, reasons.CHANGE_PENDING)

    def on_response(self, event: ResponseReceived) -> None:
        """The other side's answer becomes ours."""
        status = event.response.status
        exchange = self._call.switch.exchange
        if status < 200:
            return
        if status >= 300:
            self._other_media.offer_refused()
            if self.may_decline and status != 491:
                _answer(self._call, self._media, self._event, self._offer)
            else:
                exchange.refuse(self._event, reasons.CHANGE_PENDING if status == 491 else reasons.CHANGE_REFUSED)
            return
        assert event.dialog is not None, "a re-INVITE is answered in its dialog"
        exchange.ack(event.dialog)
        self._other.session.agreed(event.response)
        try:
            self._other_media.read_answer(event.response.body)
            negotiated = self._other_media.negotiated
            # None: it is a fax, and has been one from its first INVITE on.
            direction = Direction.SENDRECV if negotiated is None else negotiated.direction.reversed
            body = self._media.answer(self._offer, self._other_media.formats, direction, self._other_media.beside)
        except (ParseError, NegotiationError):
            exchange.refuse(self._event, reasons.CHANGE_REFUSED)
            if is_fax(self._offer):
                self._other_media.offer_refused()
                bring_back_audio(self._other)
            return
        if self._call.bridge_ is not None:
            self._call.bridge_.connect()
        _accept(self._call, self._event, body)

    def on_failure(self, event: RequestFailed) -> None:
        """The other side is silent; its dialog ends, and the call with it."""
        self._other_media.offer_refused()
        self._call.switch.exchange.refuse(self._event, reasons.CHANGE_REFUSED)
