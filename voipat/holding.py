"""Hold, both ways (RFC 3264 §8.4): ours by a re-INVITE, and what a party hears while the other one holds it.

| who holds            | music for the held party        | no music                                      |
|----------------------|---------------------------------|-----------------------------------------------|
| we, by `Call.hold`   | played to it, relay off         | silence, relay off                            |
| the phone at A       | answered here, played to B      | offered to B, which answers (`in_dialog`)     |
| both phones          | nobody hears it until one takes the other back: a phone that holds is sent nothing |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from media import MediaError
from sipcore.errors import LocalProtocolError, NegotiationError, ParseError
from sipcore.events import RequestFailed, ResponseReceived
from sipcore.sdp import Direction
from voipat import reasons
from voipat.auth_gate import ALLOW
from voipat.errors import CallOutcome, Rejected
from voipat.legs import SDP
from voipat.session_refresh import glare_pause

if TYPE_CHECKING:
    import asyncio

    from voipat.call import Call
    from voipat.media_leg import MediaLeg

# Tries of one change while the peer changes the session too.
MAX_TRIES: Final = 4


async def change_hold(call: Call, *, held: bool) -> None:
    """As `Call.hold` and `Call.resume`."""
    await call.answer()
    media = call.media
    assert media is not None, "an answered call has a port"
    if call.is_held is held:
        return
    before, media.own_direction = media.own_direction, Direction.SENDONLY if held else Direction.SENDRECV
    status = 491
    for _ in range(MAX_TRIES):
        status = await _offered(call, media)
        if status != 491:
            break
        await _pause(call, glare_pause(call))
    if status >= 300:
        media.own_direction = before
        raise Rejected(reasons.CHANGE_PENDING if status == 491 else reasons.CHANGE_REFUSED)
    call.note("%s is %s", call.id, "on hold" if held else "off hold")
    if call.bridge_ is not None:
        call.bridge_.connect()
    else:
        play_on_hold(call)


def play_on_hold(call: Call) -> bool:
    """Begin or end the music of a party that is held, or not any more; whether there is music now."""
    if call.on_hold is None or call.answered is None or call.outcome is not None or not _is_put_on_hold(call):
        stop_music(call)
        return False
    if call.music is None:
        call.music = call.switch.spawn(_play(call))
    return True


def stop_music(call: Call) -> None:
    """End it, if there is any."""
    task, call.music = call.music, None
    if task is not None:
        task.cancel()


def is_apart(call: Call) -> bool:
    """Whether it must not hear the other side: we hold it, or music is in its place."""
    return call.is_held or (call.on_hold is not None and _is_put_on_hold(call))


def _is_put_on_hold(call: Call) -> bool:
    bridge = call.bridge_
    if bridge is None:
        return call.is_held
    other = bridge.other(call)
    return call.is_held or other.held_by_peer or bridge.stepped_out is other


async def _play(call: Call) -> None:
    assert call.on_hold is not None, "asked for just now"
    try:
        await call.playback.play(call.on_hold, stop_digits="", loop=True, start=0.0)
    except CallOutcome:
        return  # The call is over.
    except (MediaError, ValueError) as error:
        call.note("no music for %s: %s", call.id, error)


async def _pause(call: Call, seconds: float) -> None:
    waiter = call.new_waiter()
    timer = call.switch.loop.call_later(seconds, _wake, waiter)
    await _wait(call, waiter)
    timer.cancel()


async def _offered(call: Call, media: MediaLeg) -> int:
    """Our re-INVITE; its final status, 408 without one, 491 when another change is under way here."""
    assert call.leg.dialog is not None, "an answered call has its dialog"
    waiter = call.new_waiter()
    offer = _Offer(call, media, waiter)
    headers = (("Allow", ALLOW), *call.session.request_headers(), SDP)
    try:
        call.switch.exchange.send_in_dialog(offer, call.leg.dialog, "INVITE", headers, media.offer())
    except LocalProtocolError:
        media.offer_refused()
        call.no_longer_wakes(waiter)
        return 491
    await _wait(call, waiter)
    return offer.status


async def _wait(call: Call, waiter: asyncio.Future[None]) -> None:
    try:
        await waiter
    finally:
        call.no_longer_wakes(waiter)
    if call.outcome is not None:
        raise call.outcome


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class _Offer:
    """Acknowledged and read even when who waited is gone meanwhile."""

    def __init__(self, call: Call, media: MediaLeg, waiter: asyncio.Future[None]) -> None:
        self._call = call
        self._media = media
        self._waiter = waiter
        self.status = 408

    def on_response(self, event: ResponseReceived) -> None:
        """The answer takes effect; a refusal leaves the session as it was (RFC 3261 §14.1)."""
        status, call = event.response.status, self._call
        if status < 200:
            return
        if status < 300 and event.dialog is not None:
            call.switch.exchange.ack(event.dialog)
            try:
                if call.outcome is None:
                    call.session.agreed(event.response)
                    self._media.read_answer(event.response.body)
            except (ParseError, NegotiationError):
                status = 488
        else:
            self._media.offer_refused()
        self.status = status
        _wake(self._waiter)

    def on_failure(self, event: RequestFailed) -> None:
        """The peer is silent; its dialog ends, and the call with it."""
        _wake(self._waiter)
