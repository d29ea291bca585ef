"""A key reaches the other side of a bridge however each side tells and hears of keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from media._dsp import ulaw_encode
from media.tones import key_tone, tone_samples
from tests.sim.office import Office
from voipat.testing import Phone, PhoneCall
from voipat.testing.audio import Talker
from voipat.testing.call import FORMATS

pytestmark = pytest.mark.usefixtures("nothing_left")
FRAME = 160


class Beeper(Talker):
    """Says the tones of a key for 100 ms, and then what it always says."""

    key: bytes = b""

    def packet(self, *, skipped: int = 0) -> bytes:
        packet = super().packet(skipped=skipped)
        payload, Beeper.key = Beeper.key[:FRAME], Beeper.key[FRAME:]
        return packet[:12] + payload if payload else packet


def without_events(phone: Phone) -> Phone:
    def limit(call: PhoneCall) -> None:
        formats = tuple(each for each in FORMATS if each.name == "PCMU")
        call._local = replace(call._local, formats=formats)

    return phone.on_call(limit)


def beep(call: PhoneCall, digit: str) -> None:
    old = call._talker
    assert old is not None
    call._talker = Beeper(old.ssrc, old.sequence, old.timestamp, 0, old.payload_type)
    Beeper.key = ulaw_encode(tone_samples(key_tone(digit, 0.1)))


@pytest.fixture
def pair(seed: int) -> Iterator[tuple[Office, Phone, Phone]]:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        without_events(bob).answers(after=1.0)
        yield office, alice, bob


def test_a_tone_becomes_a_telephone_event(pair: tuple[Office, Phone, Phone]) -> None:
    office, alice, bob = pair
    call = alice.dial("1002").waits(6.0).hangs_up()
    office.world.run(until=office.world.now + 3.0)
    beep(bob.received[0], "7")
    office.world.run()
    assert call.heard.digits == "7"


def test_a_telephone_event_becomes_a_tone(pair: tuple[Office, Phone, Phone]) -> None:
    office, alice, bob = pair
    alice.dial("1002").waits(4.0).presses("7").waits(2.0).hangs_up()
    office.world.run()
    samples = bob.received[0].heard.samples().astype(float)
    best = 0.0
    low, high = key_tone("7").frequencies
    for at in range(0, len(samples) - 640, 320):
        piece = samples[at : at + 640]
        waves = [abs(np.mean(piece * np.exp(-2j * np.pi * hertz * np.arange(640) / 8000))) for hertz in (low, high)]
        best = max(best, min(waves))
    assert best > 1000


@pytest.mark.parametrize(
    ("kind", "body"), [("application/dtmf-relay", b"Signal=7\r\nDuration=160\r\n"), ("application/dtmf", b"7")]
)
def test_a_key_in_an_info_becomes_a_telephone_event(pair: tuple[Office, Phone, Phone], kind: str, body: bytes) -> None:
    office, alice, bob = pair
    statuses: list[int] = []
    call = alice.dial("1002").waits(6.0).hangs_up()
    office.world.run(until=office.world.now + 3.0)
    dialog = bob.received[0].dialog
    assert dialog is not None
    bob.request_in(dialog, "INFO", statuses.append, headers=(("Content-Type", kind),), body=body)
    office.world.run()
    assert statuses == [200] and call.heard.digits == "7"
