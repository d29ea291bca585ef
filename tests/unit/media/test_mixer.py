"""A conference: everybody hears the sum of the others, once."""

from __future__ import annotations

import numpy as np
import pytest
from audio_line import Phone, Samples, packed_l16, run, tone
from media_bench import Bench

from media import Port
from media._dsp import ulaw_encode
from media.codecs import L16, OPUS, PCMU, Codec, Format, OpusSettings
from media.events import SpeakingChanged
from media.mixer import Mixer

LINEAR, ULAW = Format(L16, 96), Format(PCMU, 0)
WIDE = Format(Codec("L16", 16000, kind=2, rate=16000), 97)


def member(
    bench: Bench, mixer: Mixer, number: int, form: Format = LINEAR, *, rate: int | None = None, **options: float
) -> Port:
    port = bench.open((f"192.0.2.{number}", 4000), ssrc=number)
    bench.engine.set_audio(port, rate=rate or mixer.rate, receive=[form], send=form)
    mixer.add(port, **options)  # type: ignore[arg-type]  # test options
    return port


def phone(port: Port, number: int, samples: Samples) -> Phone:
    return Phone(port, (f"192.0.2.{number}", 4000), LINEAR, packed_l16(samples, 160))


def heard(bench: Bench, ports: list[Port]) -> list[Samples]:
    sent = bench.sent()
    parts = [[np.frombuffer(one.packet[12:], ">i2") for one in sent if one.port is port] for port in ports]
    return [np.concatenate([np.empty(0, np.int16), *each]).astype(np.int16) for each in parts]


