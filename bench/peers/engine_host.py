"""The media engine in a process of its own: reads "COUNT PHONES_FROM MODE", opens sessions, prints the ports as JSON.

"rtp": A ─ voipat ─ B. "crowd": likewise, SHARED phones on a port. "srtp": A ─ RTP ─ voipat ═ SRTP ═ voipat ─ RTP ─ B:
each packet is relayed twice, sealed once and opened once. "opus": likewise with Opus in the middle, at the
settings that rtpengine has. "record": as "rtp", and each call is recorded, sealed, below the working directory. "room":
each phone is a party of one conference. "play": each phone, on every second port, hears one prompt.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench.rig.media import SHARED
from bench.rig.sound import speech
from media import EncodedAudio, Engine, Port, SrtpKeys
from media.codecs import OPUS, PCMU, Format, OpusSettings
from media.keys import AES_CM_80
from media.sealed import Format as FileFormat
from media.sealed import SealedWriter

ULAW, OPUS_TYPE, EVENTS = 0, 111, 101
# libopus as libavcodec sets it up for rtpengine 10.5, which leaves no choice but that of the bit rate.
OPUS_AS_RTPENGINE = OpusSettings(bitrate=24_000, complexity=10, loss_percent=0, fec=False, music=True)
OPUS_RATE = 48_000
SPOKEN = Format(PCMU, ULAW)


def open_port(engine: Engine, number: int, remote_port: int, types: set[int] | None = None) -> Port:
    remote = ("127.0.0.1", remote_port)
    port = engine.open_port("127.0.0.1", remote=remote, ssrc=number + 1, sequence=1, timestamp=1)
    engine.set_remote(port, remote, payload_types=types or {ULAW, EVENTS}, telephone_event=EVENTS)
    return port


def relay(engine: Engine, one: Port, other: Port) -> None:
    engine.connect(one, other, a_to_b={ULAW: ULAW, EVENTS: EVENTS}, b_to_a={ULAW: ULAW, EVENTS: EVENTS})


def open_calls(engine: Engine, count: int, phones_from: int, *, shared: int = 1) -> list[Port]:
    """Ports in pairs, each pair relayed, every rule on."""
    ports = []
    for index in range(2 * count):
        ports.append(open_port(engine, index, phones_from + index // shared))
        if index % 2:
            relay(engine, ports[-2], ports[-1])
    return ports


def open_recorded_calls(engine: Engine, count: int, phones_from: int) -> list[Port]:
    ports = open_calls(engine, count, phones_from)
    for index in range(0, 2 * count, 2):
        engine.set_audio(ports[index], rate=8000, receive=[SPOKEN], told=[SPOKEN])
        engine.record(ports[index], lambda index=index: sealed_file(index), on_finished=lambda _: None)  # type: ignore[misc]
    return ports


class Keys:
    """A key for each recording, in memory: making one is not what is measured."""

    def make(self, tenant: str, object_id: str) -> bytes:
        return os.urandom(32)

    def find(self, tenant: str, object_id: str) -> bytes:
        raise NotImplementedError


def sealed_file(index: int) -> SealedWriter:
    path, form = Path(f"{index}.sealed"), FileFormat(8000, 2)
    return SealedWriter(path, Keys(), tenant="t", object_id=str(index), form=form, random_bytes=os.urandom)


def open_chains(
    engine: Engine, count: int, phones_from: int, join: Callable[[Engine, tuple[Port, Port, Port, Port]], None]
) -> list[Port]:
    """A ─ a, near ─ far, b ─ B: `join` connects the four and says what near and far speak."""
    phones = []
    for index in range(count):
        a, near, far, b = made = tuple(
            engine.open_port("127.0.0.1", ssrc=4 * index + number + 1, sequence=1, timestamp=1) for number in range(4)
        )
        remotes = (phones_from + 2 * index, far.rtp_port, near.rtp_port, phones_from + 2 * index + 1)
        for port, remote in zip(made, remotes, strict=True):
            types = {ULAW, OPUS_TYPE, EVENTS}
            engine.set_remote(port, ("127.0.0.1", remote), payload_types=types, telephone_event=EVENTS)
        join(engine, (a, near, far, b))
        phones += [a, b]
    return phones


def sealed(engine: Engine, chain: tuple[Port, Port, Port, Port]) -> None:
    a, near, far, b = chain
    there, back = os.urandom(AES_CM_80.material), os.urandom(AES_CM_80.material)
    engine.secure(near, SrtpKeys(AES_CM_80, there, back))
    engine.secure(far, SrtpKeys(AES_CM_80, back, there))
    relay(engine, a, near)
    relay(engine, far, b)


def transcoded(engine: Engine, chain: tuple[Port, Port, Port, Port]) -> None:
    opus = Format(OPUS, OPUS_TYPE, opus=OPUS_AS_RTPENGINE)
    for port, form in zip(chain, (SPOKEN, opus, opus, SPOKEN), strict=True):
        engine.set_audio(port, rate=OPUS_RATE, receive=[form], send=form, encodes=True)
    for one, other in (chain[:2], chain[2:]):
        engine.connect(one, other, a_to_b={EVENTS: EVENTS}, b_to_a={EVENTS: EVENTS})


def open_room(engine: Engine, count: int, phones_from: int) -> list[Port]:
    room = engine.mixer(8000)
    ports = [open_port(engine, index, phones_from + index) for index in range(count)]
    for port in ports:
        engine.set_audio(port, rate=8000, receive=[SPOKEN], send=SPOKEN)
        room.add(port)
    return ports


def open_prompts(engine: Engine, count: int, phones_from: int) -> list[Port]:
    prompt = EncodedAudio(speech(5))
    ports = [open_port(engine, index, phones_from + 2 * index) for index in range(count)]
    for port in ports:
        engine.play(port, [prompt], payload_type=ULAW, silence=0xFF, turns=0)
    return ports


OPEN: dict[str, Callable[[Engine, int, int], list[Port]]] = {
    "rtp": open_calls,
    "crowd": partial(open_calls, shared=SHARED),
    "srtp": lambda engine, count, phones_from: open_chains(engine, count, phones_from, sealed),
    "opus": lambda engine, count, phones_from: open_chains(engine, count, phones_from, transcoded),
    "record": open_recorded_calls,
    "room": open_room,
    "play": open_prompts,
}


def main() -> None:
    low, high = map(int, sys.argv[1:])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with Engine(port_range=(low, high)) as engine:
        print("[]", flush=True)
        for line in sys.stdin:
            count, phones_from, mode = line.split()
            ports = OPEN[mode](engine, int(count), int(phones_from))
            print(json.dumps([port.rtp_port for port in ports]), flush=True)


if __name__ == "__main__":
    main()
