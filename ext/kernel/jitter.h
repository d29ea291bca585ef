/* Packets between their arrival and their turn: in order of sequence, and how long each may be waited for.
 *
 * A packet's lateness is its transit time above the smallest of the last 10 to 20 s, which follows the drift of two
 * clocks. The target delay covers 97 % of the lateness seen lately (a histogram that forgets with a time constant of 512
 * packets) and the frame that is taken at a tick.
 */
#ifndef VP_JITTER_H
#define VP_JITTER_H

#include "rtp.h"

enum {
    VP_JITTER_SLOTS = 64, /* 1.28 s at 20 ms; what is older when one more comes is dropped */
    VP_LATENESS_MS = 5,   /* width of a bucket */
    VP_LATENESS_BUCKETS = 100,
    VP_LATENESS_FORGET = 9, /* shift */
    VP_LATENESS_START_MS = 20,
    VP_TARGET_FRAME_MS = 20,
    VP_TARGET_MISSES = 30, /* in a thousand */
    VP_LATENESS_NOTHING = 1 << VP_LATENESS_FORGET, /* a weight below this would never be forgotten to the end */
};

#define VP_TRANSIT_WINDOW (10 * VP_SECOND)

typedef struct {
    uint8_t *octets; /* owned, grown to the longest packet that lay here */
    uint16_t length, capacity;
    uint16_t sequence;
    uint32_t timestamp;
    uint8_t payload_type;
    bool filled;
} vp_slot;

typedef struct {
    vp_slot slots[VP_JITTER_SLOTS];
    uint32_t queued;
    uint16_t next, newest; /* sequence: to be played next, the latest that came */
    bool known;            /* `next` and `newest` mean something */
    bool has_transit;
    uint32_t clock_rate;
    uint32_t least, least_before; /* transit: of this window, of the one before */
    uint64_t window;
    uint32_t lateness[VP_LATENESS_BUCKETS]; /* weights, 1 << 24 in all */
    uint32_t latest; /* no bucket above it has any weight */
    uint32_t target_ms;
} vp_jitter;

typedef enum { VP_JITTER_TAKEN, VP_JITTER_LATE, VP_JITTER_DUPLICATE, VP_JITTER_FULL, VP_JITTER_NO_MEMORY } vp_jitter_verdict;

static inline void vp_jitter_init(vp_jitter *jitter, uint32_t clock_rate) {
    memset(jitter, 0, sizeof *jitter);
    jitter->clock_rate = clock_rate;
    jitter->latest = VP_LATENESS_START_MS / VP_LATENESS_MS - 1;
    jitter->lateness[jitter->latest] = 1 << 24;
    jitter->target_ms = VP_LATENESS_START_MS + VP_TARGET_FRAME_MS;
}

/* Another stream: what lies here is of the old one. What was learnt about the line stays. */
static inline void vp_jitter_flush(vp_jitter *jitter, uint32_t clock_rate) {
    for (uint32_t i = 0; i < VP_JITTER_SLOTS; i++)
        jitter->slots[i].filled = false;
    jitter->queued = 0;
    jitter->known = jitter->has_transit = false;
    jitter->clock_rate = clock_rate;
}

/* Another codec on the same line: what was learnt about that goes on, so that the delay needs not be found again. */
static inline void vp_jitter_inherit(vp_jitter *jitter, const vp_jitter *before) {
    memcpy(jitter->lateness, before->lateness, sizeof jitter->lateness);
    jitter->latest = before->latest;
    jitter->target_ms = before->target_ms;
}

static inline void vp_jitter_free(vp_jitter *jitter) {
    for (uint32_t i = 0; i < VP_JITTER_SLOTS; i++) {
        free(jitter->slots[i].octets);
        jitter->slots[i].octets = NULL;
    }
}

static inline uint32_t vp_jitter_base(const vp_jitter *jitter) {
    bool before = (int32_t)(jitter->least_before - jitter->least) < 0;
    return before ? jitter->least_before : jitter->least;
}

static inline void vp_jitter_learn_transit(vp_jitter *jitter, uint32_t transit, uint64_t now) {
    if (!jitter->has_transit) {
        jitter->has_transit = true;
        jitter->least = jitter->least_before = transit;
        jitter->window = now;
    } else if (now - jitter->window >= VP_TRANSIT_WINDOW) {
        jitter->least_before = jitter->least;
        jitter->least = transit;
        jitter->window = now;
    } else if ((int32_t)(transit - jitter->least) < 0) {
        jitter->least = transit;
    }
}

