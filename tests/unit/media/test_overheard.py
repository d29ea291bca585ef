"""A conversation that is overheard: who hears whom in each mode, whatever the legs are."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from audio_line import Phone, Samples, packed_l16, run, tone
from media_bench import Bench, Sent
from pylibsrtp import Policy, Session

from media import Port, SrtpKeys
from media._dsp import ulaw_decode, ulaw_encode
from media.codecs import L16, PCMU, Format
from media.keys import AES_CM_80
from media.mixer import Mixer

LINEAR, ULAW = Format(L16, 96), Format(PCMU, 0)
PEAK = 5000
TONES = {"N": 400, "F": 700, "S": 1100}
NEAR, FAR, SUPERVISOR = TONES
RELAYED = {"listen": "NF FN SN SF", "whisper": "NF NS FN SN SF", "barge": "NF NS FN FS SN SF"}


@dataclass
class Handset(Phone):
    """Goes on from packet `first`, and may be behind SRTP."""

    first: int = 0
    seal: Callable[[bytes], bytes] = bytes

    def arrivals(self, start: float) -> list[tuple[float, bytes]]:
        return [(due, self.seal(self.moved(packet))) for due, packet in super().arrivals(start)]

    def moved(self, packet: bytes) -> bytes:
        first, sequence, timestamp = struct.unpack_from("!HHI", packet)
        return struct.pack("!HHI", first, sequence + self.first, timestamp + 160 * self.first) + packet[8:]


@dataclass
class Scene:
    """N talks with F, and S monitors N."""

    bench: Bench
    forms: dict[str, Format]
    sealed: bool = False
    ports: dict[str, Port] = field(default_factory=dict)
    said: int = 0  # packets of each

    def __post_init__(self) -> None:
        engine = self.bench.engine
        near, far = self.forms[NEAR], self.forms[FAR]
        for number, (who, form) in enumerate(self.forms.items(), 1):
            port = self.ports[who] = self.bench.open((f"192.0.2.{number}", 4000), ssrc=number)
            encodes = near is not far and who != SUPERVISOR
            engine.set_audio(port, rate=8000, receive=[form], told=[form], send=form, encodes=encodes)
        types = {near.payload_type: far.payload_type} if near is far else {}
        engine.connect(self.ports[NEAR], self.ports[FAR], a_to_b=types, b_to_a=types)
        if self.sealed:
            there, back = bytes(range(30)), bytes(range(30, 60))
            engine.secure(self.ports[NEAR], SrtpKeys(AES_CM_80, send=there, receive=back))
            self.sender = Session(Policy(back, Policy.SSRC_ANY_OUTBOUND, 0, AES_CM_80.profile))
            self.receiver = Session(Policy(there, Policy.SSRC_ANY_INBOUND, 0, AES_CM_80.profile))
        self.mixer: Mixer = engine.mixer(8000, beside=self.ports[NEAR])

    def monitor(self, mode: str) -> None:
        """As voipat.monitoring does."""
        add, whispers = self.mixer.add, mode == "whisper"
        add(self.ports[SUPERVISOR], muted=mode == "listen", aside=int(whispers))
        add(self.ports[NEAR], told=mode != "listen", confided=int(whispers))
        add(self.ports[FAR], told=mode == "barge")

    def phone(self, who: str, number: int, seconds: float, pause: bool) -> Phone:
        said = np.zeros(round(seconds * 8000), np.int16) if pause else tone(TONES[who], seconds, peak=PEAK)
        form = self.forms[who]
        codes = ulaw_encode(said)
        payloads = (
            packed_l16(said, 160) if form is LINEAR else [codes[at : at + 160] for at in range(0, len(codes), 160)]
        )
        seal = self.sender.protect if self.sealed and who == NEAR else bytes
        return Handset(self.ports[who], (f"192.0.2.{number}", 4000), form, payloads, first=self.said, seal=seal)

    def talk(self, seconds: float = 1.5, *, quiet: str = "") -> dict[str, list[Sent]]:
        """What each was sent while all but the `quiet` speak."""
        run(self.bench, [self.phone(who, n, seconds, who in quiet) for n, who in enumerate(self.forms, 1)], seconds)
        self.said += round(seconds * 50)
        sent = self.bench.sent()
        return {who: [one for one in sent if one.port is port] for who, port in self.ports.items()}

    def samples(self, who: str, sent: list[Sent]) -> Samples:
        opens = self.receiver.unprotect if self.sealed and who == NEAR else bytes
        payloads = [opens(one.packet)[12:] for one in sent]
        if self.forms[who] is LINEAR:
            return np.concatenate([np.frombuffer(payload, ">i2") for payload in payloads]).astype(np.int16)
        return np.frombuffer(ulaw_decode(b"".join(payloads)), np.int16)

    def who_hears_whom(self) -> str:
        heard = {who: self.samples(who, sent) for who, sent in self.talk().items()}
        return " ".join(ear + mouth for ear in TONES for mouth in TONES if is_heard(heard[ear], TONES[mouth]))


def is_heard(samples: Samples, hertz: int) -> bool:
    """At the full level; or not at all."""
    level = float(np.abs(np.fft.rfft(samples[-4000:].astype(float) * np.hanning(4000)))[hertz // 2]) / 1000
    assert level < PEAK / 100 or abs(level - PEAK) < PEAK / 20, f"{hertz} Hz at {level}"
    return level > PEAK / 2


@pytest.mark.parametrize("mode", RELAYED)
@pytest.mark.parametrize("legs", ["relayed", "transcoded", "sealed"])
def test_who_hears_whom(bench: Bench, mode: str, legs: str) -> None:
    far = ULAW if legs == "transcoded" else LINEAR
    scene = Scene(bench, {NEAR: LINEAR, FAR: far, SUPERVISOR: LINEAR}, sealed=legs == "sealed")
    scene.monitor(mode)
    assert scene.who_hears_whom() == RELAYED[mode]


def test_a_change_of_mode_breaks_no_stream(bench: Bench) -> None:
    scene = Scene(bench, dict.fromkeys(TONES, LINEAR))
    streams: dict[str, list[Sent]] = {who: [] for who in TONES}
    for mode in ("listen", "whisper", "barge", "listen"):
        scene.monitor(mode)
        for who, sent in scene.talk(0.5).items():
            streams[who] += sent
    for sent in streams.values():
        numbers = [one.sequence for one in sent]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "no gap for the receiver"
        assert len({one.ssrc for one in sent}) == 1
        steps = {later.timestamp - one.timestamp for one, later in itertools.pairwise(sent)}
        assert min(steps) > 0 and max(steps) <= 4 * 160, "nobody waits for a change longer than 80 ms"


def test_who_is_quiet_is_heard_too(bench: Bench) -> None:
    scene = Scene(bench, dict.fromkeys(TONES, LINEAR))
    scene.monitor("barge")
    murmur = 20  # below what a conference takes for speech
    port = scene.ports[SUPERVISOR]
    said = tone(TONES[SUPERVISOR], 1.5, peak=murmur)
    run(bench, [Phone(port, ("192.0.2.3", 4000), LINEAR, packed_l16(said, 160))], 1.5)
    heard = scene.samples(FAR, [one for one in bench.sent() if one.port is scene.ports[FAR]])
    level = float(np.abs(np.fft.rfft(heard[-4000:].astype(float) * np.hanning(4000)))[TONES[SUPERVISOR] // 2]) / 1000
    assert abs(level - murmur) < murmur / 4


def test_each_side_has_an_aside_of_its_own(bench: Bench) -> None:
    scene = Scene(bench, dict.fromkeys(TONES, LINEAR))
    scene.mixer.add(scene.ports[SUPERVISOR], aside=2)
    scene.mixer.add(scene.ports[NEAR], confided=1)
    scene.mixer.add(scene.ports[FAR], confided=2)
    assert scene.who_hears_whom() == "NF FN FS SN SF"
    with pytest.raises(ValueError, match="asides 1 to 2"):
        scene.mixer.add(scene.ports[NEAR], aside=3)


def test_when_all_have_left_the_relay_is_as_before(bench: Bench) -> None:
    scene = Scene(bench, dict.fromkeys(TONES, LINEAR))
    scene.monitor("barge")
    scene.talk(0.5)
    for port in scene.ports.values():
        scene.mixer.remove(port)
    sent = scene.talk()
    assert {who: is_heard(scene.samples(who, sent[who]), TONES[SUPERVISOR]) for who in (NEAR, FAR)} == {
        NEAR: False,
        FAR: False,
    }
    assert is_heard(scene.samples(NEAR, sent[NEAR]), TONES[FAR]) and not sent[SUPERVISOR]


def test_a_tap_of_a_side_has_what_that_side_was_told(bench: Bench) -> None:
    scene = Scene(bench, dict.fromkeys(TONES, LINEAR))
    taps = {who: bench.engine.tap(scene.ports[who], rate=8000, side="said", drop="oldest") for who in (NEAR, FAR)}
    scene.monitor("whisper")
    scene.talk()
    told: dict[str, str] = {}
    for who, tap in taps.items():
        frames = [frame.samples for frame in iter(tap.read, None)]
        samples = np.concatenate(frames).astype(np.int16)
        told[who] = "".join(mouth for mouth in TONES if is_heard(samples, TONES[mouth]))
    assert told == {NEAR: "FS", FAR: "N"}, "a recording of the customer's leg has no whisper"
