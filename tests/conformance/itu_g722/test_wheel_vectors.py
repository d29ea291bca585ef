"""ITU-T G.722 at 64 kbit/s, bit for bit what the public-domain implementation `G722` 1.2.8 makes of the same signals.

Digests (SHA-256, first 16 octets) of its codes and of the samples that it decodes from them, taken once; the wheel is
not needed here. The recommendation's own vectors (its Appendix II) enter behind the mirror filters and are not used.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from numpy.typing import NDArray

from media._dsp import Decoder, Encoder
from media.codecs import G722

FRAME = 320


def noise(count: int, seed: int, peak: int) -> NDArray[np.int16]:
    state, out = seed, []
    for _ in range(count):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        out.append(((state >> 8) % (2 * peak + 1)) - peak)
    return np.array(out, np.int16)


SIGNALS = {
    "silence": np.zeros(16000, np.int16),
    "whisper": noise(16000, 1, 20),
    "noise": noise(16000, 2, 8000),
    "loud": noise(16000, 3, 32767),
    "square": np.tile(np.repeat(np.array([32767, -32768], np.int16), 20), 400),
    "saw": (np.arange(16000) * 37 % 65536 - 32768).astype(np.int16),
}
DIGESTS = {
    "silence": ("9c0b9b2330c2fa6b38a5799a186bfcec", "67f04dfd3801f7a0b3f52d52e00fcb9d"),
    "whisper": ("d68b02730bc216912cd4e39483030011", "dbd511d0f6ec5187bce037c9c3313f9a"),
    "noise": ("fb6ee785b255283b69839e31901fcbd1", "50ba92a71c2e124a62355964851be48a"),
    "loud": ("9c4fe3cbd7e073801ce9148434354430", "c6b2e2eec0c3d02e46badd9752b315ab"),
    "square": ("4f0599f3e3a91b068fdb67164c8eb2ed", "e13fa401a190475a2f541c712232ab18"),
    "saw": ("f3f8f062e8de183547aacc398c482f4a", "6efe666cb0420b202bfb3f35be9e4691"),
}


def encoded(samples: NDArray[np.int16]) -> bytes:
    encoder = Encoder(G722.kind or 0, G722.rate)
    return b"".join(encoder.encode(samples[at : at + FRAME]) for at in range(0, len(samples), FRAME))


def decoded(codes: bytes) -> NDArray[np.int16]:
    decoder = Decoder(G722.kind or 0, G722.rate)
    parts = [decoder.decode(codes[at : at + FRAME // 2]) or b"" for at in range(0, len(codes), FRAME // 2)]
    return np.frombuffer(b"".join(parts), np.int16)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


@pytest.mark.parametrize("name", sorted(SIGNALS))
def test_codes_and_samples_are_those_of_the_reference(name: str) -> None:
    codes = encoded(SIGNALS[name])
    assert (digest(codes), digest(decoded(codes).astype("<i2").tobytes())) == DIGESTS[name]


def test_any_octets_decode_as_in_the_reference() -> None:
    codes = (noise(16000, 4, 127) + 127).astype(np.uint8).tobytes()
    assert digest(decoded(codes).astype("<i2").tobytes()) == "025068b0b1ceabbc9424a4f7c92852ff"


def test_a_packet_may_end_anywhere_the_state_goes_on() -> None:
    codes = encoded(SIGNALS["noise"])
    decoder = Decoder(G722.kind or 0, G722.rate)
    odd = b"".join(decoder.decode(codes[at : at + 77]) or b"" for at in range(0, len(codes), 77))
    assert np.array_equal(np.frombuffer(odd, np.int16), decoded(codes))
