/* G.722 at 64 kbit/s (ITU-T G.722, 11/88): 16 kHz samples to octets of two bands and back, bit-exact.
 *
 * The names of the steps are the standard's (§3 and its block diagrams): each band is an ADPCM coder with two poles and six
 * zeros, adapted by signs; quadrature mirror filters split and join the bands.
 */
#ifndef VP_G722_H
#define VP_G722_H

#include "pcm.h"

enum { VP_G722_RATE = 16000, VP_G722_LOW_MAX = 18432, VP_G722_HIGH_MAX = 22528 };

typedef struct {
    int32_t s, sp, sz; /* the prediction, of its poles, of its zeros */
    int32_t r[3], a[3], ap[3], p[3];
    int32_t d[7], b[7], bp[7];
    int32_t nb, det; /* the logarithmic and the linear scale of the quantizer */
} vp_g722_band;

typedef struct {
    vp_g722_band low, high;
    int32_t x[24]; /* of the mirror filters */
} vp_g722;

static const int32_t vp_g722_qmf[12] = {3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11};
static const int32_t vp_g722_ilb[32] = {2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543,
                                        2599, 2656, 2714, 2774, 2834, 2896, 2960, 3025, 3091, 3158, 3228,
                                        3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008};
static const int32_t vp_g722_q6[30] = {0,   35,  72,  110, 150, 190, 233,  276,  323,  370,  422,  473,  530,  587,  650,
                                       714, 786, 858, 940, 1023, 1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919};
static const int32_t vp_g722_qm4[16] = {0,     -20456, -12896, -8968, -6288, -4240, -2584, -1200,
                                        20456, 12896,  8968,   6288,  4240,  2584,  1200,  0};
static const int32_t vp_g722_qm2[4] = {-7408, -1616, 7408, 1616};
static const int32_t vp_g722_qm6[64] = {
    -136,  -136,  -136,  -136,  -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232,
    -9360, -8576, -7856, -7192, -6576,  -6000,  -5456,  -4944,  -4464,  -4008,  -3576,  -3168,  -2776,
    -2400, -2032, -1688, -1360, -1040,  -728,   24808,  21904,  19008,  16704,  14984,  13512,  12280,
    11192, 10232, 9360,  8576,  7856,   7192,   6576,   6000,   5456,   4944,   4464,   4008,   3576,
    3168,  2776,  2400,  2032,  1688,   1360,   1040,   728,    432,    136,    -432,   -136};

static inline void vp_g722_init(vp_g722 *state) {
    memset(state, 0, sizeof *state);
    state->low.det = 32;
    state->high.det = 8;
}

/* UPPOL2 and UPPOL1: the coefficients of the poles. */
static inline void vp_g722_adapt_poles(vp_g722_band *band) {
    int32_t first = vp_saturate(band->a[1] * 4);
    bool same = band->p[0] >> 15 == band->p[1] >> 15, same2 = band->p[0] >> 15 == band->p[2] >> 15;
    int32_t toward = same ? -first : first;
    int32_t second = (same2 ? 128 : -128) + ((toward > 32767 ? 32767 : toward) >> 7) + ((band->a[2] * 32512) >> 15);
    band->ap[2] = second > 12288 ? 12288 : second < -12288 ? -12288 : second;
    int32_t limit = vp_saturate(15360 - band->ap[2]);
    int32_t pole = vp_saturate((same ? 192 : -192) + ((band->a[1] * 32640) >> 15));
    band->ap[1] = pole > limit ? limit : pole < -limit ? -limit : pole;
}

/* UPZERO, DELAYA: the coefficients of the zeros, and everything one sample older. */
static inline void vp_g722_adapt_zeros(vp_g722_band *band) {
    int32_t step = band->d[0] == 0 ? 0 : 128;
    for (int i = 6; i >= 1; i--) {
        int32_t toward = band->d[i] >> 15 == band->d[0] >> 15 ? step : -step;
        band->b[i] = vp_saturate(toward + ((band->b[i] * 32640) >> 15));
        band->d[i] = band->d[i - 1];
    }
    for (int i = 2; i >= 1; i--) {
        band->r[i] = band->r[i - 1];
        band->p[i] = band->p[i - 1];
        band->a[i] = band->ap[i];
    }
}

/* The band takes its quantized difference, and predicts the next sample: block 4. */
static inline void vp_g722_predict(vp_g722_band *band, int32_t difference) {
    band->d[0] = difference;
    band->r[0] = vp_saturate(band->s + difference);
    band->p[0] = vp_saturate(band->sz + difference);
    vp_g722_adapt_poles(band);
    vp_g722_adapt_zeros(band);
    int32_t one = (band->a[1] * vp_saturate(2 * band->r[1])) >> 15, two = (band->a[2] * vp_saturate(2 * band->r[2])) >> 15;
    band->sp = vp_saturate(one + two);
    band->sz = 0;
    for (int i = 6; i >= 1; i--)
        band->sz += (band->b[i] * vp_saturate(2 * band->d[i])) >> 15;
    band->sz = vp_saturate(band->sz);
    band->s = vp_saturate(band->sp + band->sz);
}

