"""Hold by a phone and by the program, with music and without, both ways (RFC 3264 §8.4)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from media.tones import Tone
from sipcore.sdp import Direction
from voipat import App, Call, Registrar
from voipat.errors import Rejected
from voipat.testing import PhoneCall, SimWorld
from voipat.testing.call import HoldLevel, HoldStyle

pytestmark = pytest.mark.usefixtures("nothing_left")

PASSWORD = "secret"
MUSIC_HZ = 1400
GAP_S = 0.5
HOLDS: list[HoldStyle] = ["sendonly", "inactive", "0.0.0.0"]
SIDES = ["caller", "callee"]


def holds(leg: Call) -> tuple[bool, bool]:
    """(we hold its peer, its peer holds us)"""
    return leg.is_held, leg.held_by_peer


class Talk:
    """A call of two phones that is up, and the server's view of it."""

    def __init__(self, seed: int, *, music: bool, answer_after: float = 1.0, early_media: bool = False) -> None:
        self.legs: list[Call] = []
        # The caller's leg, which is there before the callee answers.
        self.dialling: Call
        self.app = App(registrar=Registrar("example.com", password_of=lambda user: PASSWORD, digest=["MD5"]))
        on_hold = Tone(MUSIC_HZ, 1.0) if music else None

        @self.app.on_call("*")
        async def connect(call: Call) -> None:
            self.dialling, call.on_hold = call, on_hold
            other = await call.dial(call.to.user or "")
            other.on_hold = on_hold
            self.legs = [call, other]
            await call.bridge(other)

        self.world = SimWorld(self.app, seed=seed)
        self._how = answer_after, early_media

    def __enter__(self) -> Talk:
        world = self.world.__enter__()
        alice, bob = (
            world.phone(f"sip:{user}@example.com", password=PASSWORD).register(refresh=False) for user in ("a", "b")
        )
        world.run(until=1.0)
        bob.answers(after=self._how[0], early_media=self._how[1])
        if self._how[1]:
            bob.on_call(lambda call: setattr(call, "_local", replace(call._local, direction=Direction.SENDONLY)))
        self.call = alice.dial("b")
        self.after(3.0)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if error is None:
                self.call.hang_up()
                self.world.run()
                assert self.world.leaks() == []
        finally:
            self.world.__exit__(kind, error, None)

    def after(self, seconds: float) -> None:
        self.world.run(until=self.world.now + seconds)

    def sides(self, by: str) -> tuple[PhoneCall, PhoneCall, Call]:
        """Who holds, who is held, and the server's leg to the first."""
        callee = self.world.phones[1].received[0]
        return (self.call, callee, self.legs[0]) if by == "caller" else (callee, self.call, self.legs[1])

    def hears(self, call: PhoneCall, hertz: int) -> bool:
        return call.heard.hears(hertz, since=self.world.now - GAP_S)

    def is_silent(self, call: PhoneCall) -> bool:
        return call.heard.tone(since=self.world.now - GAP_S) is None

    def do(self, *verbs: object) -> None:
        """Let the program run verbs of a call, and wait a second."""
        for verb in verbs:
            self.world.loop.run_until_complete(verb)  # type: ignore[arg-type]  # a coroutine
        self.after(1.0)

    def talks(self) -> bool:
        one, other, _ = self.sides("caller")
        return self.hears(one, other.phone.tone) and self.hears(other, one.phone.tone)

    def reinvites_to(self, call: PhoneCall) -> int:
        sent = {rung.data for rung in self.world.network.ladder if rung.destination == call.phone.address}
        return sum(1 for data in sent if data.startswith(b"INVITE") and b";tag=" in data.split(b"\nTo:")[1][:90])


@pytest.mark.rfc(
    "3264",
    "8.4",
    "If the stream to be placed on hold was previously a sendrecv media stream, it is placed on hold by marking it "
    "as sendonly.",
)
@pytest.mark.parametrize("level", ["media", "session"])
@pytest.mark.parametrize("style", HOLDS)
@pytest.mark.parametrize("by", SIDES)
def test_a_phone_holds_and_the_other_hears_music_until_it_resumes(
    seed: int, by: str, style: HoldStyle, level: HoldLevel
) -> None:
    with Talk(seed, music=True) as talk:
        holder, held, leg = talk.sides(by)
        for _ in range(2):
            holder.hold(style, level)
            talk.after(2.0)
            assert holds(leg) == (False, True)
            assert talk.hears(held, MUSIC_HZ) and talk.is_silent(holder)
            holder.resume()
            talk.after(2.0)
            assert holds(leg) == (False, False) and talk.talks()
        assert talk.reinvites_to(held) == 0, "the hold is answered here"


@pytest.mark.rfc(
    "3264",
    "8.4",
    "If the stream to be placed on hold was previously a sendrecv media stream, it is placed on hold by marking it "
    "as sendonly.",
)
@pytest.mark.parametrize("level", ["media", "session"])
@pytest.mark.parametrize("style", [*HOLDS, "recvonly"])
@pytest.mark.parametrize("by", SIDES)
def test_without_music_a_hold_goes_to_the_other_phone(seed: int, by: str, style: HoldStyle, level: HoldLevel) -> None:
    with Talk(seed, music=False) as talk:
        holder, held, _ = talk.sides(by)
        holder.hold(style, level)
        talk.after(2.0)
        assert talk.reinvites_to(held) == 1 and held.audio is not None
        assert held.held_by_peer is (style != "recvonly") and held.audio.direction.receives is (
            style in ("sendonly", "0.0.0.0")
        )
        # Who mutes itself by recvonly wants to hear.
        assert talk.hears(holder, held.phone.tone) is (style == "recvonly")
        holder.resume()
        talk.after(2.0)
        assert talk.reinvites_to(held) == 2 and talk.talks()


