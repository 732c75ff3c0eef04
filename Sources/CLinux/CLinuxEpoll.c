#include "CLinuxEpoll.h"

#include <sys/eventfd.h>

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

int CLinux_epoll_wait(int epoll, CLinux_epoll_event *events, int capacity, int timeoutMilliseconds) {
    struct epoll_event batch[CLinux_epoll_batch];
    int limit = capacity < CLinux_epoll_batch ? capacity : CLinux_epoll_batch;
    int count = epoll_wait(epoll, batch, limit, timeoutMilliseconds);
    for (int i = 0; i < count; i++) {
        events[i].token = batch[i].data.u64;
        events[i].events = batch[i].events;
    }
    return count;
}

int CLinux_eventfd(void) {
    return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}
