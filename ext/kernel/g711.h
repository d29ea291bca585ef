/* G.711, bit-exact with ITU-T G.191 (STL): 16-bit linear samples to µ-law and A-law codes and back.
 *
 * Negative samples are mirrored by one's complement, as the STL does: no magnitude of its own for -32768, and an even
 * number of samples on both sides of zero.
 */
#ifndef VP_G711_H
#define VP_G711_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* (segment + `bias`) << 4 and the four bits below the highest one, for 0 < value < 2^24: they are exponent and mantissa of
 * the float. No shift depends on the value, so that a loop of it runs on vectors. */
static inline int vp_g711_code(int value, int bias) {
    union {
        float number;
        int32_t bits;
    } as = {.number = (float)value};
    return (as.bits >> 19) - ((127 + bias) << 4);
}

/* The way back, from segment and four bits: the middle of what has this code, times 2^(segment + 7). */
static inline int vp_g711_middle(int plain) {
    union {
        int32_t bits;
        float number;
    } as = {.bits = (plain + ((127 + 7) << 4)) << 19 | 1 << 18};
    return (int)as.number;
}

static inline uint8_t vp_ulaw_encode(int16_t sample) {
    int magnitude = ((sample < 0 ? ~sample : sample) >> 2) + 33; /* 14 bits, with the bias that makes segments of it */
    if (magnitude > 0x1fff)
        magnitude = 0x1fff;
    return (uint8_t)((sample < 0 ? 0x7f : 0xff) ^ vp_g711_code(magnitude, 5));
}

static inline int16_t vp_ulaw_decode(uint8_t code) {
    int magnitude = vp_g711_middle(~code & 0x7f) - 0x84;
    return (int16_t)(code & 0x80 ? magnitude : -magnitude);
}

static inline uint8_t vp_alaw_encode(int16_t sample) {
    int code = (sample < 0 ? ~sample : sample) >> 4; /* 11 bits; the two lowest segments are linear */
    code = code > 31 ? vp_g711_code(code, 3) : code;
    return (uint8_t)((sample < 0 ? 0x00 : 0x80) ^ code ^ 0x55);
}

static inline int16_t vp_alaw_decode(uint8_t code) {
    int plain = (code ^ 0x55) & 0x7f;
    int magnitude = plain > 15 ? vp_g711_middle(plain) : (plain << 4) + 8;
    return (int16_t)(code & 0x80 ? magnitude : -magnitude);
}

static inline void vp_ulaw_encode_all(const int16_t *samples, uint8_t *codes, size_t count) {
    for (size_t i = 0; i < count; i++)
        codes[i] = vp_ulaw_encode(samples[i]);
}

static inline void vp_ulaw_decode_all(const uint8_t *codes, int16_t *samples, size_t count) {
    for (size_t i = 0; i < count; i++)
        samples[i] = vp_ulaw_decode(codes[i]);
}

static inline void vp_alaw_encode_all(const int16_t *samples, uint8_t *codes, size_t count) {
    for (size_t i = 0; i < count; i++)
        codes[i] = vp_alaw_encode(samples[i]);
}

static inline void vp_alaw_decode_all(const uint8_t *codes, int16_t *samples, size_t count) {
    for (size_t i = 0; i < count; i++)
        samples[i] = vp_alaw_decode(codes[i]);
}

typedef enum { VP_TRANSLATE_NOTHING, VP_TRANSLATE_TO_ALAW, VP_TRANSLATE_TO_ULAW } vp_translation;

/* Codes of one law become those of the other, by way of the samples. */
static inline void vp_g711_translate(uint8_t *codes, size_t count, bool to_alaw) {
    for (size_t i = 0; i < count; i++)
        codes[i] = to_alaw ? vp_alaw_encode(vp_ulaw_decode(codes[i])) : vp_ulaw_encode(vp_alaw_decode(codes[i]));
}

#endif
