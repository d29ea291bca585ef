/* Keys heard as tones in speech (ITU-T Q.23, Q.24), for peers that send no telephone-events. A sink at 8 kHz.
 *
 * A window of 16 ms moves by half of itself. How far the phase of the loudest tone of each group turns meanwhile tells its
 * frequency to some hertz, which the spectrum of so short a window could not. With both frequencies known, the two tones
 * are taken out of the window (least squares): what is left over is next to nothing for a key and much for a voice, which
 * has harmonics. Three windows in a row begin a key, so that 40 ms are always enough; five without it end it, so that a
 * hole of 10 ms is bridged.
 */
#ifndef VP_KEYTONE_H
#define VP_KEYTONE_H

#include <math.h>

#include "audio.h"

enum { VP_KEYTONE_WINDOW = 128, VP_KEYTONE_HOP = 64, VP_KEYTONE_HITS = 3, VP_KEYTONE_MISSES = 5, VP_KEYTONE_RATE = 8000 };

/* The mean square of both tones together: -36 dBm0. */
#define VP_KEYTONE_QUIET 65000.0f
/* Q.24: 1.5 % beside its frequency is a key, 3.5 % is none. */
#define VP_KEYTONE_BESIDE 0.025f
#define VP_KEYTONE_TWIST 6.6f /* between the powers of the tones: 8 dB, and what a window errs */
/* Of the energy, left over: a key 15 dB above a noise has half of that, a third tone as loud as the others 0.33. */
#define VP_KEYTONE_LEFT 0.06f
/* From one window to the next: a voice glides, a key stands still. */
#define VP_KEYTONE_DRIFT 0.008f /* of its frequency */
#define VP_KEYTONE_SWELL 1.5f  /* of its power */

typedef struct {
    float re, im;
} vp_phasor;

typedef struct {
    vp_sink sink; /* first */
    int16_t samples[VP_KEYTONE_WINDOW];
    uint32_t filled;
    float shape[VP_KEYTONE_WINDOW];
    vp_phasor before[8];           /* of the last window */
    float radians[2], powers[2];   /* of the last window that held two tones, low and high */
    int8_t key, candidate; /* event codes; -1: none */
    uint8_t hits, misses;
    uint32_t windows; /* that the key has lasted */
} vp_keytone;

static const float vp_keytone_hertz[8] = {697, 770, 852, 941, 1209, 1336, 1477, 1633};

static inline float vp_keytone_radians(float hertz) { return 6.28318531f * hertz / VP_KEYTONE_RATE; }

/* Goertzel's filter over the window, shaped so that the other tone does not leak into this one. */
static inline vp_phasor vp_keytone_phasor(const vp_keytone *tone, float radians) {
    float turn = 2 * cosf(radians), before = 0, last = 0;
    for (int i = 0; i < VP_KEYTONE_WINDOW; i++) {
        float now = tone->shape[i] * tone->samples[i] + turn * last - before;
        before = last;
        last = now;
    }
    return (vp_phasor){last - before * cosf(radians), before * sinf(radians)};
}

/* The loudest of four tones and its frequency in radians by how its phase has turned, or -1 when it lies beside. */
static inline int vp_keytone_pick(const vp_keytone *tone, const vp_phasor *found, int first, float *radians) {
    int best = first;
    float most = 0;
    for (int i = first; i < first + 4; i++) {
        float power = found[i].re * found[i].re + found[i].im * found[i].im;
        if (power > most) {
            most = power;
            best = i;
        }
    }
    vp_phasor now = found[best], then = tone->before[best];
    float nominal = vp_keytone_radians(vp_keytone_hertz[best]);
    float turned = atan2f(now.im * then.re - now.re * then.im, now.re * then.re + now.im * then.im);
    float beside = remainderf(turned - nominal * VP_KEYTONE_HOP, 6.28318531f) / VP_KEYTONE_HOP;
    *radians = nominal + beside;
    return fabsf(beside) > VP_KEYTONE_BESIDE * nominal ? -1 : best - first;
}

/* Solves four equations, the right side in the fifth column; they are never singular: the frequencies differ. */
static inline void vp_keytone_solve(float equations[4][5]) {
    for (int pivot = 0; pivot < 4; pivot++)
        for (int row = 0; row < 4; row++) {
            float factor = equations[row][pivot] / equations[pivot][pivot];
            for (int column = pivot; row != pivot && column < 5; column++)
                equations[row][column] -= factor * equations[pivot][column];
        }
    for (int row = 0; row < 4; row++)
        equations[row][4] /= equations[row][row];
}

/* Whether two sines of these frequencies, about as loud as each other, are all there is; their powers are returned. */
static inline bool vp_keytone_fits(const vp_keytone *tone, float low, float high, float energy, float powers[2]) {
    float equations[4][5] = {{0}}, explained = 0, right[4], waves[4];
    for (int i = 0; i < VP_KEYTONE_WINDOW; i++) {
        waves[0] = cosf(low * (float)i), waves[1] = sinf(low * (float)i);
        waves[2] = cosf(high * (float)i), waves[3] = sinf(high * (float)i);
        for (int row = 0; row < 4; row++) {
            for (int column = 0; column < 4; column++)
                equations[row][column] += waves[row] * waves[column];
            equations[row][4] += waves[row] * tone->samples[i];
        }
    }
    for (int row = 0; row < 4; row++)
        right[row] = equations[row][4];
    vp_keytone_solve(equations);
    for (int row = 0; row < 4; row++)
        explained += right[row] * equations[row][4];
    powers[0] = equations[0][4] * equations[0][4] + equations[1][4] * equations[1][4];
    powers[1] = equations[2][4] * equations[2][4] + equations[3][4] * equations[3][4];
    return energy - explained <= VP_KEYTONE_LEFT * energy && powers[0] <= powers[1] * VP_KEYTONE_TWIST
        && powers[1] <= powers[0] * VP_KEYTONE_TWIST;
}