def level(samples: Samples, hertz: int) -> float:
    """Peak of this tone in the last half second at 8 kHz."""
    spectrum = np.abs(np.fft.rfft(samples[-4000:].astype(float) * np.hanning(4000))) / 1000
    return float(spectrum[hertz // 2])


def test_everybody_hears_the_others_and_not_themselves(bench: Bench) -> None:
    mixer = bench.engine.mixer(8000)
    ports = [member(bench, mixer, number) for number in (1, 2, 3)]
    tones = (400, 700, 1100)
    run(bench, [phone(port, n + 1, tone(tones[n], 2, peak=5000)) for n, port in enumerate(ports)], 2)
    for mine, samples in enumerate(heard(bench, ports)):
        for whose, hertz in enumerate(tones):
            assert abs(level(samples, hertz) - (0 if whose == mine else 5000)) < 100


def test_the_sum_saturates_and_does_not_wrap(bench: Bench) -> None:
    mixer = bench.engine.mixer(8000)
    ports = [member(bench, mixer, number) for number in range(1, 5)]
    run(bench, [phone(port, n + 1, tone(500, 2, peak=30000)) for n, port in enumerate(ports)], 2)
    samples = heard(bench, ports)[0][-4000:].astype(int)
    assert samples.max() == 32767 and samples.min() == -32768
    assert np.abs(np.diff(samples)).max() < 65535 and level(samples.astype(np.int16), 500) > 32000


def test_gain_and_mute_are_heard_by_the_others(bench: Bench) -> None:
    mixer = bench.engine.mixer(8000)
    loud, muted, ear = (member(bench, mixer, number) for number in (1, 2, 3))
    mixer.gain(loud, -6.02)
    mixer.mute(muted)
    run(bench, [phone(loud, 1, tone(400, 2, peak=8000)), phone(muted, 2, tone(900, 2))], 2)
    [samples] = heard(bench, [ear])
    assert abs(level(samples, 400) - 4000) < 100 and level(samples, 900) < 20
    with pytest.raises(ValueError, match="between -60 and 24"):
        mixer.gain(loud, 40)


def test_listeners_share_one_encoding_and_each_has_its_own_numbers(bench: Bench) -> None:
    mixer = bench.engine.mixer(8000)
    speaker = member(bench, mixer, 1)
    ears = [member(bench, mixer, number, ULAW, muted=True) for number in range(2, 8)]
    said = tone(600, 4)
    run(bench, [phone(speaker, 1, said)], 4)
    sent = bench.sent()
    streams = [[one for one in sent if one.port is ear] for ear in ears]
    assert {len(stream) for stream in streams} == {len(streams[0])} and len(streams[0]) >= 198
    for stream in streams:
        assert [one.sequence for one in stream] == list(range(1000, 1000 + len(stream)))
        assert {one.timestamp - 160 * n for n, one in enumerate(stream)} == {stream[0].timestamp}
        assert [one.packet[12:] for one in stream] == [one.packet[12:] for one in streams[0]]
    # Encoded one by one for the first second only, until they are known to be listeners.
    assert all(bench.engine.audio_stats(ear).encoded <= 51 for ear in ears)
    assert len(set(streams[0][-1].packet[12:])) > 5


@pytest.mark.skipif(not OPUS.is_available, reason="no libopus")
def test_listeners_with_other_wishes_for_opus_have_an_encoding_of_their_own(bench: Bench) -> None:
    mixer = bench.engine.mixer(8000)
    speaker = member(bench, mixer, 1)
    wishes = (OpusSettings(), OpusSettings(bitrate_max=6000), OpusSettings())
    ears = [member(bench, mixer, n + 2, Format(OPUS, 111, opus=wish), muted=True) for n, wish in enumerate(wishes)]
    run(bench, [phone(speaker, 1, np.random.default_rng(2).normal(0, 3000, 24000).astype(np.int16))], 3)
    sent = bench.sent()
    first, slow, last = ([one.packet[12:] for one in sent if one.port is ear][-50:] for ear in ears)
    assert first == last and 8 * sum(map(len, slow)) < 6600 < 8 * sum(map(len, first))


def test_who_speaks_is_told_and_half_a_second_after_the_end(bench: Bench) -> None:
    mixer = bench.engine.mixer(8000)
    speaker, _ = member(bench, mixer, 1), member(bench, mixer, 2)
    run(bench, [phone(speaker, 1, np.concatenate([tone(300, 1), np.zeros(16000, np.int16)]))], 3)
    found = [event for event in bench.engine.drain() if isinstance(event, SpeakingChanged)]
    assert found == [SpeakingChanged(speaker, True), SpeakingChanged(speaker, False)]


def test_a_member_that_leaves_is_not_heard_and_an_announcement_is_heard_by_all(bench: Bench) -> None:
    mixer = bench.engine.mixer(8000)
    one, two, three = (member(bench, mixer, number) for number in (1, 2, 3))
    mixer.remove(one)
    mixer.announce(tone(1000, 2, peak=6000))
    run(bench, [phone(one, 1, tone(400, 2))], 2)
    alone, second, third = heard(bench, [one, two, three])
    assert len(alone) == 0 and len(mixer) == 2 and one not in mixer
    for samples in (second, third):
        assert abs(level(samples, 1000) - 6000) < 100 and level(samples, 400) < 20


def test_wide_and_narrow_members_meet_at_the_rate_of_the_room(bench: Bench) -> None:
    mixer = bench.engine.mixer(16000)
    narrow_port, wide_port = member(bench, mixer, 1), member(bench, mixer, 2, WIDE)
    run(bench, [phone(narrow_port, 1, tone(1000, 2, peak=6000))], 2)
    [samples] = heard(bench, [wide_port])
    assert abs(level(samples[::2], 1000) - 6000) < 300
    assert len(samples) > 30000


def test_the_narrow_in_a_wide_room_hear_the_very_samples_of_a_narrow_room(bench: Bench) -> None:
    found = []
    for first, mixer in ((1, bench.engine.mixer(8000)), (11, bench.engine.mixer(16000))):
        assert mixer.rate_for(8000) == 8000
        ports = [member(bench, mixer, first + n, rate=8000) for n in range(3)]
        said = (tone(400, 2, peak=5000), tone(700, 2, peak=5000))
        run(bench, [phone(port, first + n, one) for n, (port, one) in enumerate(zip(ports, said, strict=False))], 2)
        found.append(heard(bench, ports))
    for narrow, wide in zip(*found, strict=True):
        assert len(narrow) > 15000 and np.array_equal(narrow, wide)


@pytest.mark.parametrize("top", [16000, 48000])
def test_narrow_and_wide_members_hear_each_other_and_none_itself(bench: Bench, top: int) -> None:
    mixer = bench.engine.mixer(top)
    assert (mixer.rate_for(8000), mixer.rate_for(16000)) == (8000, top)
    narrow = [member(bench, mixer, number, rate=8000) for number in (1, 2)]
    wide = [member(bench, mixer, number, WIDE) for number in (3, 4)]
    mute = member(bench, mixer, 5, rate=8000, muted=True)
    wide_phone = Phone(wide[0], ("192.0.2.3", 4000), WIDE, packed_l16(tone(1100, 3, peak=5000, rate=16000), 320))
    run(bench, [phone(narrow[0], 1, tone(500, 3, peak=5000)), wide_phone], 3)
    first, second, third, fourth, fifth = heard(bench, [*narrow, *wide, mute])
    for samples, low, high in ((first, 0, 5000), (second, 5000, 5000), (fifth, 5000, 5000)):
        assert abs(level(samples, 500) - low) < 100 and abs(level(samples, 1100) - high) < 150
    for samples, low, high in ((third, 5000, 0), (fourth, 5000, 5000)):
        assert abs(level(samples[::2], 500) - low) < 150 and abs(level(samples[::2], 1100) - high) < 150


def test_an_announcement_at_the_rate_of_a_wide_room_reaches_the_narrow_who_are_alone(bench: Bench) -> None:
    mixer = bench.engine.mixer(16000)
    ears = [member(bench, mixer, number, ULAW if number > 1 else LINEAR, rate=8000) for number in (1, 2, 3)]
    bench.wait(2)
    bench.sent()
    mixer.announce(tone(900, 1, peak=6000, rate=16000))
    bench.wait(1)
    [samples, *_] = heard(bench, [ears[0]])
    assert abs(level(samples, 900) - 6000) < 150
    bench.wait(0.2)
    bench.sent()
    bench.wait(1)
    [after] = heard(bench, [ears[0]])
    assert len(after) >= 7840 and not after.any()


def test_a_room_of_500_is_mixed_and_let_go_when_they_hang_up(bench: Bench) -> None:
    with type(bench.engine)(clock=bench.engine._clock.__class__(), port_range=(20000, 21999)) as engine:
        crowd = Bench(engine)
        mixer = engine.mixer(8000)
        ports = [member(crowd, mixer, number % 250 + 1, ULAW) for number in range(500)]
        codes = ulaw_encode(tone(500, 0.02))
        for index in range(60):
            for port in ports[:5]:
                packet = b"\x80\x00" + index.to_bytes(2, "big") + (index * 160).to_bytes(4, "big") + b"\0\0\0\7" + codes
                number = ports.index(port) % 250 + 1
                engine.feed(port, packet, (f"192.0.2.{number}", 4000))
            crowd.wait(0.02)
        last = [one for one in crowd.sent() if one.port is ports[-1]]
        assert len(last) == 60 and len(set(last[-1].packet[12:])) > 5
        for port in ports[:490]:
            engine.close_port(port)
            mixer.forget(port)
        crowd.wait(0.02)
        assert len(mixer) == 10
