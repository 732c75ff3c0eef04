#include "CLinuxEpoll.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <time.h>

_Static_assert(EPOLLET == (int)(1u << 31), "the edge-triggered bit is restated in the header");

int CLinux_epoll_create(void) {
    return epoll_create1(EPOLL_CLOEXEC);
}

int CLinux_epoll_add(int epoll, int fd, uint32_t events, uint64_t token) {
    struct epoll_event event = {.events = events, .data.u64 = token};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

int CLinux_epoll_remove(int epoll, int fd) {
    struct epoll_event ignored = {0};
    return epoll_ctl(epoll, EPOLL_CTL_DEL, fd, &ignored);
}

static int batch_limit(int capacity) {
    return capacity < CLinux_epoll_batch ? capacity : CLinux_epoll_batch;
}

static int hand_over(const struct epoll_event *batch, int count, CLinux_epoll_event *events) {
    for (int i = 0; i < count; i++) {
        events[i].token = batch[i].data.u64;
        events[i].events = batch[i].events;
    }
    return count;
}

int CLinux_epoll_wait(int epoll, CLinux_epoll_event *events, int capacity, int timeoutMilliseconds) {
    struct epoll_event batch[CLinux_epoll_batch];
    return hand_over(batch, epoll_wait(epoll, batch, batch_limit(capacity), timeoutMilliseconds), events);
}

int CLinux_epoll_wait_nanoseconds(int epoll, CLinux_epoll_event *events, int capacity, uint64_t timeoutNanoseconds) {
    struct epoll_event batch[CLinux_epoll_batch];
    struct timespec timeout = {
        .tv_sec = (time_t)(timeoutNanoseconds / 1000000000u),
        .tv_nsec = (long)(timeoutNanoseconds % 1000000000u),
    };
    int count = epoll_pwait2(epoll, batch, batch_limit(capacity), &timeout, NULL);
    if (count < 0 && (errno == ENOSYS || errno == EPERM))
        // Rounds down, so that the wait does not end too late; the caller waits again until the time has come.
        return CLinux_epoll_wait(epoll, events, capacity, (int)(timeoutNanoseconds / 1000000u));
    return hand_over(batch, count, events);
}

int CLinux_eventfd(void) {
    return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}
