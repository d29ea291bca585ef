"""One voice through everything that a call does: no gap, no click, no jump in what the other side is sent."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from media.tones import Tone
from voipat import App, Call, Member, Registrar
from voipat.testing import PhoneCall, SimWorld
from voipat.testing.audio import PCMU, Recorder, decoder

pytestmark = pytest.mark.usefixtures("nothing_left")

PASSWORD = "secret"
VOICE_HZ, MUSIC_HZ, RATE = 1000, 500, 8000
FRAME_S = 0.02
# One cycle: talk, held with music, talk, conference.
TALK_S, HELD_S, AGAIN_S, ROOM_S = 30.0, 10.0, 20.0, 40.0
CYCLE_S = TALK_S + HELD_S + AGAIN_S + ROOM_S
# A change of what is heard has this long: a round trip of signalling and the jitter buffer's depth.
SWITCH_S = 0.5
LONGEST_GAP_S = 0.04
# In the switches themselves, where one source ends and another begins at its own time.
LONGEST_SWITCH_S = 0.1
# What the switches of one cycle may move the timestamps, beyond what the far side's clock explains: a packet.
DRIFT_S = 0.025
# The tone has an amplitude of 8000; µ-law rounds by up to 128 there, on either of two samples and twice in a transcode.
CLICK = 800


@dataclass(slots=True)
class Listening(Recorder):
    """Keeps the header of each packet beside its audio."""

    arrived: list[float] = field(default_factory=list)
    headers: list[tuple[int, int, int, bool]] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)

    def take(self, data: bytes, now: float) -> None:
        _, second, sequence, timestamp, ssrc = struct.unpack_from("!BBHII", data)
        if second & 0x7F == PCMU:
            self.arrived.append(now)
            self.headers.append((ssrc, sequence, timestamp, bool(second & 0x80)))
            self.payloads.append(data[12:])

    def between(self, start: float, end: float) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """Times of arrival and samples of what came from `start` to `end`."""
        times = np.array(self.arrived)
        first, last = np.searchsorted(times, [start, end])
        data = b"".join(self.payloads[first:last])
        return times[first:last], decoder(PCMU)[np.frombuffer(data, np.uint8)]


def clicks(samples: NDArray[np.int32], hertz: int) -> int:
    """The largest difference between a sample and the one a period of the tone before."""
    period = RATE // hertz
    return int(np.abs(samples[period:] - samples[:-period]).max())


class Hour:
    """alice calls bob; cycles of talk, hold and conference; in the end bob is transferred to carol."""

    def __init__(self, cycles: int, skew: float) -> None:
        self.cycles = cycles
        self.skew = skew
        self.app = App(registrar=Registrar("example.com", password_of=lambda user: PASSWORD, digest=["MD5"]))
        self.app.on_call("*")(self.connect)
        self.steady: list[tuple[float, float, int]] = []  # from, to, what is heard

    async def connect(self, call: Call) -> None:
        other = await call.dial(call.to.user or "")
        call.on_hold = other.on_hold = Tone(MUSIC_HZ, 1.0)
        for _ in range(self.cycles if call.to.user == "b" else 0):
            try:
                async with asyncio.timeout(TALK_S + HELD_S + AGAIN_S):
                    await call.bridge(other)
            except TimeoutError:
                pass
            async with self.app.conference("room") as room:
                await room.join(call)
                await room.join(other)
                await asyncio.sleep(ROOM_S)
        await call.bridge(other)

    def run(self) -> Listening:
        with SimWorld(self.app, seed=7) as world:
            world.talk = lambda call: FRAME_S * (1 + self.skew * (1 if call.phone is world.phones[0] else -1))
            alice, bob, carol = (
                world.phone(f"sip:{user}@example.com", password=PASSWORD, tone=VOICE_HZ).register(refresh=False)
                for user in ("a", "b", "c")
            )
            world.run(until=1.0)
            for phone in (bob, carol):
                phone.answers(after=0.5)
            call = alice.dial("b")
            world.run(until=2.0)
            heard = bob.received[0]
            listening = heard.heard = Listening()
            self.follow(world, call)
            call.transfers("sip:c@example.com")
            start = world.now + 2.0
            self.pass_time(world, start, 20.0, VOICE_HZ)
            world.run(until=start + 20.0)
            heard.hang_up()
            world.run()
            assert world.leaks() == []
        return listening

    def follow(self, world: SimWorld, call: PhoneCall) -> None:
        start = world.now
        for cycle in range(self.cycles):
            begin = start + cycle * CYCLE_S
            self.pass_time(world, begin, TALK_S, VOICE_HZ)
            call.hold()
            self.pass_time(world, begin + TALK_S, HELD_S, MUSIC_HZ)
            call.resume()
            self.pass_time(world, begin + TALK_S + HELD_S, AGAIN_S, VOICE_HZ)
            self.pass_time(world, begin + CYCLE_S - ROOM_S, ROOM_S, VOICE_HZ)

    def pass_time(self, world: SimWorld, start: float, seconds: float, hertz: int) -> None:
        world.run(until=start + seconds)
        self.steady.append((start + SWITCH_S, start + seconds - SWITCH_S, hertz))


@pytest.mark.parametrize("skew", [0.0, 200e-6, -200e-6])
def test_a_voice_goes_on_through_hold_conference_and_transfer(skew: float, soak: bool) -> None:
    hour = Hour(36 if soak else 1, skew)
    heard = hour.run()
    headers = heard.headers
    assert len({ssrc for ssrc, *_ in headers}) == 1
    steps = {(after[1] - before[1]) & 0xFFFF for before, after in pairwise(headers)}
    assert steps == {1}, "no number is skipped or sent twice, whoever sends"
    longest, loudest = float(np.diff(np.array(heard.arrived)).max()), 0
    assert longest <= LONGEST_SWITCH_S
    for start, end, hertz in hour.steady:
        times, samples = heard.between(start, end)
        assert len(times) == pytest.approx((end - start) / FRAME_S, rel=0.002)
        assert np.diff(times).max() <= FRAME_S + LONGEST_GAP_S
        if hertz == VOICE_HZ:  # the music is one second of tone that fades in and out
            loudest = max(loudest, clicks(samples, hertz))
            assert loudest <= CLICK, f"{start} s to {end} s"
    stamps = np.unwrap(np.array([stamp for _, _, stamp, _ in headers], np.float64), period=2**32) / RATE
    ahead = (stamps - stamps[0]) - (np.array(heard.arrived) - heard.arrived[0])
    drift = float(np.abs(ahead).max())
    print(
        f"skew {skew}: {longest * 1000:.1f} ms the longest gap of all, click {loudest}, {drift:.3f} s beside our clock"
    )
    assert drift <= abs(skew) * heard.arrived[-1] + DRIFT_S * (hour.cycles + 1)


@pytest.mark.parametrize("skew", [200e-6, -200e-6])
def test_a_room_follows_the_clock_of_its_members(skew: float, soak: bool) -> None:
    app = App(listen="udp://127.0.0.1:5060")
    members: list[Member] = []

    @app.on_call("sip:room@*", public=True)
    async def enter(call: Call) -> None:
        async with app.conference("room") as room:
            members.append(await room.join(call))
            await call.hung_up()

    seconds = 3600.0 if soak else 240.0
    with SimWorld(app, seed=8) as world:
        world.talk = lambda call: FRAME_S * (1 + skew * (1 if call.phone is world.phones[0] else -1))
        alice, bob = (world.phone(f"sip:{user}@elsewhere.example", tone=VOICE_HZ) for user in ("a", "b"))
        calls = [phone.dial("sip:room@127.0.0.1") for phone in (alice, bob)]
        heard = calls[1].heard = Listening()
        world.run(until=seconds)
        figures = [app.engine.audio_stats(member.call.media.port).heard for member in members if member.call.media]
        for call in calls:
            call.hang_up()
        world.run()
        assert world.leaks() == []
    assert len(figures) == 2
    for each in figures:
        assert each.overflow == each.garbage == each.late == 0
        assert each.delay_ms <= 60, "what is not played in time is not kept"
        assert each.starved == 0 and each.stretched > 0, figures
    times, samples = heard.between(3.0, seconds - 1.0)
    assert np.diff(times).max() <= FRAME_S + LONGEST_GAP_S
    assert clicks(samples, VOICE_HZ) <= CLICK
    silent = np.abs(samples[: len(samples) // 160 * 160].reshape(-1, 160)).max(axis=1) < 1000
    assert not silent.any(), f"{silent.sum()} frames of nothing"
