/* The wallclock of one process, moved by the nanoseconds in the file that VOIPAT_CLOCK names: 8 bytes, little endian. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

static int (*real_clock)(clockid_t, struct timespec *);
static const volatile int64_t *set_by;

__attribute__((constructor)) static void begin(void)
{
    real_clock = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("VOIPAT_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *page = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *set_by, PROT_READ, MAP_SHARED, file, 0);
    set_by = page == MAP_FAILED ? NULL : page;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = real_clock(clock, now);
    if (result == 0 && clock == CLOCK_REALTIME && set_by) {
        int64_t moved = now->tv_sec * INT64_C(1000000000) + now->tv_nsec + *set_by;
        now->tv_sec = moved / 1000000000;
        now->tv_nsec = moved % 1000000000;
    }
    return result;
}