/* LOGSCL and SCALEL: the scale for the next sample. */
static inline void vp_g722_scale(vp_g722_band *band, int32_t weight, int32_t most, int shift) {
    int32_t scale = ((band->nb * 127) >> 7) + weight;
    band->nb = scale < 0 ? 0 : scale > most ? most : scale;
    int32_t mantissa = vp_g722_ilb[(band->nb >> 6) & 31];
    int down = shift - (band->nb >> 11);
    band->det = (down < 0 ? mantissa << -down : mantissa >> down) * 4;
}

/* By the four bits of the low band that a 48 kbit/s decoder has: both ends adapt alike whatever was stolen. */
static inline void vp_g722_step_low(vp_g722_band *band, uint32_t code) {
    static const int32_t weights[8] = {-60, -30, 58, 172, 334, 538, 1198, 3042};
    static const uint8_t level[16] = {0, 7, 6, 5, 4, 3, 2, 1, 7, 6, 5, 4, 3, 2, 1, 0};
    int32_t difference = (band->det * vp_g722_qm4[code]) >> 15;
    vp_g722_scale(band, weights[level[code]], VP_G722_LOW_MAX, 8);
    vp_g722_predict(band, difference);
}

static inline int32_t vp_g722_step_high(vp_g722_band *band, uint32_t code) {
    static const int32_t weights[4] = {798, -214, 798, -214};
    int32_t difference = (band->det * vp_g722_qm2[code]) >> 15;
    vp_g722_scale(band, weights[code], VP_G722_HIGH_MAX, 10);
    vp_g722_predict(band, difference);
    return difference;
}

static inline uint32_t vp_g722_quantize_low(const vp_g722_band *band, int32_t sample) {
    int32_t error = vp_saturate(sample - band->s), magnitude = error >= 0 ? error : -(error + 1);
    uint32_t level = 1;
    while (level < 30 && magnitude >= (vp_g722_q6[level] * band->det) >> 12)
        level++;
    if (error >= 0)
        return 62 - level; /* 61 .. 32 */
    return level < 3 ? 64 - level : 34 - level; /* 63, 62, 31 .. 4 */
}

static inline uint32_t vp_g722_quantize_high(const vp_g722_band *band, int32_t sample) {
    int32_t error = vp_saturate(sample - band->s), magnitude = error >= 0 ? error : -(error + 1);
    bool far = magnitude >= (564 * band->det) >> 12;
    return error < 0 ? (far ? 0 : 1) : far ? 2 : 3;
}

/* `count` is even; half as many octets. */
static inline void vp_g722_encode(vp_g722 *state, const int16_t *samples, uint32_t count, uint8_t *codes) {
    for (uint32_t at = 0; at + 1 < count; at += 2) {
        int32_t odd = 0, even = 0;
        memmove(state->x, state->x + 2, 22 * sizeof *state->x);
        state->x[22] = samples[at];
        state->x[23] = samples[at + 1];
        for (int i = 0; i < 12; i++) {
            odd += state->x[2 * i] * vp_g722_qmf[i];
            even += state->x[2 * i + 1] * vp_g722_qmf[11 - i];
        }
        uint32_t low = vp_g722_quantize_low(&state->low, (even + odd) >> 14);
        uint32_t high = vp_g722_quantize_high(&state->high, (even - odd) >> 14);
        vp_g722_step_low(&state->low, low >> 2);
        vp_g722_step_high(&state->high, high);
        codes[at / 2] = (uint8_t)(high << 6 | low);
    }
}

static inline int32_t vp_g722_limit(int32_t value) { return value > 16383 ? 16383 : value < -16384 ? -16384 : value; }

/* Two samples of each octet. */
static inline void vp_g722_decode(vp_g722 *state, const uint8_t *codes, uint32_t count, int16_t *samples) {
    for (uint32_t at = 0; at < count; at++) {
        uint32_t code = codes[at] & 0x3f;
        int32_t low = vp_g722_limit(state->low.s + ((state->low.det * vp_g722_qm6[code]) >> 15));
        int32_t before = state->high.s;
        vp_g722_step_low(&state->low, code >> 2);
        int32_t high = vp_g722_limit(before + vp_g722_step_high(&state->high, codes[at] >> 6));
        int32_t first = 0, second = 0;
        memmove(state->x, state->x + 2, 22 * sizeof *state->x);
        state->x[22] = low + high;
        state->x[23] = low - high;
        for (int i = 0; i < 12; i++) {
            second += state->x[2 * i] * vp_g722_qmf[i];
            first += state->x[2 * i + 1] * vp_g722_qmf[11 - i];
        }
        samples[2 * at] = vp_saturate(first >> 11);
        samples[2 * at + 1] = vp_saturate(second >> 11);
    }
}

#endif
