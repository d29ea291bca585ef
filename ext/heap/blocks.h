// What malloc hands out next, on huge pages: code, types, dictionaries and all other objects above 512 bytes.
//
// glibc has a switch for it (glibc.malloc.hugetlb), read from the environment when a process starts, which leaves the
// kernel to move pages at any time. Here the part of the heap that the start of the program will fill is made at once
// and in one piece. Other C libraries take large blocks from elsewhere: then nothing is changed.
#ifndef VOIPAT_BLOCKS_H
#define VOIPAT_BLOCKS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    PAGE_2M = 2 << 20,
    // The most that glibc takes from its heap in one piece is 32 MiB.
    BLOCKS_SIZE = 31 << 20,
    PIN_SIZE = 1 << 18,
    AHEAD = 2,
    // To set the first is to set both: glibc guesses neither any more. Blocks above it are mapped one by one.
    MMAP_THRESHOLD = 1 << 20,
    TRIM_THRESHOLD = 4 << 20
};

static struct {
    char *start, *end;  // whole huge pages; NULL when there are none
} blocks;

static void blocks_open(void) {
#if defined(__GLIBC__) && defined(MADV_HUGEPAGE)
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    char* before = sbrk(0);
    char* block = malloc(BLOCKS_SIZE);
    // Stays, and so large that it lies above the block: what is free at the end of the heap would be given back.
    char* volatile pin = malloc(PIN_SIZE);
    char* after = sbrk(0);
    mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
    mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD);
    if (block && pin > block && pin < after && block + BLOCKS_SIZE > before) {
        uintptr_t start = (uintptr_t)(block > before ? block : before) + PAGE_2M - 1;
        blocks.start = (char*)(start & ~(uintptr_t)(PAGE_2M - 1));
        blocks.end = (char*)((uintptr_t)(block + BLOCKS_SIZE) & ~(uintptr_t)(PAGE_2M - 1));
        madvise(blocks.start, (size_t)(blocks.end - blocks.start), MADV_HUGEPAGE);
    }
    if (!blocks.start) free(pin);
    free(block);
#endif
}

// Makes the first huge pages that nothing was written to yet, and closes the rest to them.
static void blocks_settle(void) {
    if (!blocks.start) return;
#ifdef MADV_HUGEPAGE
    int ahead = AHEAD;
    for (char* page = blocks.start; ahead && page < blocks.end; page += PAGE_2M) {
        unsigned char is_there;
        if (mincore(page, 1, &is_there)) break;
        if (is_there & 1) continue;
        atomic_fetch_or((_Atomic(char)*)page, 0);  // written, not changed: another thread may be there by now
        ahead--;
    }
    madvise(blocks.start, (size_t)(blocks.end - blocks.start), MADV_NOHUGEPAGE);
#endif
}

#endif
