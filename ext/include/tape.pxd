# Foreign declarations of the rings of samples; no code. Everything here runs without the GIL.
from libc.stdint cimport int16_t, uint8_t, uint32_t, uint64_t


cdef extern from "tape.h" nogil:
    ctypedef enum vp_tape_kind:
        VP_TAPE_STEREO
        VP_TAPE_MIXED
        VP_TAPE_HEARD
        VP_TAPE_SAID
    ctypedef struct vp_sink:
        pass
    ctypedef struct vp_tape:
        uint32_t samples
        uint8_t channels
        uint8_t paused
        uint8_t detached
        uint64_t lost
    vp_tape *vp_tape_new(uint32_t id, uint32_t rate, vp_tape_kind kind, uint32_t frames, bint overwrites)
    void vp_tape_release(vp_tape *tape)
    vp_sink *vp_tape_sink(vp_tape *tape)
    uint32_t vp_tape_waiting(const vp_tape *tape)
    uint32_t vp_tape_read(vp_tape *tape, int16_t *frames, uint32_t most, uint64_t *next, uint64_t *gap)


cdef extern from "speech.h" nogil:
    ctypedef struct vp_source:
        pass
    ctypedef struct vp_speech:
        uint64_t written
        uint64_t played
        uint32_t starved
        uint8_t finished
        uint8_t detached
    vp_speech *vp_speech_new(uint32_t id, uint32_t rate, uint32_t capacity, uint32_t lead)
    void vp_speech_release(vp_speech *speech)
    vp_source *vp_speech_source(vp_speech *speech)
    uint32_t vp_speech_write(vp_speech *speech, const int16_t *samples, uint32_t count)
    uint64_t vp_speech_flush(vp_speech *speech)


cdef extern from * nogil:
    """
    #define vp_read64(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)
    #define vp_read32(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)
    #define vp_read8(field) __atomic_load_n(&(field), __ATOMIC_ACQUIRE)
    #define vp_set8(field, value) __atomic_store_n(&(field), (uint8_t)(value), __ATOMIC_RELEASE)
    """
    uint64_t vp_read64(uint64_t field)
    uint32_t vp_read32(uint32_t field)
    uint8_t vp_read8(uint8_t field)
    void vp_set8(uint8_t field, bint value)
