/* Network order, counters that another thread may read, and the assertion of the debug build. */
#ifndef VP_BYTES_H
#define VP_BYTES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static inline uint16_t vp_get16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline uint32_t vp_get24(const uint8_t *p) { return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2]; }
static inline uint32_t vp_get32(const uint8_t *p) { return (uint32_t)p[0] << 24 | vp_get24(p + 1); }

static inline void vp_put16(uint8_t *p, uint16_t value) {
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static inline void vp_put32(uint8_t *p, uint32_t value) {
    vp_put16(p, (uint16_t)(value >> 16));
    vp_put16(p + 2, (uint16_t)value);
}

/* The worker alone writes a counter, the face reads it at any time: relaxed is enough and costs a plain move. */
#define VP_SET(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)
#define VP_READ(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define VP_ADD(field, count) VP_SET(field, (field) + (count))

#ifdef VOIPAT_DEBUG
#define VP_ASSERT(condition)                                                          \
    do {                                                                              \
        if (!(condition)) {                                                           \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition);   \
            abort();                                                                  \
        }                                                                             \
    } while (0)
#else
#define VP_ASSERT(condition) ((void)0)
#endif

#define VP_SECOND 1000000000ULL
#define VP_MILLISECOND 1000000ULL

#endif
