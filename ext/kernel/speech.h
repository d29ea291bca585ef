/* Samples of Python on their way to a port: said instead of what else would be, 20 ms at each tick.
 *
 *   face ── vp_speech_write ──▶ ring ── give ──▶ vp_audio ──▶ encoder
 *
 * Positions count samples since the start and never go back: `written` is the face's, `played` the worker's. A flush
 * names the position up to which nothing is to be said any more. Held by the port and by the face, as a tape.
 */
#ifndef VP_SPEECH_H
#define VP_SPEECH_H

#include "audio.h"

typedef struct {
    vp_source source; /* first */
    uint32_t references; /* atomic */
    uint32_t capacity;   /* samples, a power of two */
    uint32_t lead;       /* samples that are waited for before it begins: what the writer may be late by */
    uint8_t finished;    /* atomic, the face's: no more will be written; what is there is said without waiting */
    uint8_t detached;    /* atomic, the worker's */
    bool speaks;
    uint32_t starved;    /* atomic: times that it ran dry */
    int16_t *samples;
    _Alignas(64) uint64_t written; /* atomic */
    uint64_t flushed;              /* atomic, the face's */
    _Alignas(64) uint64_t played;  /* atomic */
} vp_speech;

static inline void vp_speech_copy(const vp_speech *speech, uint64_t at, int16_t *samples, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        samples[i] = speech->samples[(at + i) & (speech->capacity - 1)];
}

static inline bool vp_speech_give(vp_source *source, int16_t *samples, uint32_t count) {
    vp_speech *speech = (vp_speech *)source;
    /* In this order: what was flushed by now was written by then. */
    uint64_t flushed = __atomic_load_n(&speech->flushed, __ATOMIC_ACQUIRE);
    uint64_t written = __atomic_load_n(&speech->written, __ATOMIC_ACQUIRE);
    uint64_t played = speech->played;
    if (flushed > played) {
        played = flushed;
        speech->speaks = false;
    }
    uint32_t waiting = (uint32_t)(written - played);
    bool finished = __atomic_load_n(&speech->finished, __ATOMIC_ACQUIRE);
    if (!speech->speaks)
        speech->speaks = waiting && (waiting >= speech->lead || finished);
    uint32_t taken = !speech->speaks ? 0 : waiting < count ? waiting : count;
    if (speech->speaks && taken < count) {
        speech->speaks = false;
        if (!finished)
            VP_ADD(speech->starved, 1);
    }
    vp_speech_copy(speech, played, samples, taken);
    memset(samples + taken, 0, (count - taken) * sizeof *samples);
    __atomic_store_n(&speech->played, played + taken, __ATOMIC_RELEASE);
    return taken != 0;
}

static inline void vp_speech_release(vp_speech *speech) {
    if (!speech || __atomic_sub_fetch(&speech->references, 1, __ATOMIC_ACQ_REL))
        return;
    free(speech->samples);
    free(speech);
}

static inline void vp_speech_let_go(vp_source *source) {
    vp_speech *speech = (vp_speech *)source;
    __atomic_store_n(&speech->detached, 1, __ATOMIC_RELEASE);
    vp_speech_release(speech);
}

/* `capacity` is a power of two. With one reference, the face's. NULL when memory is short. */
static inline vp_speech *vp_speech_new(uint32_t id, uint32_t rate, uint32_t capacity, uint32_t lead) {
    vp_speech *speech = aligned_alloc(64, (sizeof *speech + 63) / 64 * 64);
    if (!speech)
        return NULL;
    memset(speech, 0, sizeof *speech);
    speech->references = 1;
    speech->capacity = capacity;
    speech->lead = lead;
    speech->source.id = id;
    speech->source.rate = rate;
    speech->source.give = vp_speech_give;
    speech->source.release = vp_speech_let_go;
    speech->samples = malloc(capacity * sizeof *speech->samples);
    if (!speech->samples) {
        vp_speech_release(speech);
        return NULL;
    }
    return speech;
}

static inline vp_source *vp_speech_source(vp_speech *speech) {
    __atomic_add_fetch(&speech->references, 1, __ATOMIC_RELAXED);
    return &speech->source;
}

/* What of `count` samples finds room; from the face. */
static inline uint32_t vp_speech_write(vp_speech *speech, const int16_t *samples, uint32_t count) {
    uint64_t written = speech->written, played = __atomic_load_n(&speech->played, __ATOMIC_ACQUIRE);
    uint32_t room = speech->capacity - (uint32_t)(written - played);
    uint32_t taken = count < room ? count : room;
    for (uint32_t i = 0; i < taken; i++)
        speech->samples[(written + i) & (speech->capacity - 1)] = samples[i];
    __atomic_store_n(&speech->written, written + taken, __ATOMIC_RELEASE);
    return taken;
}

/* Nothing that was written until now is said any more; the position that this is. */
static inline uint64_t vp_speech_flush(vp_speech *speech) {
    __atomic_store_n(&speech->flushed, speech->written, __ATOMIC_RELEASE);
    return speech->written;
}

#endif
