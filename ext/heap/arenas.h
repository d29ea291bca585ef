// Arenas of Python's small objects out of chunks of 2 MiB, so that a chunk takes one entry of the TLB and not 512.
//
// A chunk gets its huge page when it is made, whole. Whether there are huge pages is not asked.
#ifndef VOIPAT_ARENAS_H
#define VOIPAT_ARENAS_H

#include <Python.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "pages.h"

// CPython asks for its frames' stacks here too (16 kB and more): they stay where they were.
enum { CHUNK_SIZE = HUGE_PAGE, ARENA_SIZE = 1 << 20, ARENAS = CHUNK_SIZE / ARENA_SIZE, FULL = (1 << ARENAS) - 1 };
enum { RESERVE = 2, FIRST_CHUNKS = 64 };

typedef struct {
    char* memory;
    unsigned used;  // a bit for each arena
} Chunk;

// Changed under the GIL alone. A chunk is looked for from end to end: 16 bytes a chunk, where an arena is 1 MiB.
static struct {
    PyObjectArenaAllocator before;
    int is_installed;
    Chunk* chunks;
    size_t count, room, spare;  // `spare`: free arenas of chunks
} heap;

// Chunks that a thread has made ready: to zero one takes 0.2 ms, and 5 ms in a virtual machine whose host must find the
// memory first. A process that forks keeps what is ready and makes the next ones itself.
static struct {
    _Atomic(char*) ready[RESERVE];
    sem_t taken;
} reserve;

static char* chunk_map(void) {
    char* memory = mmap(NULL, CHUNK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return NULL;
    if ((uintptr_t)memory % CHUNK_SIZE) {  // kernels align it by themselves since 6.7
        munmap(memory, CHUNK_SIZE);
        char* space = mmap(NULL, 2 * CHUNK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (space == MAP_FAILED) return NULL;
        memory = (char*)(((uintptr_t)space + CHUNK_SIZE - 1) & ~(uintptr_t)(CHUNK_SIZE - 1));
        if (memory > space) munmap(space, (size_t)(memory - space));
        char* end = memory + CHUNK_SIZE;
        if (end < space + 2 * CHUNK_SIZE) munmap(end, (size_t)(space + 2 * CHUNK_SIZE - end));
    }
    int error = errno;
    pages_make(memory, CHUNK_SIZE);
    errno = error;
    return memory;
}

static char* reserve_take(void) {
    for (size_t i = 0; i < RESERVE; i++) {
        char* memory = atomic_exchange(&reserve.ready[i], NULL);
        if (memory) {
            sem_post(&reserve.taken);
            return memory;
        }
    }
    return NULL;
}

static void* reserve_fill(void* unused) {
    (void)unused;
    for (;;) {
        for (size_t i = 0; i < RESERVE; i++) {
            if (atomic_load(&reserve.ready[i])) continue;
            char* memory = chunk_map();
            if (!memory) break;
            atomic_store(&reserve.ready[i], memory);  // nobody else fills it
        }
        while (sem_wait(&reserve.taken) && errno == EINTR) {}
    }
    return NULL;
}

// For one call. Without the thread, chunks are made when they are asked for.
static void reserve_keep(void) {
    if (sem_init(&reserve.taken, 0, 0)) return;
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);  // signals are the main thread's
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (!pthread_create(&thread, NULL, reserve_fill, NULL)) pthread_detach(thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static int heap_has_room(void) {
    if (heap.count < heap.room) return 1;
    size_t room = heap.room ? 2 * heap.room : FIRST_CHUNKS;
    Chunk* chunks = realloc(heap.chunks, room * sizeof *chunks);
    if (!chunks) return 0;
    heap.chunks = chunks;
    heap.room = room;
    return 1;
}

static void* chunk_take(Chunk* chunk) {
    unsigned index = (unsigned)__builtin_ctz(~chunk->used);
    chunk->used |= 1u << index;
    heap.spare--;
    return chunk->memory + index * ARENA_SIZE;
}

static void* heap_take(void) {
    if (heap.spare)
        for (size_t i = 0; i < heap.count; i++)
            if (heap.chunks[i].used != FULL) return chunk_take(&heap.chunks[i]);
    if (!heap_has_room()) return NULL;
    char* memory = reserve_take();
    if (!memory) memory = chunk_map();
    if (!memory) return NULL;
    Chunk* chunk = &heap.chunks[heap.count++];
    *chunk = (Chunk){.memory = memory};
    heap.spare += ARENAS;
    return chunk_take(chunk);
}

static void* arena_alloc(void* context, size_t size) {
    (void)context;
    void* arena = size == ARENA_SIZE ? heap_take() : NULL;
    return arena ? arena : heap.before.alloc(heap.before.ctx, size);
}

static void arena_free(void* context, void* arena, size_t size) {
    (void)context;
    char* memory = (char*)((uintptr_t)arena & ~(uintptr_t)(CHUNK_SIZE - 1));
    for (size_t i = 0; i < heap.count; i++) {
        Chunk* chunk = &heap.chunks[i];
        if (chunk->memory != memory) continue;
        chunk->used &= ~(1u << (size_t)((char*)arena - memory) / ARENA_SIZE);
        heap.spare++;
        if (!chunk->used) {
            // Not half a chunk: that would split its huge page.
            munmap(memory, CHUNK_SIZE);
            heap.spare -= ARENAS;
            *chunk = heap.chunks[--heap.count];
        }
        return;
    }
    heap.before.free(heap.before.ctx, arena, size);
}

static void heap_install(void) {
    PyObject_GetArenaAllocator(&heap.before);
    PyObjectArenaAllocator ours = {NULL, arena_alloc, arena_free};
    heap.is_installed = 1;
    PyObject_SetArenaAllocator(&ours);
}

#endif
