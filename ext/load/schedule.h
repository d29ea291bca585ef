/* What is due when: a binary heap of (time, what, whose). An entry that its owner no longer waits for is told by its turn. */
#ifndef LD_SCHEDULE_H
#define LD_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct {
    uint64_t due;
    uint32_t slot, turn;
} ld_entry;

typedef struct {
    ld_entry *entries;
    uint32_t count, room;
} ld_heap;

static bool ld_heap_add(ld_heap *heap, uint64_t due, uint32_t slot, uint32_t turn) {
    if (heap->count == heap->room) {
        uint32_t room = heap->room ? 2 * heap->room : 1024;
        ld_entry *more = realloc(heap->entries, room * sizeof *more);
        if (!more)
            return false;
        heap->entries = more, heap->room = room;
    }
    uint32_t at = heap->count++;
    while (at && heap->entries[(at - 1) / 2].due > due) {
        heap->entries[at] = heap->entries[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap->entries[at] = (ld_entry){due, slot, turn};
    return true;
}

/* Takes the first one when it is due. */
static bool ld_heap_take(ld_heap *heap, uint64_t now, ld_entry *taken) {
    if (!heap->count || heap->entries[0].due > now)
        return false;
    *taken = heap->entries[0];
    ld_entry last = heap->entries[--heap->count];
    uint32_t at = 0;
    for (uint32_t child; (child = 2 * at + 1) < heap->count; at = child) {
        if (child + 1 < heap->count && heap->entries[child + 1].due < heap->entries[child].due)
            child++;
        if (heap->entries[child].due >= last.due)
            break;
        heap->entries[at] = heap->entries[child];
    }
    heap->entries[at] = last;
    return true;
}

#endif
