"""`python -m fuzz.codecs --count N --seed S`: mutated and random payloads through the decoder of each codec.

One stream of each codec is decoded on and on, so that what a payload does to the state meets the next one. Law: no
samples, or at most 120 ms of them. A finding is printed with its seed and input, and the exit status is 1.
"""

from __future__ import annotations

import random
import sys
from collections import Counter

import numpy as np

from fuzz.finding import command, each_tried, told
from media._dsp import Decoder, Encoder
from media.codecs import G722, G729, L16, OPUS, PCMA, PCMU, Codec

SLOWEST_S = 0.05
LONGEST_S = 0.12
CODECS = tuple(codec for codec in (PCMU, PCMA, L16, G722, G729, OPUS) if codec.is_available)


class Streams:
    """A decoder of each codec, and real payloads of it to begin from."""

    def __init__(self) -> None:
        self._decoders = [Decoder(codec.kind or 0, codec.rate, codec.functions) for codec in CODECS]
        self._payloads = [self._encoded(codec) for codec in CODECS]

    @staticmethod
    def _encoded(codec: Codec) -> list[bytes]:
        frame = codec.rate // 50
        sound = np.random.default_rng(1).integers(-9000, 9000, 20 * frame).astype(np.int16)
        encoder = Encoder(codec.kind or 0, codec.rate, codec.functions, (0, 5, 10, True, False))
        return [encoder.encode(sound[at : at + frame]) for at in range(0, len(sound), frame)]

    def mutant(self, draw: random.Random) -> bytes:
        """A payload behind the number of its codec."""
        number = draw.randrange(len(CODECS))
        payload = bytearray(draw.choice(self._payloads[number]))
        for _ in range(draw.choice((0, 1, 2, 8))):
            payload[draw.randrange(len(payload))] = draw.randrange(256)
        kind = draw.randrange(8)
        if kind == 0:
            return bytes((number,)) + draw.randbytes(draw.choice((0, 1, 2, 9, 11, 40, 200, 1500)))
        cut = len(payload) if kind < 6 else draw.randrange(len(payload))
        return bytes((number,)) + bytes(payload[:cut]) * draw.choice((1, 1, 1, 2, 7))

    def outcome(self, data: bytes) -> str:
        codec = CODECS[data[0]]
        samples = self._decoders[data[0]].decode(data[1:])
        if samples is None:
            return f"{codec.name} refused"
        assert 0 < len(samples) <= 2 * codec.rate * LONGEST_S, f"{len(samples)} octets of samples"
        return f"{codec.name} decoded"


def tried(count: int, seed: int) -> Counter[str]:
    """What became of `count` payloads. Raises: Finding."""
    streams = Streams()
    return each_tried(count, seed, streams.mutant, streams.outcome, slowest_s=SLOWEST_S)


def run(count: int, seed: int) -> int:
    """Try `count` payloads; the exit status. Raises: Finding."""
    tally = tried(count, seed)
    print(f"fuzz.codecs: {count} payloads, seed {seed}: {told(tally)}")
    return 1 if tally["slow"] > max(3, count // 1000) else 0


if __name__ == "__main__":
    sys.exit(command("fuzz.codecs", __doc__, run))
