/* Times in a log-linear histogram: each value is kept to within 1/128 of itself, from 1 µs to an hour, in fixed memory. */
#ifndef LD_HISTOGRAM_H
#define LD_HISTOGRAM_H

#include <stdint.h>

enum { LD_SUB_BITS = 7, LD_SUB = 1 << LD_SUB_BITS, LD_OCTAVES = 26, LD_BUCKETS = LD_SUB * (LD_OCTAVES + 1) };

typedef struct {
    uint64_t count, sum_us, max_us;
    uint64_t buckets[LD_BUCKETS];
} ld_histogram;

static inline uint32_t ld_bucket(uint64_t us) {
    if (us < 2 * LD_SUB)
        return (uint32_t)us;
    uint32_t shift = 63u - (uint32_t)__builtin_clzll(us) - LD_SUB_BITS;
    uint32_t bucket = shift * LD_SUB + (uint32_t)(us >> shift);
    return bucket < LD_BUCKETS ? bucket : LD_BUCKETS - 1;
}

/* The highest value that falls into the bucket. */
static inline uint64_t ld_bucket_top(uint32_t bucket) {
    if (bucket < 2 * LD_SUB)
        return bucket;
    uint32_t shift = bucket / LD_SUB - 1;
    return ((uint64_t)(bucket - shift * LD_SUB + 1) << shift) - 1;
}

static inline void ld_histogram_add(ld_histogram *histogram, uint64_t ns) {
    uint64_t us = ns / 1000;
    histogram->count++;
    histogram->sum_us += us;
    if (us > histogram->max_us)
        histogram->max_us = us;
    histogram->buckets[ld_bucket(us)]++;
}

#endif
