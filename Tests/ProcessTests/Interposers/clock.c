// Put before the program by LD_PRELOAD: each look at Swift's continuous clock, which is CLOCK_BOOTTIME, is eleven seconds after the
// one before it. What is shown of long work only is then shown of short work.

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
