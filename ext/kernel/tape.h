/* Samples of a port on their way to Python: 20 ms frames in a ring, for a recorder or a tap. The worker never waits.
 *
 *   vp_audio ── take ──▶ ring ── vp_tape_read ──▶ the thread that reads: a writer of files, an event loop
 *
 * A frame holds both directions of one tick, or their sum, or one direction. A reader that is too slow loses frames:
 * the new ones, or the old ones when the tape `overwrites`; each frame has the number of its tick, so that what is lost
 * is known and the time line stays. Held by the sink's port and by the face; who lets go last frees it.
 */
#ifndef VP_TAPE_H
#define VP_TAPE_H

#include "audio.h"

typedef enum { VP_TAPE_STEREO, VP_TAPE_MIXED, VP_TAPE_HEARD, VP_TAPE_SAID } vp_tape_kind;

typedef struct {
    vp_sink sink; /* first: the port knows no more of it */
    uint32_t references; /* atomic */
    uint32_t mask;
    uint32_t samples; /* of one channel in a frame */
    uint8_t channels, kind;
    bool overwrites;
    uint8_t paused;   /* atomic, the reader's: silence is written meanwhile */
    uint8_t detached; /* atomic, the worker's: nothing more will come */
    bool has_half;
    uint64_t half_tick;
    uint64_t lost; /* atomic: frames that found the ring full */
    uint64_t *ticks;
    int16_t *frames;
    _Alignas(64) uint64_t head; /* atomic: frames written */
    _Alignas(64) uint64_t tail; /* atomic: frames read */
    int16_t half[VP_PCM_FRAME]; /* heard at `half_tick`, until the other direction is here */
    int16_t silence[VP_PCM_FRAME];
} vp_tape;

static inline int16_t vp_clip(int32_t sample) {
    return (int16_t)(sample > INT16_MAX ? INT16_MAX : sample < INT16_MIN ? INT16_MIN : sample);
}

/* `heard` and `said` may be one and the same; what the kind does not want is not read. */
static inline void vp_tape_join(const vp_tape *tape, int16_t *frame, const int16_t *heard, const int16_t *said) {
    uint32_t count = tape->samples;
    if (tape->kind == VP_TAPE_STEREO) {
        for (uint32_t i = 0; i < count; i++) {
            frame[2 * i] = heard[i];
            frame[2 * i + 1] = said[i];
        }
    } else if (tape->kind == VP_TAPE_MIXED) {
        for (uint32_t i = 0; i < count; i++)
            frame[i] = vp_clip((int32_t)heard[i] + said[i]);
    } else {
        memcpy(frame, tape->kind == VP_TAPE_HEARD ? heard : said, count * sizeof *frame);
    }
}

