#include "include/CLinuxSignal.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { last_signal = 64 };

// The descriptor of each signal, plus one; 0: none. Set before the handler is installed, never changed after that.
static int descriptors[last_signal + 1];

static void count(int number) {
    const int error = errno;
    const uint64_t one = 1;
    // Cannot block, and fails only after 2^64 - 2 unread signals.
    (void)!write(descriptors[number] - 1, &one, sizeof one);
    errno = error;
}

int CLinux_countSignal(int number) {
    if (number < 1 || number > last_signal) {
        errno = EINVAL;
        return -1;
    }
    if (!descriptors[number]) {
        const int made = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (made < 0) return -1;
        descriptors[number] = made + 1;
    }
    struct sigaction action = {.sa_handler = count, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    return sigaction(number, &action, NULL) ? -1 : descriptors[number] - 1;
}
