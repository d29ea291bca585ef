"""Conferences: everybody hears the others and never itself, whatever its codec; who leaves leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from voipat import App, Call, Conference, Member, Tone, events
from voipat.events import ConferenceJoined, ConferenceLeft, ConferenceSpeaking, Event
from voipat.leg_audio import LegAudio
from voipat.testing import PhoneCall, SimWorld

TONES = {"alice": 420, "bob": 700, "carol": 1130}


class Rooms:
    """An App with rooms, and what its handlers made."""

    def __init__(self, **options: int) -> None:
        self.app = App(listen="udp://127.0.0.1:5060")
        self.members: list[Member] = []
        self.conferences: list[Conference] = []
        self.events: list[Event] = []
        self.options = options
        self.app.subscribe(self.events.append, (ConferenceJoined, ConferenceLeft, ConferenceSpeaking))
        self.app.on_call("sip:room-*@*", public=True)(self.room)
        self.app.on_call("sip:echo@*", public=True)(self.echo)

    async def room(self, call: Call) -> None:
        async with self.app.conference(call.to.user or "", **self.options) as conference:
            member = await conference.join(call)
            self.members.append(member)
            self.conferences.append(conference)
            async for digit in call.digits():
                if digit == "6":
                    await member.set_muted(not member.muted)
                elif digit == "9":
                    conference.lock()
                elif digit == "1":
                    await conference.announce(Tone(300, seconds=0.5))
                elif digit == "5":
                    await call.transfer("sip:echo@127.0.0.1", how="bridge")
                elif digit == "0":
                    break

    async def echo(self, call: Call) -> None:
        await call.echo()

    @contextmanager
    def world(self) -> Iterator[SimWorld]:
        with SimWorld(self.app) as world:
            for name, tone in TONES.items():
                world.phone(f"sip:{name}@elsewhere.example", tone=tone)
            yield world
            world.run()
            assert not self.app.conferences
            assert world.leaks() == []

    def members_told(self) -> list[int]:
        return [each.members for each in self.events if isinstance(each, ConferenceJoined | ConferenceLeft)]


def enter(world: SimWorld, count: int = 3, room: str = "room-1", seconds: float = 3.0) -> list[PhoneCall]:
    calls = [phone.dial(f"sip:{room}@127.0.0.1").waits(seconds + 60).hangs_up() for phone in world.phones[:count]]
    world.run(until=world.now + seconds)
    return calls


def levels(call: PhoneCall, world: SimWorld, *hertz: int) -> list[float]:
    """How loud each of these was in the last second."""
    samples = call.heard.samples(since=world.now - 1.0).astype(float)
    if len(samples) < 4000:
        return [0.0 for _ in hertz]
    spectrum = np.abs(np.fft.rfft(samples[-4000:] * np.hanning(4000))) / 1000
    return [float(spectrum[round(each / 2)]) for each in hertz]


def rate_of(member: Member) -> int:
    """Of its samples in the mixer."""
    assert member.call.media is not None
    return member.call.media.audio._users["mixer"]


def heard_by(call: PhoneCall, world: SimWorld) -> set[str]:
    return {name for name, level in zip(TONES, levels(call, world, *TONES.values()), strict=True) if level > 1500}


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_everybody_hears_the_others_and_not_itself(rate: int) -> None:
    rooms = Rooms(rate=rate)
    with rooms.world() as world:
        calls = enter(world)
        assert [heard_by(call, world) for call in calls] == [{"bob", "carol"}, {"alice", "carol"}, {"alice", "bob"}]
        assert max(levels(calls[0], world, TONES["alice"])) < 100
        assert [member.speaking for member in rooms.members] == [True] * 3
    assert rooms.members_told() == [1, 2, 3, 2, 1, 0]


def test_members_with_different_codecs_meet() -> None:
    rooms = Rooms()
    with rooms.world() as world:
        calls = [phone.dial("sip:room-1@127.0.0.1") for phone in world.phones]
        world.run(until=0.5)
        law = replace(calls[1]._local, formats=tuple(each for each in calls[1]._local.formats if each.name != "PCMU"))
        calls[1]._local = law
        calls[1].resume()  # a re-INVITE with another codec in the middle of the conference
        world.run(until=0.6)
        assert calls[1]._talker is not None
        calls[1]._talker.payload_type = 8
        world.run(until=3.5)
        codecs = [member.call.media and member.call.media.codec for member in rooms.members]
        assert sorted(filter(None, codecs)) == ["PCMA", "PCMU", "PCMU"]
        assert [heard_by(call, world) for call in calls] == [{"bob", "carol"}, {"alice", "carol"}, {"alice", "bob"}]
        for call in calls:
            call.hang_up()


def test_who_has_a_narrow_codec_is_mixed_narrow_until_it_negotiates_a_wide_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rooms = Rooms()
    with rooms.world() as world:
        calls = [phone.dial("sip:room-1@127.0.0.1") for phone in world.phones]
        world.run(until=2.0)
        assert [rate_of(member) for member in rooms.members] == [8000] * 3
        monkeypatch.setattr(LegAudio, "natural_rate", 16000)
        law = replace(calls[1]._local, formats=tuple(each for each in calls[1]._local.formats if each.name != "PCMU"))
        calls[1]._local = law
        calls[1].resume()  # a re-INVITE, the only one
        world.run(until=2.2)
        assert calls[1]._talker is not None
        calls[1]._talker.payload_type = 8
        world.run(until=5.0)
        assert sorted(rate_of(member) for member in rooms.members) == [8000, 8000, 16000]
        assert [heard_by(call, world) for call in calls] == [{"bob", "carol"}, {"alice", "carol"}, {"alice", "bob"}]
        for call in calls:
            call.hang_up()


def test_rooms_of_different_names_do_not_hear_each_other() -> None:
    with Rooms().world() as world:
        calls = [
            phone.dial(f"sip:room-{number}@127.0.0.1") for number, phone in zip((1, 1, 2), world.phones, strict=True)
        ]
        world.run(until=3.0)
        assert [heard_by(call, world) for call in calls] == [{"bob"}, {"alice"}, set()]
        for call in calls:
            call.hang_up()


def test_a_muted_member_is_not_heard_and_hears() -> None:
    with Rooms().world() as world:
        calls = enter(world)
        calls[0]._talker and calls[0]._talker.press("6")
        world.run(until=world.now + 3.0)
        assert [heard_by(call, world) for call in calls] == [{"bob", "carol"}, {"carol"}, {"bob"}]


def test_a_member_that_holds_is_not_heard_and_comes_back() -> None:
    rooms = Rooms()
    with rooms.world() as world:
        calls = enter(world)
        calls[2].hold()  # and its phone plays music to us: sendonly
        world.run(until=world.now + 2.0)
        held = next(member for member in rooms.members if member.held)
        assert not held.muted and heard_by(calls[0], world) == {"bob"}
        calls[2].resume()
        world.run(until=world.now + 2.0)
        assert heard_by(calls[0], world) == {"bob", "carol"} and heard_by(calls[2], world) == {"alice", "bob"}


SILENT_S = 30.0 + 32.0 + 3.0  # the media timeout, and 64*T1 until a question is given up


def fall_silent(call: PhoneCall) -> None:
    """It listens, as a phone that is muted and sends no reports."""
    assert call._talk_timer is not None
    call._talk_timer.cancel()


def test_a_member_whose_phone_vanished_is_asked_and_hung_up() -> None:
    rooms = Rooms()
    with rooms.world() as world:
        calls = [phone.dial("sip:room-1@127.0.0.1") for phone in world.phones]
        world.run(until=world.now + 3.0)
        ended: list[events.CallEnded] = []
        rooms.app.subscribe(ended.append, {events.CallEnded})
        world.phones[0].vanish()
        world.run(until=world.now + SILENT_S)
        assert [(each.cause.id, each.cause.sip) for each in ended] == [("VP-4004", 408)]
        assert rooms.members_told()[-1] == 2
        for call in calls[1:]:
            call.hang_up()


@pytest.mark.parametrize("takes_update", [True, False], ids=["UPDATE", "re-INVITE"])
def test_a_member_that_sends_nothing_by_right_is_asked_and_stays(takes_update: bool) -> None:
    rooms = Rooms()
    with rooms.world() as world:
        calls = [phone.dial("sip:room-1@127.0.0.1") for phone in world.phones]
        world.run(until=world.now + 3.0)
        member = next(each for each in rooms.members if each.call.from_.user == "alice")
        member.call.session.takes_update = takes_update
        fall_silent(calls[0])
        world.run(until=world.now + 200.0)
        assert not calls[0].is_over and heard_by(calls[0], world) == {"bob", "carol"}
        method = b"UPDATE " if takes_update else b"INVITE "
        asked = [rung for rung in world.network.ladder if rung.time > 3.0 and rung.data.startswith(method)]
        assert 4 <= len(asked) <= 7, "again at each media timeout"
        for call in calls:
            call.hang_up()


def test_who_hangs_up_is_gone_at_once_and_the_others_go_on() -> None:
    rooms = Rooms()
    with rooms.world() as world:
        calls = enter(world)
        calls[0].hang_up()
        world.run(until=world.now + 2.0)
        assert [len(each.members) for each in rooms.conferences if each._room is not None] == [2, 2]
        assert heard_by(calls[1], world) == {"carol"} and heard_by(calls[2], world) == {"bob"}
    left = [each for each in rooms.events if isinstance(each, ConferenceLeft)]
    assert [each.why for each in left] == ["ended"] * 3


def test_a_member_that_goes_to_another_handler_leaves_the_room() -> None:
    rooms = Rooms()
    with rooms.world() as world:
        calls = enter(world)
        calls[0]._talker and calls[0]._talker.press("5")
        world.run(until=world.now + 3.0)
        assert heard_by(calls[0], world) == {"alice"}  # its echo
        assert heard_by(calls[1], world) == {"carol"}
    assert next(each.why for each in rooms.events if isinstance(each, ConferenceLeft)) == "left"


def test_who_is_kicked_is_hung_up_with_the_reason() -> None:
    rooms = Rooms()
    with rooms.world() as world:
        calls = enter(world)
        kicked = next(member for member in rooms.members if member.call.caller == "bob")
        world.loop.create_task(kicked.kick())
        world.run(until=world.now + 2.0)
        assert calls[1].is_over and calls[1].reasons and "VP-40" in calls[1].reasons[0]
        assert heard_by(calls[0], world) == {"carol"} and not kicked.is_in
    assert "kicked" in [each.why for each in rooms.events if isinstance(each, ConferenceLeft)]


def test_a_locked_room_and_a_full_one_refuse_with_their_ids() -> None:
    with Rooms(limit=2).world() as world:
        calls = enter(world, 2)
        third = world.phones[2].dial("sip:room-1@127.0.0.1")
        world.run(until=world.now + 1.0)
        assert (third.status, third.warning_ids[:1]) == (486, ["VP-2008"])
        calls[0]._talker and calls[0]._talker.press("9")
        calls[1].hang_up()
        world.run(until=world.now + 1.0)
        again = world.phones[2].dial("sip:room-1@127.0.0.1")
        world.run(until=world.now + 1.0)
        assert (again.status, again.warning_ids[:1]) == (403, ["VP-2009"])
        calls[0].hang_up()
        world.run(until=world.now + 1.0)
        # With the last one the lock is gone.
        fresh = world.phones[2].dial("sip:room-1@127.0.0.1").hangs_up(after=1.0)
        world.run(until=world.now + 3.0)
        assert fresh.was_answered


def test_an_announcement_is_heard_by_all() -> None:
    with Rooms().world() as world:
        calls = enter(world)
        calls[0]._talker and calls[0]._talker.press("1")
        world.run(until=world.now + 1.0)
        assert all(levels(call, world, 300)[0] > 500 for call in calls)
        world.run(until=world.now + 2.0)
        assert all(levels(call, world, 300)[0] < 100 for call in calls)


def test_gain_is_heard_by_the_others_and_limited() -> None:
    rooms = Rooms()
    with rooms.world() as world:
        calls = enter(world)
        before = levels(calls[1], world, TONES["alice"])[0]
        alice = next(member for member in rooms.members if member.call.caller == "alice")
        world.loop.create_task(alice.set_gain(-12.0))
        world.run(until=world.now + 2.0)
        assert 0.2 < levels(calls[1], world, TONES["alice"])[0] / before < 0.3
        with pytest.raises(ValueError, match="between -60 and 24"):
            world.loop.run_until_complete(alice.set_gain(30.0))
        assert alice.gain_db == -12.0


def test_the_same_name_at_another_tenant_is_another_room_and_no_call_crosses() -> None:
    rooms = Rooms()
    outcomes: list[str] = []

    @rooms.app.on_call("sip:theirs@*", public=True)
    async def theirs(call: Call) -> None:
        async with rooms.app.conference("room-1", tenant="other.example") as conference:
            object.__setattr__(call, "tenant", "office.example")
            try:
                await conference.join(call)
            finally:
                outcomes.append(conference.tenant)

    with rooms.world() as world:
        calls = enter(world, 1)
        intruder = world.phones[1].dial("sip:theirs@127.0.0.1")
        world.run(until=world.now + 1.0)
        assert (intruder.status, intruder.warning_ids[:1]) == (403, ["VP-2010"])
        assert outcomes == ["other.example"] and heard_by(calls[0], world) == set()


def test_a_conference_needs_its_block_a_name_and_a_place() -> None:
    app = App()
    with pytest.raises(ValueError, match="between the start and the end"):
        app.conference("room")
    assert events.ConferenceJoined("1", "1", "", "room", 1, 0.0).members == 1
    rooms = Rooms()
    with rooms.world():
        for name in ("", "x" * 129):
            with pytest.raises(ValueError, match="1 to 128"):
                rooms.app.conference(name)
        with pytest.raises(ValueError, match="at least one"):
            rooms.app.conference("room", limit=0)
        with pytest.raises(ValueError, match="whose room"):
            rooms.app.conference("room").lock()
