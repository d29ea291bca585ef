/* Linear samples: the frame that everything here exchanges, and the arithmetic on it. */
#ifndef VP_PCM_H
#define VP_PCM_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
    VP_TICKS_PER_SECOND = 50,
    VP_PCM_RATE_MAX = 48000,
    VP_PCM_FRAME = VP_PCM_RATE_MAX / VP_TICKS_PER_SECOND, /* samples of the longest frame: 20 ms */
};

static inline int16_t vp_saturate(int32_t value) {
    return (int16_t)(value > INT16_MAX ? INT16_MAX : value < INT16_MIN ? INT16_MIN : value);
}

static inline bool vp_pcm_rate_known(uint32_t rate) { return rate == 8000 || rate == 16000 || rate == 24000 || rate == 48000; }

/* From all of `from` to all of `to`, in a straight line over `count` samples, into `into` (which may be either). */
static inline void vp_crossfade(int16_t *into, const int16_t *from, const int16_t *to, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        into[i] = (int16_t)(((int64_t)from[i] * (count - i) + (int64_t)to[i] * i) / count);
}

/* Mean square of the samples. */
static inline uint32_t vp_power(const int16_t *samples, uint32_t count) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += (uint64_t)((int32_t)samples[i] * samples[i]);
    return count ? (uint32_t)(sum / count) : 0;
}

#endif
