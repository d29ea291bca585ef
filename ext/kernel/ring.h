/* A bounded ring of fixed-size records between one producer thread and one consumer thread; full is the producer's to count.
 * Cursors run freely and are masked on use; each sits on its own cache line. */
#ifndef VP_RING_H
#define VP_RING_H

#include <stdbool.h>
#include <string.h>

#include "bytes.h"

typedef struct {
    uint8_t *records; /* owned: freed by vp_ring_free */
    uint32_t mask;
    uint32_t size;
    _Alignas(64) uint32_t head; /* written by the producer */
    _Alignas(64) uint32_t tail; /* written by the consumer */
} vp_ring;

/* `count` is a power of two. -1 when memory is short. */
static inline int vp_ring_init(vp_ring *ring, uint32_t count, uint32_t size) {
    memset(ring, 0, sizeof *ring);
    ring->records = malloc((size_t)count * size);
    ring->mask = count - 1;
    ring->size = size;
    return ring->records ? 0 : -1;
}

static inline void vp_ring_free(vp_ring *ring) {
    free(ring->records);
    ring->records = NULL;
}

static inline bool vp_ring_push(vp_ring *ring, const void *record) {
    uint32_t head = ring->head;
    if (head - __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE) > ring->mask)
        return false;
    memcpy(ring->records + (size_t)(head & ring->mask) * ring->size, record, ring->size);
    __atomic_store_n(&ring->head, head + 1, __ATOMIC_RELEASE);
    return true;
}

static inline bool vp_ring_pop(vp_ring *ring, void *record) {
    uint32_t tail = ring->tail;
    if (tail == __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE))
        return false;
    memcpy(record, ring->records + (size_t)(tail & ring->mask) * ring->size, ring->size);
    __atomic_store_n(&ring->tail, tail + 1, __ATOMIC_RELEASE);
    return true;
}

/* Asked by the consumer, or by anyone who only wants a hint. */
static inline bool vp_ring_empty(const vp_ring *ring) {
    return __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE) == __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
}

#endif
