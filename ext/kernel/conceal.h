/* What is heard where packets are missing, and sound made a little shorter or longer: both repeat or leave out whole
 * periods of the pitch, so that a tone goes on without a step.
 *
 * Concealment follows G.711 Appendix I: the last period again and again, in full for 10 ms, then fading by 20 % each
 * 10 ms to silence at 60 ms, so that a long gap is silence and no robot. What comes after it is cross-faded in.
 */
#ifndef VP_CONCEAL_H
#define VP_CONCEAL_H

#include "pcm.h"

enum {
    /* In samples of 8 kHz, which `scale` multiplies. */
    VP_PITCH_MIN = 40,  /* 5 ms: 200 Hz; a higher voice is found at a multiple of its period */
    VP_PITCH_MAX = 120, /* 15 ms: 66 Hz */
    VP_PITCH_SPAN = 160,
    VP_JOIN = 40,          /* 5 ms of cross-fade */
    VP_FULL = 80,          /* concealed at full level */
    VP_FADED = 480,        /* silent from here on */
    VP_HISTORY = VP_PITCH_SPAN + VP_PITCH_MAX,
    VP_SCALE_MAX = VP_PCM_RATE_MAX / 8000,
    VP_LANES = 8,
};

typedef struct {
    uint32_t scale; /* rate / 8000 */
    uint32_t run;   /* samples concealed in a row; 0: none */
    uint32_t lag;   /* of the period */
    uint32_t at;    /* in the period */
    int16_t history[VP_HISTORY * VP_SCALE_MAX];
    int16_t period[VP_PITCH_MAX * VP_SCALE_MAX];
} vp_conceal;

static inline uint32_t vp_history(const vp_conceal *conceal) { return VP_HISTORY * conceal->scale; }

/* The last sounds that were put out. */
static inline void vp_conceal_remember(vp_conceal *conceal, const int16_t *samples, uint32_t count) {
    uint32_t all = vp_history(conceal);
    if (count >= all) {
        memcpy(conceal->history, samples + count - all, all * sizeof *samples);
        return;
    }
    memmove(conceal->history, conceal->history + count, (all - count) * sizeof *samples);
    memcpy(conceal->history + all - count, samples, count * sizeof *samples);
}

/* Every `step`th of the samples, so that `count` are left. */
static inline void vp_thin_out(float *thin, const int16_t *samples, uint32_t count, uint32_t step) {
    for (uint32_t i = 0; i < count; i++)
        thin[i] = samples[i * step];
}

/* `count` is a multiple of VP_LANES: sums of their own, which the compiler may keep in one register. */
static inline float vp_dot(const float *one, const float *other, uint32_t count) {
    float sums[VP_LANES] = {0}, sum = 0;
    for (uint32_t i = 0; i < count; i += VP_LANES)
        for (uint32_t lane = 0; lane < VP_LANES; lane++)
            sums[lane] += one[i + lane] * other[i + lane];
    for (uint32_t lane = 0; lane < VP_LANES; lane++)
        sum += sums[lane];
    return sum;
}

/* How alike `span` samples of the power `power` here and others there are: 0 to 1, 0 when they are opposed. */
static inline float vp_likeness(const float *here, const float *there, uint32_t span, float power) {
    float cross = vp_dot(here, there, span);
    return cross > 0 ? cross * cross / ((power + 1) * (vp_dot(there, there, span) + 1)) : 0;
}

/* The lag, in samples, at which the last VP_PITCH_SPAN × scale samples before `end` are most like those before them: coarse at
 * 8 kHz, then to the sample. */
static inline uint32_t vp_pitch_before(const int16_t *end, uint32_t scale) {
    float thin[VP_HISTORY], between[VP_PITCH_SPAN], likeness = -1;
    const float *here = thin + VP_PITCH_MAX;
    uint32_t coarse = VP_PITCH_MAX, best;
    vp_thin_out(thin, end - VP_HISTORY * scale, VP_HISTORY, scale);
    float power = vp_dot(here, here, VP_PITCH_SPAN);
    for (uint32_t lag = VP_PITCH_MIN; lag <= VP_PITCH_MAX; lag++) {
        float found = vp_likeness(here, here - lag, VP_PITCH_SPAN, power);
        if (found > likeness) {
            likeness = found;
            coarse = lag;
        }
    }
    best = coarse * scale;
    for (uint32_t lag = coarse * scale - scale + 1; lag < coarse * scale + scale; lag++) {
        if (lag < VP_PITCH_MIN * scale || lag > VP_PITCH_MAX * scale || lag % scale == 0)
            continue;
        vp_thin_out(between, end - VP_PITCH_SPAN * scale - lag, VP_PITCH_SPAN, scale);
        float found = vp_likeness(here, between, VP_PITCH_SPAN, power);
        if (found > likeness) {
            likeness = found;
            best = lag;
        }
    }
    return best;
}

