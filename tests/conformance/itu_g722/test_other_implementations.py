"""Our G.722 and two others that `make peers` brings, octet by octet: the encoder of spandsp, the decoder of FFmpeg.

Spandsp's decoder is left out: it does not saturate where the recommendation does. All are called through ctypes.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Iterator
from ctypes import POINTER, c_char_p, c_int, c_int64, c_void_p, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conformance.itu_g722.test_wheel_vectors import SIGNALS, decoded, encoded

PACKET = 160
# Where a packet has its octets, and a frame the number of its samples: the first fields, the same since FFmpeg 4.
PACKET_DATA, FRAME_SAMPLES = 24, 112


def library(name: str) -> ctypes.CDLL:
    path = ctypes.util.find_library(name)
    assert path is not None, f"lib{name} is missing: run `make peers`"
    return ctypes.CDLL(path)


def encoded_by_spandsp(samples: NDArray[np.int16]) -> bytes:
    spandsp = library("spandsp")
    spandsp.g722_encode_init.restype = c_void_p
    state = c_void_p(spandsp.g722_encode_init(None, 64000, 0))
    codes = ctypes.create_string_buffer(len(samples) // 2)
    count = spandsp.g722_encode(state, codes, samples.ctypes.data_as(c_void_p), len(samples))
    spandsp.g722_encode_free(state)
    return codes.raw[:count]


class FfmpegDecoder:
    """One stream of G.722."""

    def __init__(self) -> None:
        self._codecs, self._utilities = library("avcodec"), library("avutil")
        for make in (
            self._codecs.avcodec_find_decoder_by_name,
            self._codecs.avcodec_alloc_context3,
            self._codecs.av_packet_alloc,
            self._utilities.av_frame_alloc,
        ):
            make.restype = c_void_p
        codec = c_void_p(self._codecs.avcodec_find_decoder_by_name(c_char_p(b"g722")))
        self._context = c_void_p(self._codecs.avcodec_alloc_context3(codec))
        self._utilities.av_opt_set(self._context, b"ch_layout", b"mono", 0)
        self._utilities.av_opt_set_int(self._context, b"ar", c_int64(16000), 0)
        assert self._codecs.avcodec_open2(self._context, codec, None) == 0
        self._packet = c_void_p(self._codecs.av_packet_alloc())
        self._frame = c_void_p(self._utilities.av_frame_alloc())

    def decode(self, codes: bytes) -> NDArray[np.int16]:
        return np.concatenate(
            [part for at in range(0, len(codes), PACKET) for part in self._take(codes[at : at + PACKET])]
        )

    def _take(self, codes: bytes) -> Iterator[NDArray[np.int16]]:
        assert self._codecs.av_new_packet(self._packet, len(codes)) == 0
        data = cast((self._packet.value or 0) + PACKET_DATA, POINTER(c_void_p))[0]
        ctypes.memmove(c_void_p(data), codes, len(codes))
        assert self._codecs.avcodec_send_packet(self._context, self._packet) == 0
        while self._codecs.avcodec_receive_frame(self._context, self._frame) == 0:
            count = cast((self._frame.value or 0) + FRAME_SAMPLES, POINTER(c_int))[0]
            samples = cast(self._frame, POINTER(c_void_p))[0]
            yield np.frombuffer(ctypes.string_at(c_void_p(samples), 2 * count), np.int16)
        self._codecs.av_packet_unref(self._packet)


@pytest.mark.parametrize("name", sorted(SIGNALS))
def test_codes_are_those_of_spandsp(name: str) -> None:
    assert encoded(SIGNALS[name]) == encoded_by_spandsp(SIGNALS[name])


@pytest.mark.parametrize("name", sorted(SIGNALS))
def test_samples_are_those_of_ffmpeg(name: str) -> None:
    codes = encoded(SIGNALS[name])
    assert np.array_equal(decoded(codes), FfmpegDecoder().decode(codes))


def test_a_minute_of_random_octets_decodes_as_in_ffmpeg() -> None:
    codes = np.random.default_rng(1).integers(0, 256, 60 * 8000).astype(np.uint8).tobytes()
    assert np.array_equal(decoded(codes), FfmpegDecoder().decode(codes))


def test_a_minute_of_random_samples_encodes_as_in_spandsp() -> None:
    samples = np.random.default_rng(2).integers(-32768, 32768, 60 * 16000).astype(np.int16)
    assert encoded(samples) == encoded_by_spandsp(samples)
