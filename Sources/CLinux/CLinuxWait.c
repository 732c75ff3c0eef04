#include "CLinuxWait.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void CLinux_futex_wait(const uint32_t *word, uint32_t expected, int64_t timeoutNanoseconds) {
    struct timespec timeout = {
        .tv_sec = timeoutNanoseconds / 1000000000,
        .tv_nsec = timeoutNanoseconds % 1000000000,
    };
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeoutNanoseconds < 0 ? 0 : &timeout, 0, 0);
}

int CLinux_futex_wake(const uint32_t *word, int count) {
    return (int)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, 0, 0, 0);
}
