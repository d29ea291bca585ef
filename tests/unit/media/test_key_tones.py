"""Keys heard as tones: found within the tolerances of Q.24, once each, and never in a voice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from audio_line import Phone, run
from media_bench import Bench
from numpy.typing import NDArray

from media import DigitReceived, EncodedAudio, PlaybackFinished, Port
from media._dsp import ulaw_encode
from media.codecs import PCMU, Format
from media.events import DIGITS
from media.resample import resample
from media.tones import key_tone
from media.wav import read_file, read_wav

ALICE = ("192.0.2.1", 4000)
FORMAT = Format(PCMU, 0)
PROMPTS = Path(__file__).parents[3] / "voipat" / "speech" / "prompts"
Samples = NDArray[np.float64]


def key(digit: str, seconds: float, *, off: float = 0.0, twist_db: float = 0.0, level: float = 6000.0) -> Samples:
    low, high = key_tone(digit).frequencies
    time = np.arange(round(seconds * 8000)) / 8000
    ratio = 10 ** (twist_db / 20)
    return level * (np.sin(2 * np.pi * low * (1 + off) * time) + ratio * np.sin(2 * np.pi * high * (1 + off) * time))


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * 8000))


def hears(bench: Bench, samples: Samples) -> list[DigitReceived]:
    port = bench.open(ALICE)
    bench.engine.set_audio(port, rate=8000, receive=[FORMAT])
    bench.engine.hear_key_tones(port)
    say(bench, port, samples)
    return [event for event in bench.engine.drain() if isinstance(event, DigitReceived)]


def say(bench: Bench, port: Port, samples: Samples) -> None:
    padded = np.concatenate([silence(0.1), samples, silence(0.3)])
    coded = ulaw_encode(np.clip(padded, -32768, 32767).astype(np.int16))
    frames = [coded[at : at + 160] for at in range(0, len(coded) - 159, 160)]
    run(bench, [Phone(port, ALICE, FORMAT, frames)], len(padded) / 8000 + 0.3)


def test_every_key_is_found_once_with_its_length(bench: Bench) -> None:
    line = np.concatenate([part for digit in DIGITS for part in (key(digit, 0.1), silence(0.1))])
    found = hears(bench, line)
    assert "".join(one.digit for one in found) == DIGITS
    assert all(0.06 <= one.duration <= 0.14 for one in found)


@pytest.mark.parametrize("start", range(0, 160, 23))
def test_50_ms_are_enough_wherever_they_begin(bench: Bench, start: int) -> None:
    line = np.concatenate([np.zeros(start), key("5", 0.05), silence(0.05), key("5", 0.05)])
    assert [one.digit for one in hears(bench, line)] == ["5", "5"]


@pytest.mark.parametrize("digit", ["1", "D", "0", "9"])
@pytest.mark.parametrize("off", [-0.015, 0.015])
@pytest.mark.parametrize("twist", [-6.0, 4.0])
def test_tones_within_the_tolerance_are_found(bench: Bench, digit: str, off: float, twist: float) -> None:
    line = key(digit, 0.06, off=off, twist_db=twist, level=2000.0)
    assert [one.digit for one in hears(bench, line)] == [digit]


def test_a_hole_of_10_ms_does_not_make_two_of_one(bench: Bench) -> None:
    tone = key("7", 0.15)
    tone[500:580] = 0
    assert [one.digit for one in hears(bench, tone)] == ["7"]


@pytest.mark.parametrize("what", ["one tone", "three tones", "twist", "quiet", "noise"])
def test_what_is_no_key_is_not_found(bench: Bench, what: str) -> None:
    draw, time = np.random.default_rng(1), np.arange(8000) / 8000
    lines = {
        "one tone": 6000 * np.sin(2 * np.pi * 697 * time),
        "three tones": key("1", 1.0) + 6000 * np.sin(2 * np.pi * 500 * time),
        "twist": key("1", 1.0, twist_db=15.0, level=2000.0),
        "quiet": key("1", 1.0, level=40.0),
        "noise": draw.normal(0, 4000, 8000),
    }
    assert hears(bench, lines[what]) == []


@pytest.mark.parametrize("off", [-0.035, 0.035])
@pytest.mark.parametrize("digit", list(DIGITS))
def test_tones_beside_their_frequency_are_no_key(bench: Bench, digit: str, off: float) -> None:
    assert hears(bench, key(digit, 0.3, off=off)) == []


def test_keys_15_db_above_a_noise_are_found(bench: Bench) -> None:
    draw = np.random.default_rng(5)
    line = np.concatenate([part for digit in DIGITS for part in (key(digit, 0.1, level=3000.0), silence(0.1))])
    found = hears(bench, line + draw.normal(0, 3000 * 10 ** (-15 / 20), len(line)))
    assert "".join(one.digit for one in found) == DIGITS


def test_no_prompt_of_ours_is_a_key(bench: Bench) -> None:
    paths = sorted(PROMPTS.rglob("*.wav"))
    sounds = [read_wav(read_file(str(path)), str(path)) for path in paths]
    speech = np.concatenate([resample(sound.samples, sound.rate, 8000) for sound in sounds]).astype(float)
    assert len(paths) > 300 and len(speech) > 300 * 8000
    assert hears(bench, speech) == []


def voice(seconds: float, seed: int) -> Samples:
    """Harmonics of a gliding pitch through moving formants, in syllables: what talks a detector off."""
    draw, count = np.random.default_rng(seed), round(seconds * 8000)
    time = np.arange(count) / 8000
    knots = np.arange(0, seconds + 0.1, 0.08)
    pitch = np.interp(time, knots, draw.uniform(85, 320, len(knots)))
    first, second = (np.interp(time, knots, draw.uniform(*span, len(knots))) for span in ((300, 900), (900, 2300)))
    loud = np.interp(time, knots, draw.uniform(0, 1, len(knots)) ** 2)
    phase = 2 * np.pi * np.cumsum(pitch) / 8000
    found = np.zeros(count)
    for harmonic in range(1, 24):
        hertz = pitch * harmonic
        gain = np.exp(-(((hertz - first) / 120) ** 2)) + 0.7 * np.exp(-(((hertz - second) / 160) ** 2)) + 0.02
        found += np.where(hertz < 3600, gain, 0) * np.sin(harmonic * phase + draw.uniform(0, 6.28))
    return 8000 * loud * found / max(np.abs(found).max(), 1)


def test_two_formants_that_glide_like_no_mouth_hardly_ever_talk_it_off(bench: Bench) -> None:
    """With one harmonic in each formant this is two sines, again and again: one key in five minutes is let pass."""
    assert len(hears(bench, voice(300.0, seed=3))) <= 1


def test_a_key_pressed_in_a_voice_of_the_far_end_stops_a_prompt_at_once(bench: Bench) -> None:
    port = bench.open(ALICE)
    bench.engine.set_audio(port, rate=8000, receive=[FORMAT])
    bench.engine.hear_key_tones(port)
    bench.engine.play(port, [EncodedAudio(b"\x11" * 80000)], payload_type=0, silence=0xFF, stop_digits="5")
    say(bench, port, key("5", 0.5))
    [ended] = [event for event in bench.engine.drain() if isinstance(event, PlaybackFinished)]
    assert ended.reason == "digit" and ended.samples / 8000 < 0.1 + 0.16
