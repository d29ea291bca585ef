"""The codecs that the engine passes, decodes and encodes, with the payload types that RFC 3551 fixes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from media._dsp import Encoder, alaw_encode, ulaw_encode
from media._engine import FORMATS_MAX as FORMATS_MAX
from media.errors import CodecMissingError
from media.opus import maybe_opus
from media.plugins import maybe_plugin, plugin_functions

if TYPE_CHECKING:
    from media._engine import RawFormat


@dataclass(frozen=True, slots=True)
class Codec:
    """An encoding as SDP names it; `payload_type` is None where it must be negotiated."""

    name: str
    clock_rate: int
    channels: int = 1
    payload_type: int | None = None
    kind: int | None = None  # the engine's number for it; None: it is passed and not decoded
    rate: int = 8000  # of its samples, where the RTP clock says something else
    fmtp: str = ""

    def sample_rate(self, wanted: int) -> int:
        """The rate at which its samples are best taken and given when frames have `wanted`: Opus does any."""
        return wanted if self.kind == _OPUS else self.rate

    @property
    def is_available(self) -> bool:
        """Whether this machine can decode and encode it."""
        if self.kind == _OPUS:
            return maybe_opus() is not None
        plugin = maybe_plugin(self.name)
        return self.kind is not None and (plugin is None or bool(plugin_functions(plugin)))

    @property
    def functions(self) -> tuple[int, ...]:
        """The addresses of the library that it needs; nothing when it needs none or there is none."""
        if self.kind == _OPUS:
            return maybe_opus() or ()
        plugin = maybe_plugin(self.name)
        return plugin_functions(plugin) if plugin is not None else ()


_OPUS: Final = 4

# The order of `kind` is that of vp_codec_kind.
PCMU = Codec("PCMU", 8000, payload_type=0, kind=0)
PCMA = Codec("PCMA", 8000, payload_type=8, kind=1)
L16 = Codec("L16", 8000, kind=2)
L16_WIDE = Codec("L16", 16000, kind=2, rate=16000)
G722 = Codec("G722", 8000, payload_type=9, kind=3, rate=16000)  # RFC 3551 §4.5.2: the clock is half the samples
OPUS = Codec("opus", 48000, 2, kind=_OPUS, rate=48000, fmtp="useinbandfec=1")  # RFC 7587 §7: always 48000/2
G729 = Codec("G729", 8000, payload_type=18, kind=6, fmtp="annexb=no")  # RFC 4856 §2.1.9
COMFORT_NOISE = Codec("CN", 8000, payload_type=13, kind=5)
TELEPHONE_EVENT = Codec("telephone-event", 8000)

CODECS = (PCMU, PCMA, L16, L16_WIDE, G722, OPUS, G729, COMFORT_NOISE, TELEPHONE_EVENT)


def maybe_codec(name: str, clock_rate: int, channels: int = 1) -> Codec | None:
    """The codec with this name (in any case), clock rate and channels, or None."""
    wanted = (name.lower(), clock_rate, channels)
    return next((codec for codec in CODECS if (codec.name.lower(), codec.clock_rate, codec.channels) == wanted), None)


def _parameters(fmtp: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in fmtp.split(";"))
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _within(value: str | None, low: int, high: int) -> int:
    """The number, or 0."""
    number = int(value) if value is not None and value.isascii() and value.isdigit() and len(value) <= 9 else 0
    return number if low <= number <= high else 0


@dataclass(frozen=True, slots=True)
class OpusSettings:
    """How Opus is encoded. `bitrate` 0 leaves it to libopus; `loss_percent` is what redundancy (`fec`) is made for;
    `music` tunes it for sound of any kind, where it is otherwise tuned for speech. What the far side asks for is in
    `bitrate_max`, `playback_rate` (0: nothing) and `cbr`; see `asked_by`.

    One encoder of complexity 5 takes about 1 % of a core at 48 kHz; at 8 and 16 kHz it takes less.
    """

    bitrate: int = 0
    complexity: int = 5
    loss_percent: int = 10
    fec: bool = True
    dtx: bool = False
    music: bool = False
    cbr: bool = False
    bitrate_max: int = 0
    playback_rate: int = 0

    def asked_by(self, fmtp: str) -> OpusSettings:
        """These for a far side that wrote `fmtp` (RFC 7587 §6.1): what it does not want to get is not sent.

        Redundancy goes only to who says that it uses it, pauses are left out (DTX) for who wishes that. What is no
        number or outside of the RFC's range is ignored.
        """
        said = _parameters(fmtp)
        return replace(
            self,
            fec=self.fec and said.get("useinbandfec") == "1",
            dtx=self.dtx or said.get("usedtx") == "1",
            cbr=self.cbr or said.get("cbr") == "1",
            bitrate_max=_within(said.get("maxaveragebitrate"), 6000, 510000),
            playback_rate=_within(said.get("maxplaybackrate"), 8000, 48000),
        )


@dataclass(frozen=True, slots=True)
class Format:
    """A codec under the number that SDP gave it; `ptime_ms` of audio are put into one packet."""

    codec: Codec
    payload_type: int
    ptime_ms: int = 20
    opus: OpusSettings = OpusSettings()

    def raw(self, rate: int) -> RawFormat:
        """As the engine takes it for frames of `rate`. Raises: CodecMissingError."""
        codec, opus = self.codec, self.opus
        if codec.kind is None or not codec.is_available:
            raise CodecMissingError(f"{codec.name} cannot be decoded or encoded here")
        settings = (
            opus.bitrate,
            opus.complexity,
            opus.loss_percent,
            opus.fec,
            opus.dtx,
            opus.music,
            opus.cbr,
            opus.bitrate_max,
            opus.playback_rate,
        )
        return codec.kind, self.payload_type, codec.clock_rate, codec.sample_rate(rate), self.ptime_ms, settings


@dataclass(frozen=True, slots=True)
class PromptEncoder:
    """How samples at `rate` become a prompt of one codec: its octets and, where these are no samples, the lengths of
    its payloads of 20 ms; and the octet that fills up the last packet."""

    rate: int
    encode: Callable[[NDArray[np.int16]], tuple[bytes, list[int] | None]]
    silence: int = 0


def _octets(encode: Callable[[NDArray[np.int16]], bytes]) -> Callable[[NDArray[np.int16]], tuple[bytes, None]]:
    return lambda samples: (encode(samples), None)


def _payloads(codec: Codec, samples: NDArray[np.int16], bitrate: int = 0) -> list[bytes]:
    """Those of 20 ms each, the last one filled up."""
    assert codec.kind is not None, "it can be encoded"
    stream = Encoder(codec.kind, codec.rate, codec.functions, (bitrate, 8, 0, False, False))
    frame = codec.rate // 50
    padded = np.concatenate([samples, np.zeros(-len(samples) % frame, np.int16)])
    return [stream.encode(padded[at : at + frame]) for at in range(0, len(padded), frame)]


def _encode_g722(samples: NDArray[np.int16]) -> tuple[bytes, None]:
    return b"".join(_payloads(G722, samples)), None


def _encode_opus(samples: NDArray[np.int16], bitrate: int) -> tuple[bytes, list[int]]:
    payloads = [payload or _OPUS_NOTHING for payload in _payloads(OPUS, samples, bitrate)]
    return b"".join(payloads), [len(payload) for payload in payloads]


def _encode_g729(samples: NDArray[np.int16]) -> tuple[bytes, list[int]]:
    payloads = _payloads(G729, samples)
    return b"".join(payloads), [len(payload) for payload in payloads]


# RFC 6716 §3.1: SILK at 8 kHz, 20 ms, mono, and no data: concealed by the decoder.
_OPUS_NOTHING: Final = b"\x08"

# Bits a second of prompts in Opus, and for far sides that ask for less (RFC 7587 §6.1: not below 6000).
_OPUS_PROMPT: Final = 32000
_OPUS_SLOW: Final = (16000, 6000)

_PROMPT_ENCODERS: Final = {
    "PCMU": PromptEncoder(8000, _octets(ulaw_encode), 0xFF),
    "PCMA": PromptEncoder(8000, _octets(alaw_encode), 0xD5),
    "G722": PromptEncoder(16000, _encode_g722, 0xFA),
    "OPUS": PromptEncoder(48000, partial(_encode_opus, bitrate=_OPUS_PROMPT)),
    **{f"OPUS/{rate}": PromptEncoder(48000, partial(_encode_opus, bitrate=rate)) for rate in _OPUS_SLOW},
    "G729": PromptEncoder(8000, _encode_g729),
}
_BY_LIBRARY: Final = {"OPUS": OPUS, "G729": G729}


def prompt_codec(name: str, fmtp: str) -> str:
    """By what name the prompts of a far side are encoded: those for a slow Opus apart from those for all others."""
    most = OpusSettings().asked_by(fmtp).bitrate_max if name.upper() == "OPUS" else 0
    if not most or most >= _OPUS_PROMPT:
        return name
    return f"{name}/{next(rate for rate in _OPUS_SLOW if rate <= most)}"


def encoder(name: str) -> PromptEncoder:
    """The encoder of a codec by its SDP name, or by that of `prompt_codec`. Raises: CodecMissingError."""
    found = _PROMPT_ENCODERS.get(name.upper())
    codec = _BY_LIBRARY.get(name.upper().partition("/")[0])
    if found is None or (codec is not None and not codec.is_available):
        raise CodecMissingError(f"nothing can be played in {name}")
    return found
