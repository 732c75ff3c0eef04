// Waiting on a word of memory until it changes, with an end to the wait.

#ifndef GENREC_CLINUX_WAIT_H
#define GENREC_CLINUX_WAIT_H

#include <stdint.h>

// Sleeps while `*word == expected`, at most `timeoutNanoseconds` (negative: without end). Returns at once if the word is
// another, when woken, when the time is over, and now and then for no reason. The word is private to the process.
void CLinux_futex_wait(const uint32_t *word, uint32_t expected, int64_t timeoutNanoseconds);

// Wakes up to `count` threads that sleep on the word, and returns how many it was.
int CLinux_futex_wake(const uint32_t *word, int count);

#endif
