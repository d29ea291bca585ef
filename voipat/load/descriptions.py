"""What the phones of a load say of their media, and what they send: SDP and payloads of one codec."""

from __future__ import annotations

import base64
from typing import Final

import numpy as np

from media.codecs import encoder
from media.keys import AEAD_128
from media.resample import resample
from media.wav import read_wav_file
from voipat.speech import PromptSet

# payload type, line of a=rtpmap, step of the timestamp in 20 ms
CODECS: Final = {
    "PCMU": (0, "PCMU/8000", 160),
    "PCMA": (8, "PCMA/8000", 160),
    "G722": (9, "G722/8000", 160),
    "OPUS": (96, "opus/48000/2", 960),
}
SUITE: Final = AEAD_128.name
# Of a load, on loopback: nothing is kept secret by it.
KEY: Final = bytes(range(AEAD_128.material))
SPEECH: Final = "record-notice"
SECONDS: Final = 4.0

Parts = tuple[str, str, str, str]


def description(codec: str, host: str, *, srtp: bool = False) -> Parts:
    """As native code takes it: what stands before the port, what behind it, the SRTP suite and the key."""
    payload_type, rtpmap, _ = CODECS[codec]
    head = f"v=0\r\no=load 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio "
    events = "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
    profile = "RTP/SAVP" if srtp else "RTP/AVP"
    tail = f" {profile} {payload_type} 101\r\na=rtpmap:{payload_type} {rtpmap}\r\n{events}a=ptime:20\r\na=sendrecv\r\n"
    return head, tail, SUITE if srtp else "", base64.b64encode(KEY).decode() if srtp else ""


def payloads(codec: str) -> list[bytes]:
    """Some seconds of speech, in payloads of 20 ms. Raises: CodecMissingError."""
    form = encoder(codec)
    sound = read_wav_file(PromptSet().path(SPEECH))
    samples = resample(sound.samples, sound.rate, form.rate)[: int(SECONDS * form.rate)]
    octets, lengths = form.encode(np.ascontiguousarray(samples))
    lengths = lengths or [_octets_of_frame(octets, len(samples), form.rate)] * (len(samples) * 50 // form.rate)
    found, at = [], 0
    for length in lengths:
        found.append(octets[at : at + length])
        at += length
    return [payload for payload in found if payload]


def _octets_of_frame(octets: bytes, samples: int, rate: int) -> int:
    """Octets of 20 ms where each takes as many as any other."""
    return len(octets) * rate // (50 * samples)
