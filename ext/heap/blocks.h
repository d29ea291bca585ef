// What malloc hands out next, on huge pages: code, types, dictionaries and all other objects above 512 bytes.
//
// glibc has a switch for it (glibc.malloc.hugetlb), read from the environment when a process starts, which leaves the
// kernel to join pages at any time. Here as much as the start of the daemon fills is made at once. Other C libraries take
// large blocks from elsewhere: then nothing is changed.
#ifndef VOIPAT_BLOCKS_H
#define VOIPAT_BLOCKS_H

#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "pages.h"

enum {
    // Objects of a daemon with 5,000 extensions take 18 MiB, at the beginning 2 MiB are lost to the alignment.
    BLOCKS_SIZE = 26 << 20,
    // What is free is in pieces: a table of the media engine that is mostly empty shall not be cleared in here, but
    // be memory of its own, as are all blocks above the threshold.
    PIECE_SIZE = 1 << 20,
    PIECES = BLOCKS_SIZE / PIECE_SIZE - 1,
    BETWEEN = 4096,
    MOST_MMAP_THRESHOLD = 32 << 20,
    TRIM_THRESHOLD = 4 << 20
};

static void blocks_cut(void) {
    void* pieces[PIECES];
    for (int i = 0; i < PIECES; i++) {
        pieces[i] = malloc(PIECE_SIZE - 2 * BETWEEN);
        void* volatile between = malloc(BETWEEN);  // stays
        (void)between;
    }
    for (int i = 0; i < PIECES; i++) free(pieces[i]);
}

static void blocks_open(void) {
#if defined(__GLIBC__) && defined(MADV_HUGEPAGE)
    mallopt(M_MMAP_THRESHOLD, MOST_MMAP_THRESHOLD);
    char* block = malloc(BLOCKS_SIZE);
    // Stays, and so large that it lies above the block: what is free at the end of the heap would be given back.
    char* volatile end = malloc(PIECE_SIZE / 4);
    if (block && end > block && end < (char*)sbrk(0)) {
        char* start = (char*)(((uintptr_t)block + HUGE_PAGE) & ~(uintptr_t)(HUGE_PAGE - 1));
        size_t size = (size_t)(block + BLOCKS_SIZE - start) & ~(size_t)(HUGE_PAGE - 1);
        pages_make(start, size);
        free(block);
        blocks_cut();
    } else {
        free(end);
        free(block);
    }
    // One that is set ends glibc's guesses at both.
    mallopt(M_MMAP_THRESHOLD, PIECE_SIZE);
    mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD);
#endif
}

#endif
