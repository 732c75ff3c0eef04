// Waiting on a word of memory, and a few thread calls that need _GNU_SOURCE: what a worker pool is built from.
// Called by ComputeCPU, Engine and Load.

#ifndef GENREC_CLINUX_FUTEX_H
#define GENREC_CLINUX_FUTEX_H

#include <pthread.h>
#include <stdint.h>

/// Sleeps while `*word == expected`. Returns when woken, and sometimes spuriously.
void CLinux_futexWait(const void *word, uint32_t expected);

/// Wakes up to `count` threads that sleep on `word`.
void CLinux_futexWake(const void *word, int32_t count);

/// Tells the processor that the thread spins.
static inline void CLinux_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

/// Nanoseconds of the monotonic clock.
uint64_t CLinux_monotonicNanoseconds(void);

/// Nanoseconds of processor time of the calling thread.
uint64_t CLinux_threadNanoseconds(void);

/// Makes the calling thread run only while no other thread wants the processor. Threads that it creates inherit this.
void CLinux_becomeIdle(void);

/// Names the calling thread (at most 15 bytes are kept) and blocks every signal in it, so that signals go to the
/// threads that wait for them.
void CLinux_becomeWorker(const char *name);

/// Sets how late the kernel may wake the calling thread from a timed wait, to wake several at once; 50 microseconds by
/// default.
void CLinux_setTimerSlack(uint64_t nanoseconds);

/// Processors in the calling thread's affinity mask, at least 1.
int32_t CLinux_allowedProcessors(void);

#endif
