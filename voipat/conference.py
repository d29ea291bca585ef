"""Conferences: rooms in which calls hear each other, each everybody but itself.

    async with app.conference("room-7") as conference:      opens the room, or comes to the one that is open
        member = await conference.join(call)                 the call is in it until it leaves, ends, or is bridged

A room is one tenant's: the same name at another tenant is another room. It is open as long as somebody is inside of
such a block; with the last one it is gone, and so are its lock and what it said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from media import CodecMissingError
from media.mixer import MAX_GAIN_DB, Mixer
from media.prompts import Source, items_of, samples_of
from sipcore.offer_answer import NegotiatedAudio
from voipat import events, reasons
from voipat.errors import Rejected
from voipat.reasons import Reason
from voipat.waiting import wake

if TYPE_CHECKING:
    from voipat.call import Call
    from voipat.media_leg import MediaLeg
    from voipat.switch import Switch

DEFAULT_LIMIT: Final = 500
DEFAULT_RATE: Final = 16000
MAX_NAME: Final = 128
# Announcements that wait for the one before; one more is not said, and counted.
MAX_ANNOUNCEMENTS: Final = 8

MAX_ANNOUNCEMENT_S: Final = 300.0


class Member:
    """A call in a conference. Made by `Conference.join`."""

    def __init__(self, room: Room, call: Call, leg: MediaLeg, *, muted: bool, gain_db: float) -> None:
        self.call: Final = call
        self.joined: Final = call.switch.wallclock()
        self._room = room
        self._leg = leg
        self._muted = muted
        self._gain_db = gain_db
        self._speaking = False
        self._is_in = True
        self._waiters: set[asyncio.Future[None]] = set()

    @property
    def muted(self) -> bool:
        """Whether the others do not hear it."""
        return self._muted

    @property
    def gain_db(self) -> float:
        """How loud the others hear it."""
        return self._gain_db

    @property
    def held(self) -> bool:
        """Whether its phone holds the conference: then its music is not heard by the others."""
        return self._leg.negotiated is not None and self._leg.negotiated.held

    @property
    def speaking(self) -> bool:
        """Whether it speaks, or did half a second ago."""
        return self._speaking

    @property
    def is_in(self) -> bool:
        """Whether it is in the conference still."""
        return self._is_in

    async def set_muted(self, muted: bool) -> None:
        """Let the others hear it, or not."""
        self._muted = muted
        self._put()

    async def set_gain(self, db: float) -> None:
        """How loud the others hear it, -60 to 24 dB. Raises: ValueError."""
        if not -60.0 <= db <= MAX_GAIN_DB:
            raise ValueError(f"{db} dB: a gain lies between -60 and {MAX_GAIN_DB:.0f}")
        self._gain_db = db
        self._put()

    async def leave(self) -> None:
        """Take the call out; it stays up."""
        self.out("left")

    async def kick(self, reason: Reason = reasons.REMOVED_FROM_CONFERENCE) -> None:
        """Take the call out and hang it up."""
        self.out("kicked")
        self.call.end("server", reason)

    async def left(self) -> None:
        """Wait until it is out of the conference while its call goes on. Raises: HungUp."""
        while self._is_in:
            waiter = self.call.new_waiter()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)
                self.call.no_longer_wakes(waiter)
            if self.call.outcome is not None:
                raise self.call.outcome

    # Its leg says

    def described(self, negotiated: NegotiatedAudio) -> None:
        """The session was negotiated anew: held, resumed, or another codec."""
        if self._is_in:
            self._leg.audio.want("mixer", self._rate())
            self._put()

    def spoke(self, speaking: bool) -> None:
        """It began to speak, or ended."""
        if self._is_in:
            self._speaking = speaking
            self._room.tell_speaking(self)

    def out(self, why: events.LeftWhy) -> None:
        """It is in the room no more: the call is with somebody else, or over."""
        if not self._is_in:
            return
        self._is_in = self._speaking = False
        self._room.remove(self, why)
        for waiter in self._waiters:
            wake(waiter)

    def _put(self) -> None:
        if self._is_in:
            self._room.mixer.add(self._leg.port, gain_db=self._gain_db, muted=self._muted or self.held)

    def enter(self) -> None:
        """Into the mixer. Raises: CodecMissingError."""
        self._leg.take_seat(self, self._rate())
        self._put()

    def _rate(self) -> int:
        return self._room.mixer.rate_for(self._leg.audio.natural_rate)

    def let_go(self) -> None:
        """Out of the mixer."""
        if self._leg.is_open:
            self._room.mixer.remove(self._leg.port)
        else:
            self._room.mixer.forget(self._leg.port)
        self._leg.give_seat(self)


class Room:
    """What the handles of one conference share."""

    def __init__(self, switch: Switch, tenant: str, name: str, *, limit: int, rate: int) -> None:
        self.tenant: Final = tenant
        self.name: Final = name
        self.limit: Final = limit
        self.mixer: Final[Mixer] = switch.media.engine.mixer(rate)
        self.is_locked = False
        self.members: list[Member] = []
        self.handles = 0
        self._switch = switch
        self._announcing = asyncio.Lock()
        self._waiting = 0

    def admit(self, call: Call, *, past_lock: bool) -> Member | None:
        """The member that the call is already; None when it may come in. Raises: Rejected."""
        found = next((member for member in self.members if member.call is call), None)
        if found is None and self.is_locked and not past_lock:
            raise Rejected(reasons.CONFERENCE_LOCKED)
        if found is None and len(self.members) >= self.limit:
            raise Rejected(reasons.CONFERENCE_FULL)
        return found

    def add(self, member: Member) -> None:
        """Let it in. Raises: Rejected."""
        try:
            member.enter()
        except CodecMissingError as error:
            raise Rejected(reasons.NO_COMMON_CODEC) from error
        self.members.append(member)
        call, switch = member.call, self._switch
        call.note("%s joins the conference %s, %d are in it", call.id, self.name, len(self.members))
        switch.publish(
            events.ConferenceJoined(
                call.id, call.linked_id, self.tenant, self.name, len(self.members), switch.wallclock()
            )
        )

    def remove(self, member: Member, why: events.LeftWhy) -> None:
        """It goes."""
        self.members.remove(member)
        member.let_go()
        call, switch = member.call, self._switch
        call.note("%s leaves the conference %s: %s", call.id, self.name, why)
        switch.publish(
            events.ConferenceLeft(
                call.id, call.linked_id, self.tenant, self.name, len(self.members), why, switch.wallclock()
            )
        )

    def tell_speaking(self, member: Member) -> None:
        """For who shows the room."""
        call = member.call
        self._switch.publish(
            events.ConferenceSpeaking(call.id, call.linked_id, self.tenant, self.name, member.speaking)
        )

    async def announce(self, source: Source) -> bool:
        """Say it to all; False when nobody is there or too many wait. Raises: PromptError."""
        items = items_of(source)
        if self._waiting >= MAX_ANNOUNCEMENTS:
            self._switch.counters["announcements_dropped"] += 1
            return False
        self._waiting += 1
        try:
            async with self._announcing:
                loop = self._switch.loop
                samples = await loop.run_in_executor(None, samples_of, items, self.mixer.rate, MAX_ANNOUNCEMENT_S)
                if not self.members:
                    return False
                self.mixer.announce(samples)
                await asyncio.sleep(len(samples) / self.mixer.rate)
                return True
        finally:
            self._waiting -= 1


class Conference:
    """One opening of a room, by `app.conference(name)`; who joined through it leaves with the end of its block.

    Without a `tenant` the room is that of the tenant of the first call that joins here.
    """

    def __init__(self, switch: Switch, name: str, *, tenant: str | None, limit: int, rate: int) -> None:
        if not 0 < len(name) <= MAX_NAME:
            raise ValueError(f"a conference has a name of 1 to {MAX_NAME} characters")
        if limit < 1:
            raise ValueError(f"a conference takes at least one member, not {limit}")
        self.name: Final = name
        self._switch = switch
        self._tenant = tenant
        self._limit = limit
        self._rate = rate
        self._room: Room | None = None
        self._mine: list[Member] = []
        self._is_open = False

    async def __aenter__(self) -> Self:
        self._is_open = True
        if self._tenant is not None:
            self._enter(self._tenant)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_open = False
        for member in self._mine:
            member.out("ended" if member.call.outcome is not None else "left")
        room, self._room, self._mine = self._room, None, []
        if room is None:
            return
        room.handles -= 1
        if room.handles == 0:
            del self._switch.rooms[room.tenant, room.name]

    async def join(self, call: Call, *, muted: bool = False, gain_db: float = 0.0, past_lock: bool = False) -> Member:
        """Let the call in, which is answered first; a second time it is the member that it is.

        No lock keeps out who comes `past_lock`.
        Raises: Rejected when the room is full or locked, another tenant's, or the call's codec can only be passed on;
        HungUp, Cancelled; ValueError for a call that is bridged.
        """
        if not -60.0 <= gain_db <= MAX_GAIN_DB:
            raise ValueError(f"{gain_db} dB: a gain lies between -60 and {MAX_GAIN_DB:.0f}")
        room = self._room or self._enter(call.tenant)
        # A stranger belongs to nobody: who names the tenant of the room lets them in.
        if call.tenant not in ("", room.tenant):
            raise Rejected(reasons.FOREIGN_CONFERENCE)
        room.admit(call, past_lock=past_lock)
        await call.answer()
        if call.bridge_ is not None:
            raise ValueError("a call in a bridge joins no conference")
        found = room.admit(call, past_lock=past_lock)  # others may have come meanwhile
        if found is not None:
            return found
        assert call.media is not None, "an answered call has a port"
        member = Member(room, call, call.media, muted=muted, gain_db=gain_db)
        room.add(member)
        self._mine.append(member)
        return member

    async def announce(self, source: Source) -> bool:
        """Say a prompt to all who are in it, after what is being said, and return when it was said.

        False: nobody was there, or too many announcements wait. Raises: PromptError.
        """
        return await self._opened().announce(source)

    def lock(self, locked: bool = True) -> None:
        """Let nobody else in."""
        self._opened().is_locked = locked

    @property
    def is_locked(self) -> bool:
        """Whether nobody else comes in."""
        return self._opened().is_locked

    @property
    def members(self) -> Sequence[Member]:
        """Who is in it, in the order of coming."""
        return tuple(self._opened().members)

    @property
    def tenant(self) -> str:
        """Whose room it is."""
        return self._opened().tenant

    def _opened(self) -> Room:
        if self._room is None:
            raise ValueError("whose room it is is known once a call has joined; or name its tenant")
        return self._room

    def _enter(self, tenant: str) -> Room:
        if not self._is_open:
            raise ValueError("a conference is open inside of its block: async with app.conference(name)")
        rooms = self._switch.rooms
        room = rooms.get((tenant, self.name))
        if room is None:
            room = Room(self._switch, tenant, self.name, limit=self._limit, rate=self._rate)
            rooms[tenant, self.name] = room
        room.handles += 1
        self._room = room
        return room
