// Huge pages that are there at once. What the kernel makes of plain pages later (khugepaged) moves them under a running
// event loop, so memory that has its pages is closed to that. Where there are none, it is plain memory.
#ifndef VOIPAT_PAGES_H
#define VOIPAT_PAGES_H

#include <stddef.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20 };

// `memory` and `size` are multiples of a huge page.
static void pages_make(char* memory, size_t size) {
#ifdef MADV_HUGEPAGE
    madvise(memory, size, MADV_HUGEPAGE);
    for (size_t at = 0; at < size; at += HUGE_PAGE) *(volatile char*)(memory + at) = 0;
    madvise(memory, size, MADV_NOHUGEPAGE);
#else
    (void)memory, (void)size;
#endif
}

#endif
