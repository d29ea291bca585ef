"""The codecs that the engine passes, with the payload types that RFC 3551 fixes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from media._dsp import alaw_encode, ulaw_encode
from media.errors import CodecMissingError


@dataclass(frozen=True, slots=True)
class Codec:
    """An encoding as SDP names it; `payload_type` is None where it must be negotiated."""

    name: str
    clock_rate: int
    channels: int = 1
    payload_type: int | None = None


PCMU = Codec("PCMU", 8000, payload_type=0)
PCMA = Codec("PCMA", 8000, payload_type=8)
TELEPHONE_EVENT = Codec("telephone-event", 8000)

CODECS = (PCMU, PCMA, TELEPHONE_EVENT)


def maybe_codec(name: str, clock_rate: int, channels: int = 1) -> Codec | None:
    """The codec with this name (in any case), clock rate and channels, or None."""
    wanted = (name.lower(), clock_rate, channels)
    return next((codec for codec in CODECS if (codec.name.lower(), codec.clock_rate, codec.channels) == wanted), None)


@dataclass(frozen=True, slots=True)
class Encoder:
    """How linear samples become the codes of one codec, and its code for silence."""

    encode: Callable[[NDArray[np.int16]], bytes]
    silence: int


_ENCODERS: Final = {"PCMU": Encoder(ulaw_encode, 0xFF), "PCMA": Encoder(alaw_encode, 0xD5)}


def encoder(name: str) -> Encoder:
    """The encoder of a codec by its SDP name. Raises: CodecMissingError."""
    found = _ENCODERS.get(name.upper())
    if found is None:
        raise CodecMissingError(f"nothing can be played in {name}")
    return found