/* Whether the tones are those of the window before. */
static inline bool vp_keytone_is_steady(const vp_keytone *tone, const float radians[2], const float powers[2]) {
    for (int i = 0; i < 2; i++)
        if (fabsf(radians[i] - tone->radians[i]) > VP_KEYTONE_DRIFT * radians[i]
            || powers[i] > tone->powers[i] * VP_KEYTONE_SWELL || tone->powers[i] > powers[i] * VP_KEYTONE_SWELL)
            return false;
    return true;
}

/* The event code of the key in the window, or -1; `steady`: it is as in the window before. */
static inline int vp_keytone_window(vp_keytone *tone, bool *steady) {
    static const int8_t codes[16] = {1, 2, 3, 12, 4, 5, 6, 13, 7, 8, 9, 14, 10, 0, 11, 15};
    vp_phasor found[8];
    float energy = 0, radians[2], powers[2];
    for (int i = 0; i < VP_KEYTONE_WINDOW; i++)
        energy += (float)tone->samples[i] * tone->samples[i];
    if (energy < VP_KEYTONE_QUIET * VP_KEYTONE_WINDOW) {
        memset(tone->before, 0, sizeof tone->before);
        return -1;
    }
    for (int f = 0; f < 8; f++)
        found[f] = vp_keytone_phasor(tone, vp_keytone_radians(vp_keytone_hertz[f]));
    int row = vp_keytone_pick(tone, found, 0, &radians[0]);
    int column = vp_keytone_pick(tone, found, 4, &radians[1]);
    memcpy(tone->before, found, sizeof found);
    if (row < 0 || column < 0 || !vp_keytone_fits(tone, radians[0], radians[1], energy, powers))
        return -1;
    *steady = vp_keytone_is_steady(tone, radians, powers);
    memcpy(tone->radians, radians, sizeof radians);
    memcpy(tone->powers, powers, sizeof powers);
    return codes[row * 4 + column];
}

/* One window further; what has begun or ended is told to the port through the sink. */
static inline void vp_keytone_step(vp_keytone *tone, int found, bool steady) {
    if (tone->key >= 0) {
        tone->windows++;
        tone->misses = found == tone->key ? 0 : (uint8_t)(tone->misses + 1);
        if (tone->misses >= VP_KEYTONE_MISSES) {
            tone->sink.key_up = (uint8_t)(tone->key + 1);
            tone->sink.key_ms = (tone->windows - VP_KEYTONE_MISSES + 1) * VP_KEYTONE_HOP * 1000 / VP_KEYTONE_RATE;
            tone->key = -1;
        }
    }
    bool goes_on = found >= 0 && found == tone->candidate && steady;
    tone->hits = goes_on ? (uint8_t)(tone->hits + (tone->hits < 255)) : found >= 0;
    tone->candidate = (int8_t)found;
    if (tone->key < 0 && tone->hits >= VP_KEYTONE_HITS) {
        tone->key = (int8_t)found;
        tone->misses = 0;
        tone->windows = tone->hits;
        tone->sink.key_down = (uint8_t)(found + 1);
    }
}

static inline void vp_keytone_take(vp_sink *sink, vp_side side, const int16_t *samples, uint32_t count, uint64_t tick) {
    vp_keytone *tone = (vp_keytone *)sink;
    (void)side;
    (void)tick;
    for (uint32_t i = 0; i < count; i++) {
        tone->samples[tone->filled++] = samples[i];
        if (tone->filled < VP_KEYTONE_WINDOW)
            continue;
        bool steady = false;
        int found = vp_keytone_window(tone, &steady);
        vp_keytone_step(tone, found, steady);
        memmove(tone->samples, tone->samples + VP_KEYTONE_HOP, sizeof tone->samples / 2);
        tone->filled = VP_KEYTONE_WINDOW - VP_KEYTONE_HOP;
    }
}

static inline void vp_keytone_release(vp_sink *sink) { free(sink); }

/* NULL when memory is short. */
static inline vp_sink *vp_keytone_new(uint32_t id) {
    vp_keytone *tone = calloc(1, sizeof *tone);
    if (!tone)
        return NULL;
    for (int i = 0; i < VP_KEYTONE_WINDOW; i++)
        tone->shape[i] = 0.5f - 0.5f * cosf(6.28318531f * ((float)i + 0.5f) / VP_KEYTONE_WINDOW);
    tone->key = tone->candidate = -1;
    tone->sink.id = id;
    tone->sink.rate = VP_KEYTONE_RATE;
    tone->sink.sides = VP_HEARD;
    tone->sink.take = vp_keytone_take;
    tone->sink.release = vp_keytone_release;
    return &tone->sink;
}

#endif