static inline void vp_tape_push(vp_tape *tape, const int16_t *heard, const int16_t *said, uint64_t tick) {
    uint64_t head = tape->head;
    if (!tape->overwrites && head - __atomic_load_n(&tape->tail, __ATOMIC_ACQUIRE) > tape->mask) {
        VP_ADD(tape->lost, 1);
        return;
    }
    if (VP_READ(tape->paused))
        heard = said = tape->silence;
    /* An overwriting reader looks at the head before and after it copies: this frame counts as gone from now on. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    size_t slot = head & tape->mask;
    tape->ticks[slot] = tick;
    vp_tape_join(tape, tape->frames + slot * tape->samples * tape->channels, heard, said);
    __atomic_store_n(&tape->head, head + 1, __ATOMIC_RELEASE);
}

static inline void vp_tape_take(vp_sink *sink, vp_side side, const int16_t *samples, uint32_t count, uint64_t tick) {
    vp_tape *tape = (vp_tape *)sink;
    VP_ASSERT(count == tape->samples);
    if (sink->sides != (VP_HEARD | VP_SAID)) {
        vp_tape_push(tape, samples, samples, tick);
        return;
    }
    if (tape->has_half && (side == VP_HEARD || tape->half_tick != tick))
        vp_tape_push(tape, tape->half, tape->silence, tape->half_tick);
    if (side == VP_HEARD) {
        memcpy(tape->half, samples, count * sizeof *samples);
        tape->half_tick = tick;
        tape->has_half = true;
        return;
    }
    vp_tape_push(tape, tape->has_half ? tape->half : tape->silence, samples, tick);
    tape->has_half = false;
}

static inline void vp_tape_release(vp_tape *tape) {
    if (!tape || __atomic_sub_fetch(&tape->references, 1, __ATOMIC_ACQ_REL))
        return;
    free(tape->ticks);
    free(tape->frames);
    free(tape);
}

static inline void vp_tape_let_go(vp_sink *sink) {
    vp_tape *tape = (vp_tape *)sink;
    __atomic_store_n(&tape->detached, 1, __ATOMIC_RELEASE);
    vp_tape_release(tape);
}

/* `frames` is a power of two. With one reference, the face's; a second one is taken for the port with vp_tape_sink. NULL
 * when memory is short. */
static inline vp_tape *vp_tape_new(uint32_t id, uint32_t rate, vp_tape_kind kind, uint32_t frames, bool overwrites) {
    vp_tape *tape = aligned_alloc(64, (sizeof *tape + 63) / 64 * 64);
    if (!tape)
        return NULL;
    memset(tape, 0, sizeof *tape);
    tape->samples = rate / VP_TICKS_PER_SECOND;
    tape->channels = kind == VP_TAPE_STEREO ? 2 : 1;
    tape->kind = (uint8_t)kind;
    tape->mask = frames - 1;
    tape->overwrites = overwrites;
    tape->references = 1;
    tape->ticks = calloc(frames, sizeof *tape->ticks);
    tape->frames = calloc((size_t)frames * tape->samples * tape->channels, sizeof *tape->frames);
    tape->sink.id = id;
    tape->sink.rate = rate;
    tape->sink.sides = kind == VP_TAPE_HEARD ? VP_HEARD : kind == VP_TAPE_SAID ? VP_SAID : VP_HEARD | VP_SAID;
    tape->sink.take = vp_tape_take;
    tape->sink.release = vp_tape_let_go;
    if (!tape->ticks || !tape->frames) {
        vp_tape_release(tape);
        return NULL;
    }
    return tape;
}

static inline vp_sink *vp_tape_sink(vp_tape *tape) {
    __atomic_add_fetch(&tape->references, 1, __ATOMIC_RELAXED);
    return &tape->sink;
}

static inline uint32_t vp_tape_waiting(const vp_tape *tape) {
    uint64_t waiting = __atomic_load_n(&tape->head, __ATOMIC_ACQUIRE) - VP_READ(tape->tail);
    return (uint32_t)(waiting > tape->mask + 1 ? tape->mask + 1 : waiting);
}

/* The next frame and its tick; false when none waits. From the reader's thread. */
static inline bool vp_tape_next(vp_tape *tape, int16_t *frame, uint64_t *tick) {
    size_t size = (size_t)tape->samples * tape->channels;
    uint64_t tail = tape->tail;
    for (;;) {
        uint64_t head = __atomic_load_n(&tape->head, __ATOMIC_ACQUIRE);
        if (head == tail)
            return false;
        /* The slot that the worker may be writing now is the oldest one: it is left out too. */
        if (tape->overwrites && head - tail > tape->mask) {
            VP_ADD(tape->lost, head - tail - tape->mask);
            tail = head - tape->mask;
        }
        *tick = tape->ticks[tail & tape->mask];
        memcpy(frame, tape->frames + (tail & tape->mask) * size, size * sizeof *frame);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        head = __atomic_load_n(&tape->head, __ATOMIC_ACQUIRE);
        if (!tape->overwrites || head - tail <= tape->mask)
            break;
    }
    __atomic_store_n(&tape->tail, tail + 1, __ATOMIC_RELEASE);
    return true;
}

/* Up to `most` frames, one behind the other; how many there were. `gap` frames are missing before the first: it stops at
 * a gap that is not at its beginning. `next` is the tick that is expected, 0 at first. */
static inline uint32_t vp_tape_read(vp_tape *tape, int16_t *frames, uint32_t most, uint64_t *next, uint64_t *gap) {
    size_t size = (size_t)tape->samples * tape->channels;
    uint32_t count = 0;
    *gap = 0;
    while (count < most) {
        uint64_t tail = tape->tail, tick;
        if (!tape->overwrites && vp_tape_waiting(tape) && *next && count
            && tape->ticks[tail & tape->mask] != *next)
            break;
        if (!vp_tape_next(tape, frames + count * size, &tick))
            break;
        if (*next && tick > *next)
            *gap = tick - *next;
        *next = tick + 1;
        count++;
    }
    return count;
}

#endif