@pytest.mark.parametrize("level", ["media", "session"])
@pytest.mark.parametrize("by", SIDES)
def test_who_mutes_itself_by_recvonly_brings_no_music(seed: int, by: str, level: HoldLevel) -> None:
    with Talk(seed, music=True) as talk:
        holder, held, leg = talk.sides(by)
        holder.hold("recvonly", level)
        talk.after(2.0)
        assert not leg.held_by_peer and [each.music for each in talk.legs] == [None, None]
        assert talk.is_silent(held) and talk.hears(holder, held.phone.tone)
        holder.resume()
        talk.after(2.0)
        assert talk.talks()


@pytest.mark.rfc(
    "3264",
    "8.4",
    "If the stream to be placed on hold was previously a recvonly media stream, it is placed on hold by marking it "
    "inactive.",
)
@pytest.mark.parametrize("first", SIDES)
def test_when_both_phones_hold_each_hears_music_once_it_alone_is_held(seed: int, first: str) -> None:
    with Talk(seed, music=True) as talk:
        one, other, _ = talk.sides(first)
        one.hold()
        talk.after(1.0)
        other.hold()
        talk.after(2.0)
        assert talk.is_silent(one) and talk.is_silent(other)
        one.resume()
        talk.after(2.0)
        assert talk.hears(one, MUSIC_HZ) and talk.is_silent(other)
        other.resume()
        talk.after(2.0)
        assert talk.talks()


@pytest.mark.parametrize("music", [True, False])
@pytest.mark.parametrize("by", SIDES)
def test_the_program_holds_and_resumes(seed: int, by: str, music: bool) -> None:
    with Talk(seed, music=music) as talk:
        held, _, leg = talk.sides(by)
        talk.do(leg.hold(), leg.hold())
        assert (
            holds(leg) == (True, False)
            and held.held_by_peer
            and held.audio is not None
            and not held.audio.direction.sends
        )
        assert talk.reinvites_to(held) == 1, "holding twice is holding once"
        assert talk.hears(held, MUSIC_HZ) if music else talk.is_silent(held)
        talk.do(leg.resume())
        assert holds(leg) == (False, False) and talk.talks()


def test_a_phone_that_we_hold_may_hold_us_and_resumes_in_any_order(seed: int) -> None:
    for order in ("we first", "phone first"):
        with Talk(seed, music=True) as talk:
            phone, _, leg = talk.sides("caller")
            talk.do(leg.hold())
            phone.hold()
            talk.after(1.0)
            assert holds(leg) == (True, True) and talk.is_silent(phone)
            if order == "we first":
                talk.do(leg.resume())
                assert holds(leg) == (False, True)
                phone.resume()
            else:
                phone.resume()
                talk.after(1.0)
                assert holds(leg) == (True, False) and talk.hears(phone, MUSIC_HZ)
                talk.do(leg.resume())
            talk.after(1.0)
            assert talk.talks()


def test_a_hold_that_the_phone_refuses_leaves_the_call_as_it_was(seed: int) -> None:
    with Talk(seed, music=True) as talk:
        phone, _, leg = talk.sides("caller")
        endpoint = phone.phone.endpoint
        phone._on_offer = lambda transaction, request: phone.phone._execute(  # type: ignore[method-assign]
            lambda now: endpoint.respond(transaction, 488, now)
        )
        with pytest.raises(Rejected):
            talk.do(leg.hold())
        talk.after(1.0)
        assert holds(leg) == (False, False) and talk.talks()


@pytest.mark.rfc(
    "3261",
    "14.1",
    "If a UAC receives a 491 response to a re-INVITE, it SHOULD start a timer with a value T … When the timer "
    "fires, the UAC SHOULD attempt the re-INVITE once more, if it still desires for that session modification to "
    "take place.",
)
def test_a_hold_that_crosses_the_phones_own_succeeds_after_the_glare(seed: int) -> None:
    with Talk(seed, music=True) as talk:
        phone, _, leg = talk.sides("caller")
        task = talk.world.loop.create_task(leg.hold())
        phone.hold()
        talk.after(6.0)
        assert task.done() and task.exception() is None and leg.is_held


def test_the_end_of_the_call_ends_a_hold_under_way(seed: int) -> None:
    with Talk(seed, music=True) as talk:
        phone, _, leg = talk.sides("caller")
        phone._on_offer = lambda transaction, request: None  # type: ignore[method-assign]
        task = talk.world.loop.create_task(leg.hold())
        talk.after(0.1)
        phone.hang_up()
        talk.after(1.0)
        assert task.done() and not task.cancelled() and task.exception() is leg.outcome
        assert leg.music is None


def test_early_media_on_hold_starts_no_music_but_the_answer_does(seed: int) -> None:
    with Talk(seed, music=True, answer_after=6.0, early_media=True) as talk:
        assert talk.legs == [] and talk.hears(talk.call, talk.world.phones[1].tone)
        (early,) = talk.dialling.attempts
        assert early.media is not None and early.media.negotiated is not None and early.media.negotiated.held
        # Who has not answered holds nobody.
        assert not early.held_by_peer and talk.dialling.music is None and early.music is None
        assert not talk.hears(talk.call, MUSIC_HZ)
        talk.after(6.0)
        assert talk.hears(talk.call, MUSIC_HZ) and talk.legs[1].held_by_peer and talk.dialling.music is not None
