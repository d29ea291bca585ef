"""Tones, digits and what the recorder makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from voipat.testing.audio import PCMA, PCMU, Recorder, Talker, decoder, tone_frames


@pytest.mark.parametrize("payload_type", [PCMU, PCMA])
def test_a_tone_is_recognised_after_g711(payload_type: int) -> None:
    talker = Talker(1, 2, 3, tone=697, payload_type=payload_type)
    recorder = Recorder()
    for number in range(50):
        recorder.take(talker.packet(), number * 0.02)
    assert recorder.hears(697) and not recorder.hears(770)
    assert recorder.longest_gap() == 0.0


@pytest.mark.parametrize("payload_type", [PCMU, PCMA])
def test_g711_levels_are_those_of_the_recommendation(payload_type: int) -> None:
    levels = decoder(payload_type)
    assert len(set(levels.tolist())) == (255 if payload_type == PCMU else 256)
    assert levels.max() == -levels.min() == (32124 if payload_type == PCMU else 32256)


def test_silence_is_no_tone() -> None:
    recorder = Recorder()
    talker = Talker(1, 2, 3)
    for number in range(20):
        recorder.take(talker.packet(), number * 0.02)
    assert recorder.tone() is None


def test_lost_packets_are_a_gap_of_media_time() -> None:
    talker, recorder = Talker(1, 2, 3, tone=440), Recorder()
    for number in range(20):
        packet = talker.packet()
        if number not in (5, 6, 7):
            recorder.take(packet, number * 0.02)
    assert recorder.longest_gap() == pytest.approx(0.06)


def test_digits_are_heard_once_each_however_often_their_packets_come() -> None:
    talker = Talker(1, 65530, 2**32 - 500, tone=440, telephone_event=101)
    recorder = Recorder(telephone_event=101)
    for digit in "1#1":
        talker.press(digit)
    for number in range(30):
        packet = talker.packet()
        recorder.take(packet, number * 0.02)
        recorder.take(packet, number * 0.02)
    assert recorder.digits == "1#1"


def test_a_second_of_a_tone_joins_itself() -> None:
    frames = tone_frames(1000)
    samples = decoder(PCMU)[np.frombuffer(b"".join(frames), np.uint8)]
    assert abs(int(samples[0]) - int(samples[8])) < 200
    assert len(frames) == 50
