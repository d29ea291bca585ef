"""G.729 by the plug-in for bcg729, which `make peers` installs: frames, losses, what is none, prompts, no library."""

from __future__ import annotations

import numpy as np
import pytest
from audio_line import Phone, jittered, run, sinad_db, tone
from media_bench import Bench

from media import CodecMissingError, Engine, ManualClock, Port
from media._dsp import Decoder, Encoder
from media._engine import Core
from media.codecs import G729, PCMU, Format, encoder
from media.plugins import PLUGINS, addresses, maybe_plugin, plugin_functions
from voipat.leg_audio import own_formats

ALICE, BOB = ("192.0.2.1", 4000), ("192.0.2.2", 4000)
SMALL, ULAW = Format(G729, 18), Format(PCMU, 0)


def codes(seconds: float) -> list[bytes]:
    """A tone in payloads of 20 ms."""
    assert G729.is_available, "libbcg729 is missing: run `make peers`"
    encoder, samples = Encoder(G729.kind or 0, 8000, G729.functions), tone(1000, seconds)
    return [encoder.encode(samples[at : at + 160]) for at in range(0, len(samples), 160)]


def pair(bench: Bench) -> Port:
    """The port of a phone with G.729 that talks to one with PCMU."""
    a, b = bench.open(ALICE), bench.open(BOB)
    for port, form in ((a, SMALL), (b, ULAW)):
        bench.engine.set_audio(port, rate=8000, receive=[form], send=form, encodes=True)
    bench.engine.connect(a, b, a_to_b={}, b_to_a={})
    return a


@pytest.mark.rfc("3551", "4.5.6", "each frame consists of 80 bits, or 10 octets")
@pytest.mark.parametrize("ptime_ms", [10, 20, 60, 120])
def test_a_packet_has_ten_octets_for_each_ten_milliseconds(ptime_ms: int) -> None:
    stream = Encoder(G729.kind or 0, 8000, G729.functions)
    payload = stream.encode(tone(1000, ptime_ms / 1000))
    assert len(payload) == ptime_ms
    samples = Decoder(G729.kind or 0, 8000, G729.functions).decode(payload)
    assert samples is not None and len(samples) == 2 * 8 * ptime_ms
    with pytest.raises(ValueError, match="81 samples"):
        stream.encode(tone(1000, 81 / 8000))


@pytest.mark.rfc("3551", "4.5.6", "comfort noise frame")
def test_comfort_noise_of_annex_b_ends_a_packet_and_is_understood() -> None:
    decoder = Decoder(G729.kind or 0, 8000, G729.functions)
    speech = codes(0.1)[-1]
    assert [len(decoder.decode(payload) or b"") // 2 for payload in (speech, speech + b"\x12\x34", b"\x12\x34")] == [
        160,
        240,
        80,
    ]


@pytest.mark.parametrize("junk", [b"", b"\x01", bytes(9), bytes(11), bytes(13), bytes(130)])
def test_what_is_no_frame_is_garbage_and_the_call_goes_on(bench: Bench, junk: bytes) -> None:
    a = pair(bench)
    payloads = codes(1.0)
    payloads[10:40:3] = [junk] * 10
    run(bench, [Phone(a, ALICE, SMALL, payloads)], 1)
    stats = bench.engine.audio_stats(a).heard
    assert stats.garbage == 10 and stats.decoded >= 38


def test_a_lost_packet_is_concealed_by_the_codec_itself(bench: Bench) -> None:
    a = pair(bench)
    run(bench, [Phone(a, ALICE, SMALL, codes(6.0), delay=jittered(3, 0.0, loss=0.05))], 6)
    stats = bench.engine.audio_stats(a).heard
    assert stats.concealed > 5 and stats.recovered >= stats.concealed - 2


def test_a_prompt_is_encoded_once_for_all() -> None:
    form = encoder("g729")
    octets, lengths = form.encode(tone(1000, 1.01))
    assert lengths == [20] * 51 and len(octets) == 51 * 20
    decoder = Decoder(G729.kind or 0, 8000, G729.functions)
    heard = b"".join(decoder.decode(octets[at : at + 20]) or b"" for at in range(0, len(octets), 20))
    assert sinad_db(np.frombuffer(heard, np.int16)[:8000], 1000, 8000) > 15


@pytest.mark.rfc("4856", "2.1.9", "annexb")
def test_what_is_offered_leaves_annex_b_out() -> None:
    offered = own_formats(("G729", "PCMU"))[0]
    assert (offered.payload_type, offered.rtpmap, offered.fmtp) == (18, "G729/8000", "annexb=no")


def test_without_its_library_a_codec_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = maybe_plugin("g729")
    assert plugin is not None
    assert addresses("libnothing.so.0", plugin.names) is None
    assert addresses(plugin.library, (*plugin.names, "a_function_of_no_version")) is None
    plugin_functions.cache_clear()
    monkeypatch.setenv(plugin.variable, "")
    try:
        assert not G729.is_available
        with pytest.raises(CodecMissingError, match="G729"):
            encoder("G729")
        assert [each.name for each in own_formats(("G729", "PCMU"))] == ["PCMU", "telephone-event"]
        with Engine(clock=ManualClock(), port_range=(20000, 20019)) as engine:
            port = Bench(engine).open()
            with pytest.raises(CodecMissingError, match="G729"):
                engine.set_audio(port, rate=8000, receive=[SMALL])
    finally:
        plugin_functions.cache_clear()


def test_the_engine_takes_a_library_for_a_plug_in_alone_and_whole() -> None:
    core = Core(4, 1, True, 0.0, 64)
    with pytest.raises(ValueError, match="no plug-in"):
        core.use_plugin(PCMU.kind or 0, (1,))
    with pytest.raises(ValueError, match="lacks a function"):
        core.use_plugin(PLUGINS[0].kind, (1, 0))
    core.stop()
    core.release()
