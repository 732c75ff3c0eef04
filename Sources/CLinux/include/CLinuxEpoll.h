// epoll and eventfd. `struct epoll_event` is packed on x86-64 and holds a union; here it is two plain integers.

#ifndef GENREC_CLINUX_EPOLL_H
#define GENREC_CLINUX_EPOLL_H

#include <stdint.h>
#include <sys/epoll.h>

// The event bits as plain integers, because Swift imports the system header's named enumeration as a wrapper.
static const uint32_t CLinux_EPOLLIN = EPOLLIN;
static const uint32_t CLinux_EPOLLOUT = EPOLLOUT;
static const uint32_t CLinux_EPOLLRDHUP = EPOLLRDHUP;
static const uint32_t CLinux_EPOLLHUP = EPOLLHUP;
static const uint32_t CLinux_EPOLLERR = EPOLLERR;
static const uint32_t CLinux_EPOLLET = 1u << 31; // EPOLLET, which is a signed overflow in the system header

// An event: the caller's token and the event bits.
typedef struct {
    uint64_t token;
    uint32_t events;
} CLinux_epoll_event;

// A close-on-exec epoll descriptor, or -1 with errno.
int CLinux_epoll_create(void);

// Adds `fd` with `token` and `events`. 0, or -1 with errno.
int CLinux_epoll_add(int epoll, int fd, uint32_t events, uint64_t token);

// Removes `fd` from the set. 0, or -1 with errno.
int CLinux_epoll_remove(int epoll, int fd);

// Waits at most `timeoutMilliseconds` (0: does not wait) and writes up to `capacity` events, at most
// CLinux_epoll_batch. Returns their number, or -1 with errno.
int CLinux_epoll_wait(int epoll, CLinux_epoll_event *events, int capacity, int timeoutMilliseconds);
#define CLinux_epoll_batch 256

// The same with a time-out in nanoseconds (at most some days). If the kernel is older than 5.11, or a sandbox forbids
// epoll_pwait2, it waits in whole milliseconds, rounded down.
int CLinux_epoll_wait_nanoseconds(int epoll, CLinux_epoll_event *events, int capacity, uint64_t timeoutNanoseconds);

// A non-blocking, close-on-exec eventfd with count 0, or -1 with errno.
int CLinux_eventfd(void);

#endif