/* The last period, its end faded into what came before its start: it can be repeated without a step. */
static inline void vp_conceal_begin(vp_conceal *conceal) {
    const int16_t *end = conceal->history + vp_history(conceal);
    conceal->lag = vp_pitch_before(end, conceal->scale);
    uint32_t lag = conceal->lag, join = lag / 4;
    memcpy(conceal->period, end - lag, lag * sizeof *end);
    vp_crossfade(conceal->period + lag - join, end - join, end - lag - join, join);
    conceal->at = 0;
}

/* 0 to 256. */
static inline int32_t vp_conceal_gain(const vp_conceal *conceal, uint32_t run) {
    uint32_t full = VP_FULL * conceal->scale, faded = VP_FADED * conceal->scale;
    if (run <= full)
        return 256;
    return run >= faded ? 0 : (int32_t)((faded - run) * 256 / (faded - full));
}

/* `count` samples in the place of missing ones. */
static inline void vp_conceal_make(vp_conceal *conceal, int16_t *samples, uint32_t count) {
    if (conceal->run == 0)
        vp_conceal_begin(conceal);
    for (uint32_t i = 0; i < count; i++) {
        samples[i] = (int16_t)(conceal->period[conceal->at] * vp_conceal_gain(conceal, conceal->run) / 256);
        conceal->at = conceal->at + 1 < conceal->lag ? conceal->at + 1 : 0;
        if (conceal->run < UINT32_MAX)
            conceal->run++;
    }
}

/* The first samples after concealed ones are faded in from where those would have gone on. */
static inline void vp_conceal_join(vp_conceal *conceal, int16_t *samples, uint32_t count) {
    int16_t synthetic[VP_JOIN * VP_SCALE_MAX];
    uint32_t join = VP_JOIN * conceal->scale;
    if (conceal->run == 0)
        return;
    if (join > count)
        join = count;
    vp_conceal_make(conceal, synthetic, join);
    vp_crossfade(samples, synthetic, samples, join);
    conceal->run = 0;
}

/* Shorter or longer by one period, when the sound at the start of `samples` allows it: what it looks at is
 * VP_STRETCH_SPAN × scale samples. */
#define VP_ALIKE 0.8f
enum { VP_STRETCH_SPAN = 2 * VP_PITCH_MAX + 80 };

/* The period after which the sound of `count` samples repeats; 0 when it does not, so that leaving one out would be heard.
 * Of what is quiet, any period may be left out. In `haste` the longest that will do is taken, and not the best. */
static inline uint32_t vp_stretch_period(const int16_t *samples, uint32_t count, uint32_t scale, bool haste) {
    enum { SPAN = 80, QUIET = 50 * 50, REACH = SPAN + VP_PITCH_MAX };
    float here[SPAN], there[REACH], likeness = -1;
    uint32_t best = 0, longest = VP_PITCH_MAX * scale, step = scale > 1 ? scale / 2 : 1;
    if (count < (VP_PITCH_MIN * 2 + SPAN) * scale)
        return 0;
    if (longest > count / 2)
        longest = count / 2;
    if (longest > count - SPAN * scale)
        longest = count - SPAN * scale;
    if (vp_power(samples, count < VP_STRETCH_SPAN * scale ? count : VP_STRETCH_SPAN * scale) < QUIET)
        return VP_PITCH_MIN * 2 * scale <= longest ? VP_PITCH_MIN * 2 * scale : 0;
    vp_thin_out(here, samples, SPAN, scale);
    float power = vp_dot(here, here, SPAN);
    for (uint32_t phase = 0; phase < scale; phase += step) {
        uint32_t lags = longest >= phase ? (longest - phase) / scale : 0;
        vp_thin_out(there, samples + phase, lags + SPAN < REACH ? lags + SPAN : REACH, scale);
        for (uint32_t lag = VP_PITCH_MIN; lag <= lags; lag++) {
            float found = vp_likeness(here, there + lag, SPAN, power);
            uint32_t at = lag * scale + phase;
            if (haste && likeness > VP_ALIKE ? found > VP_ALIKE && at > best : found > likeness) {
                likeness = found;
                best = at;
            }
        }
    }
    return likeness > VP_ALIKE ? best : 0;
}

/* Takes one period out of `count` samples; how many are left. */
static inline uint32_t vp_shorten(int16_t *samples, uint32_t count, uint32_t period) {
    vp_crossfade(samples, samples, samples + period, period);
    memmove(samples + period, samples + 2 * period, (count - 2 * period) * sizeof *samples);
    return count - period;
}

/* Puts one more period into `count` samples, for which there must be room; how many there are then. */
static inline uint32_t vp_lengthen(int16_t *samples, uint32_t count, uint32_t period) {
    int16_t again[VP_PITCH_MAX * VP_SCALE_MAX];
    vp_crossfade(again, samples + period, samples, period);
    memmove(samples + 2 * period, samples + period, (count - period) * sizeof *samples);
    memcpy(samples + period, again, period * sizeof *samples);
    return count + period;
}

#endif
