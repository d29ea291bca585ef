"""Hold, both ways (RFC 3264 §8.4): ours by a re-INVITE, and what a party hears while the other one holds it.

| who holds            | music for the held party        | no music                                      |
|----------------------|---------------------------------|-----------------------------------------------|
| we, by `Call.hold`   | played to it, relay off         | silence, relay off                            |
| the phone at A       | answered here, played to B      | offered to B, which answers (`in_dialog`)     |
| both phones          | nobody hears it until one takes the other back: a phone that holds is sent nothing |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from media import MediaError
from sipcore.sdp import Direction
from voipat import reasons
from voipat.changes import Message
from voipat.errors import CallOutcome, Rejected
from voipat.waiting import wake

if TYPE_CHECKING:
    import asyncio

    from voipat.call import Call
    from voipat.media_leg import MediaLeg


async def change_hold(call: Call, *, held: bool) -> None:
    """As `Call.hold` and `Call.resume`."""
    await call.answer()
    media = call.media
    assert media is not None, "an answered call has a port"
    if call.is_held is held:
        return
    before, media.own_direction = media.own_direction, Direction.SENDONLY if held else Direction.SENDRECV
    waiter = call.new_waiter()
    offer = _Offer(media, waiter)
    call.changes.add(offer)
    try:
        await waiter
    finally:
        offer.is_wanted = offer.status < 300
        call.no_longer_wakes(waiter)
    call.raise_if_ended()
    if offer.status >= 300:
        media.own_direction = before
        raise Rejected(reasons.CHANGE_PENDING if offer.status == 491 else reasons.CHANGE_REFUSED)
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
    return call.is_held or (other.held_by_peer and not _only_listens(call)) or bridge.stepped_out is other


def _only_listens(call: Call) -> bool:
    """Whether its peer muted itself (recvonly): the other side answers that with sendonly, and holds nobody."""
    negotiated = None if call.media is None else call.media.negotiated
    return negotiated is not None and negotiated.direction is Direction.SENDONLY


async def _play(call: Call) -> None:
    assert call.on_hold is not None, "asked for just now"
    try:
        await call.playback.play(call.on_hold, stop_digits="", loop=True, start=0.0)
    except CallOutcome:
        return  # The call is over.
    except (MediaError, ValueError) as error:
        call.note("no music for %s: %s", call.id, error)


class _Offer:
    """Our wish of now, for who waits for the answer."""

    def __init__(self, media: MediaLeg, waiter: asyncio.Future[None]) -> None:
        self._media = media
        self._waiter = waiter
        self.is_wanted = True
        self.status = 408

    def message(self) -> Message | None:
        return Message("INVITE", body=self._media.offer()) if self.is_wanted else None

    def done(self, status: int) -> None:
        """The answer takes effect."""
        self.status = status
        wake(self._waiter)
