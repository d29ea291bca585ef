# Foreign declarations of the signal kernels; no code. Everything here runs without the GIL.
from libc.stdint cimport int16_t, uint8_t


cdef extern from "g711.h" nogil:
    void vp_ulaw_encode_all(const int16_t *samples, uint8_t *codes, size_t count)
    void vp_ulaw_decode_all(const uint8_t *codes, int16_t *samples, size_t count)
    void vp_alaw_encode_all(const int16_t *samples, uint8_t *codes, size_t count)
    void vp_alaw_decode_all(const uint8_t *codes, int16_t *samples, size_t count)
