"""Where Python and the signal kernels meet: whole buffers at load time, outside of the tick. No algorithm is here."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int16_t, uint8_t

from dsp cimport *


def ulaw_encode(const int16_t[::1] samples):
    """The G.711 µ-law code of each 16-bit sample."""
    cdef bytes codes = PyBytes_FromStringAndSize(NULL, samples.shape[0])
    cdef uint8_t *target = <uint8_t *>PyBytes_AS_STRING(codes)
    if samples.shape[0]:
        with nogil:
            vp_ulaw_encode_all(&samples[0], target, samples.shape[0])
    return codes


def ulaw_decode(const uint8_t[::1] codes):
    """The 16-bit sample of each G.711 µ-law code, in the machine's byte order."""
    cdef bytes samples = PyBytes_FromStringAndSize(NULL, 2 * codes.shape[0])
    cdef int16_t *target = <int16_t *>PyBytes_AS_STRING(samples)
    if codes.shape[0]:
        with nogil:
            vp_ulaw_decode_all(&codes[0], target, codes.shape[0])
    return samples


def alaw_encode(const int16_t[::1] samples):
    """The G.711 A-law code of each 16-bit sample."""
    cdef bytes codes = PyBytes_FromStringAndSize(NULL, samples.shape[0])
    cdef uint8_t *target = <uint8_t *>PyBytes_AS_STRING(codes)
    if samples.shape[0]:
        with nogil:
            vp_alaw_encode_all(&samples[0], target, samples.shape[0])
    return codes


def alaw_decode(const uint8_t[::1] codes):
    """The 16-bit sample of each G.711 A-law code, in the machine's byte order."""
    cdef bytes samples = PyBytes_FromStringAndSize(NULL, 2 * codes.shape[0])
    cdef int16_t *target = <int16_t *>PyBytes_AS_STRING(samples)
    if codes.shape[0]:
        with nogil:
            vp_alaw_decode_all(&codes[0], target, codes.shape[0])
    return samples