static inline void vp_jitter_learn(vp_jitter *jitter, uint32_t timestamp, uint64_t now) {
    uint32_t transit = vp_rtp_time(now, jitter->clock_rate) - timestamp, tail = 0, bucket, sum = 0;
    vp_jitter_learn_transit(jitter, transit, now);
    uint32_t late_ms = (uint32_t)((uint64_t)(transit - vp_jitter_base(jitter)) * 1000 / jitter->clock_rate);
    uint32_t seen = late_ms / VP_LATENESS_MS < VP_LATENESS_BUCKETS ? late_ms / VP_LATENESS_MS : VP_LATENESS_BUCKETS - 1;
    while (jitter->latest && jitter->lateness[jitter->latest] < VP_LATENESS_NOTHING)
        jitter->lateness[jitter->latest--] = 0;
    for (uint32_t i = 0; i <= jitter->latest; i++) {
        jitter->lateness[i] -= jitter->lateness[i] >> VP_LATENESS_FORGET;
        sum += jitter->lateness[i];
    }
    jitter->latest = seen > jitter->latest ? seen : jitter->latest;
    jitter->lateness[seen] += (1 << 24) - sum; /* what was forgotten, rounding and all */
    uint32_t misses = (1 << 24) / 1000 * VP_TARGET_MISSES;
    for (bucket = jitter->latest; bucket > 0 && tail + jitter->lateness[bucket] <= misses; bucket--)
        tail += jitter->lateness[bucket];
    jitter->target_ms = (bucket + 1) * VP_LATENESS_MS + VP_TARGET_FRAME_MS;
}

static inline vp_slot *vp_jitter_at(vp_jitter *jitter, uint16_t sequence) {
    vp_slot *slot = &jitter->slots[sequence % VP_JITTER_SLOTS];
    return slot->filled && slot->sequence == sequence ? slot : NULL;
}

static inline void vp_jitter_drop(vp_jitter *jitter, vp_slot *slot) {
    slot->filled = false;
    jitter->queued--;
}

/* The oldest packet there is; NULL when there is none. */
static inline vp_slot *vp_jitter_oldest(vp_jitter *jitter) {
    for (uint16_t i = 0; jitter->queued && i < VP_JITTER_SLOTS; i++) {
        vp_slot *slot = vp_jitter_at(jitter, (uint16_t)(jitter->next + i));
        if (slot)
            return slot;
    }
    return NULL;
}

/* `next` moves up until a packet of this sequence has a place; how many packets that cost. */
static inline uint32_t vp_jitter_make_room(vp_jitter *jitter, uint16_t sequence) {
    uint32_t dropped = 0;
    while ((uint16_t)(sequence - jitter->next) >= VP_JITTER_SLOTS) {
        vp_slot *slot = vp_jitter_at(jitter, jitter->next++);
        if (slot) {
            vp_jitter_drop(jitter, slot);
            dropped++;
        }
        if (!jitter->queued)
            jitter->next = sequence;
    }
    return dropped;
}

static inline bool vp_slot_fill(vp_slot *slot, const vp_rtp *rtp) {
    if (slot->capacity < rtp->payload_length) {
        uint8_t *grown = realloc(slot->octets, rtp->payload_length);
        if (!grown)
            return false;
        slot->octets = grown;
        slot->capacity = rtp->payload_length;
    }
    if (rtp->payload_length)
        memcpy(slot->octets, rtp->payload, rtp->payload_length);
    slot->length = rtp->payload_length;
    slot->sequence = rtp->sequence;
    slot->timestamp = rtp->timestamp;
    slot->payload_type = rtp->payload_type;
    slot->filled = true;
    return true;
}

/* A packet that is no audio (VP_SKIPPED) keeps its place in the sequence and says nothing about the line. */
enum { VP_SKIPPED = 0xff };

static inline vp_jitter_verdict vp_jitter_put(vp_jitter *jitter, const vp_rtp *rtp, uint64_t now) {
    vp_slot *slot = &jitter->slots[rtp->sequence % VP_JITTER_SLOTS];
    if (!jitter->known) {
        jitter->known = true;
        jitter->next = jitter->newest = rtp->sequence;
    } else if ((int16_t)(rtp->sequence - jitter->next) < 0) {
        return VP_JITTER_LATE;
    }
    if (slot->filled && slot->sequence == rtp->sequence)
        return VP_JITTER_DUPLICATE;
    if (rtp->payload_type != VP_SKIPPED)
        vp_jitter_learn(jitter, rtp->timestamp, now);
    uint32_t dropped = vp_jitter_make_room(jitter, rtp->sequence);
    if (!vp_slot_fill(slot, rtp))
        return VP_JITTER_NO_MEMORY;
    jitter->queued++;
    if ((int16_t)(rtp->sequence - jitter->newest) > 0)
        jitter->newest = rtp->sequence;
    return dropped ? VP_JITTER_FULL : VP_JITTER_TAKEN;
}

/* How long after the fastest packet's way the sample of this timestamp is played now; milliseconds. */
static inline int32_t vp_jitter_delay_ms(const vp_jitter *jitter, uint32_t timestamp, uint64_t now) {
    int32_t units = (int32_t)(vp_rtp_time(now, jitter->clock_rate) - vp_jitter_base(jitter) - timestamp);
    return (int32_t)((int64_t)units * 1000 / jitter->clock_rate);
}

#endif
