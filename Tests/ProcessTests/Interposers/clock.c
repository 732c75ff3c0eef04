// Preloaded into the program with LD_PRELOAD: each reading of Swift's continuous clock, CLOCK_BOOTTIME, is eleven
// seconds later than the previous one. Output for long work only then appears for short work, too.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*next)(clockid_t, struct timespec *);
    static atomic_long looks;
    if (next == NULL) *(void **)&next = dlsym(RTLD_NEXT, "clock_gettime");
    const int result = next(clock, time);
    if (clock == CLOCK_BOOTTIME && result == 0) time->tv_sec += 11 * looks++;
    return result;
}
