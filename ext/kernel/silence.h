/* Voice activity in what is said to one far side, and comfort noise in the place of its pauses (RFC 3389).
 *
 *   talk ──▶ quiet for VP_HANGOVER_MS ──▶ silent: one octet of level now, when it changes, and each VP_NOISE_EVERY_MS
 *   silent ──▶ the first packet above the bound ──▶ talk, with that packet
 *
 * The bound follows the floor of the noise: it falls at once and rises slowly; what is loud is always talk.
 */
#ifndef VP_SILENCE_H
#define VP_SILENCE_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    VP_HANGOVER_MS = 240,
    VP_NOISE_EVERY_MS = 1000,
    VP_NOISE_STEP_DB = 3,
    VP_QUIET_ALWAYS = 60,  /* rms of 32768: below -52 dBov nothing is talk */
    VP_QUIET_NEVER = 600,  /* above -32 dBov everything is */
};

typedef struct {
    bool enabled;
    uint8_t payload_type;
    bool silent;
    uint8_t level;     /* that was told last, -dBov */
    uint8_t next;      /* of this packet */
    uint32_t quiet_ms; /* since it was loud last */
    uint32_t told_ms;  /* since a level was told */
    float floor;       /* rms; 0: nothing was heard yet */
} vp_silence;

/* Against a full sine, as vp_noise_peak has it. */
static inline uint8_t vp_silence_level(float rms) {
    float level = rms > 0.5f ? 20 * log10f(32767 / 1.41421356f / rms) : 127;
    return level < 0 ? 0 : level > 127 ? 127 : (uint8_t)(level + 0.5f);
}

static inline float vp_silence_rms(const int16_t *samples, uint32_t count) {
    int64_t sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += (int32_t)samples[i] * samples[i];
    return sqrtf((float)sum / (float)count);
}

/* Whether the packet is left out. */
static inline bool vp_silence_take(vp_silence *silence, const int16_t *samples, uint32_t count, uint32_t ms) {
    float rms = vp_silence_rms(samples, count);
    float risen = silence->floor * (1 + 0.0003f * (float)ms); /* 2.6 dB in a second */
    silence->floor = silence->floor == 0 || rms < risen ? rms : risen;
    float bound = 2 * silence->floor;
    bound = bound < VP_QUIET_ALWAYS ? VP_QUIET_ALWAYS : bound > VP_QUIET_NEVER ? VP_QUIET_NEVER : bound;
    silence->next = vp_silence_level(rms);
    silence->quiet_ms = rms <= bound ? silence->quiet_ms + ms : 0;
    silence->told_ms += ms;
    bool was_silent = silence->silent;
    silence->silent = silence->quiet_ms > VP_HANGOVER_MS;
    if (silence->silent && !was_silent)
        silence->told_ms = VP_NOISE_EVERY_MS; /* due at once */
    return silence->silent;
}

/* The octet that is due in the place of a packet that was left out; false when none is. */
static inline bool vp_silence_tell(vp_silence *silence, uint8_t *payload) {
    int step = (int)silence->next - silence->level;
    bool changed = step >= VP_NOISE_STEP_DB || step <= -VP_NOISE_STEP_DB;
    if (silence->told_ms < VP_NOISE_EVERY_MS && !(changed && silence->told_ms >= 100))
        return false;
    silence->told_ms = 0;
    silence->level = payload[0] = silence->next;
    return true;
}

#endif
