/* Resampling by a ratio of small whole numbers, frame by frame: a Kaiser-windowed low-pass as a bank of phases.
 *
 * Up to 0.85 of the lower Nyquist frequency the signal passes; from that frequency on, what would alias or image is more
 * than 60 dB down. The delay is half the filter: 3.5 ms when the lower rate is 8 kHz. The taps are computed when a
 * resampler is made, by the thread of the verbs; running one is whole-number arithmetic alone.
 */
#ifndef VP_RESAMPLE_H
#define VP_RESAMPLE_H

#include <math.h>
#include <stdlib.h>

#include "pcm.h"

enum {
    VP_RESAMPLE_HALF = 28,   /* taps on either side, in samples of the lower rate */
    VP_RESAMPLE_SHIFT = 14, /* leaves room for the sum of a row's absolute values */
    VP_RESAMPLE_MAX_IN = VP_PCM_RATE_MAX * 120 / 1000, /* samples that one call takes */
};

typedef struct {
    uint32_t from, to; /* samples a second */
    uint32_t up, down, taps; /* taps of one phase */
    uint32_t phase;          /* of the next output sample, in steps of 1/up of an input sample */
    int16_t *bank;    /* up × taps; owned, as `window` */
    int16_t *window;  /* the last taps - 1 samples, then those of this call */
} vp_resampler;

static inline double vp_bessel_i0(double x) {
    double sum = 1, term = 1;
    for (int k = 1; k < 40; k++) {
        term *= (x / (2 * k)) * (x / (2 * k));
        sum += term;
    }
    return sum;
}

/* One row for each place of an output sample between two input samples. */
static inline void vp_resampler_fill(vp_resampler *resampler) {
    const double beta = 6.5, pi = 3.14159265358979323846; /* 68 dB */
    uint32_t up = resampler->up, taps = resampler->taps;
    double edge = resampler->to < resampler->from ? (double)resampler->to / resampler->from : 1;
    double cutoff = edge * 0.925, reach = taps / 2.0; /* in units of the input's Nyquist frequency, input samples */
    for (uint32_t phase = 0; phase < up; phase++) {
        double row[2 * VP_RESAMPLE_HALF * 6 + 2], sum = 0;
        for (uint32_t i = 0; i < taps; i++) {
            double place = (double)i - (taps / 2.0 - 1) - (double)phase / up;
            double inside = 1 - (place / reach) * (place / reach);
            double sinc = fabs(place) < 1e-9 ? cutoff : sin(pi * cutoff * place) / (pi * place);
            row[i] = inside > 0 ? sinc * vp_bessel_i0(beta * sqrt(inside)) : 0;
            sum += row[i];
        }
        for (uint32_t i = 0; i < taps; i++)
            resampler->bank[phase * taps + i] = (int16_t)lrint(row[i] / sum * (1 << VP_RESAMPLE_SHIFT));
    }
}

static inline void vp_resampler_free(vp_resampler *resampler) {
    free(resampler->bank);
    free(resampler->window);
    resampler->bank = resampler->window = NULL;
}

/* 0, or -1 when memory is short. Between equal rates it costs nothing and holds no memory. */
static inline int vp_resampler_init(vp_resampler *resampler, uint32_t from, uint32_t to) {
    uint32_t a = from, b = to;
    memset(resampler, 0, sizeof *resampler);
    resampler->from = from;
    resampler->to = to;
    if (from == to)
        return 0;
    while (b) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    resampler->up = to / a;
    resampler->down = from / a;
    resampler->taps = 2 * VP_RESAMPLE_HALF * (to < from ? (from + to - 1) / to : 1);
    resampler->bank = malloc(resampler->up * resampler->taps * sizeof *resampler->bank);
    resampler->window = calloc(resampler->taps + VP_RESAMPLE_MAX_IN, sizeof *resampler->window);
    if (!resampler->bank || !resampler->window) {
        vp_resampler_free(resampler);
        return -1;
    }
    vp_resampler_fill(resampler);
    return 0;
}

/* What comes next has nothing to do with what came. */
static inline void vp_resampler_reset(vp_resampler *resampler) {
    resampler->phase = 0;
    if (resampler->window)
        memset(resampler->window, 0, (resampler->taps - 1) * sizeof *resampler->window);
}

static inline int16_t vp_resampler_dot(const int16_t *samples, const int16_t *row, uint32_t taps) {
    int32_t sum = 1 << (VP_RESAMPLE_SHIFT - 1);
    for (uint32_t i = 0; i < taps; i++)
        sum += (int32_t)samples[i] * row[i];
    return vp_saturate(sum >> VP_RESAMPLE_SHIFT);
}

/* Takes `count` samples (at most VP_RESAMPLE_MAX_IN) and writes what they make, at most count × to / from + 1; how many. */
static inline uint32_t vp_resample(vp_resampler *resampler, const int16_t *samples, uint32_t count, int16_t *out) {
    if (resampler->from == resampler->to) {
        memcpy(out, samples, count * sizeof *out);
        return count;
    }
    uint32_t taps = resampler->taps, made = 0, at = resampler->phase / resampler->up, phase = resampler->phase % resampler->up;
    int16_t *window = resampler->window;
    memcpy(window + taps - 1, samples, count * sizeof *window);
    while (at < count) {
        out[made++] = vp_resampler_dot(window + at, resampler->bank + phase * taps, taps);
        phase += resampler->down;
        at += phase / resampler->up;
        phase %= resampler->up;
    }
    resampler->phase = (at - count) * resampler->up + phase;
    memmove(window, window + count, (taps - 1) * sizeof *window);
    return made;
}

#endif
