#include "CLinuxSocket.h"

static int set_int(int fd, int level, int option, int value) {
    return setsockopt(fd, level, option, &value, sizeof value);
}

int CLinux_stream_socket(int family) {
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

int CLinux_accept(int fd, struct sockaddr_storage *address, socklen_t *length) {
    return accept4(fd, (struct sockaddr *)address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

ssize_t CLinux_send_vector(int fd, const struct iovec *buffers, int count) {
    struct msghdr message = {.msg_iov = (struct iovec *)buffers, .msg_iovlen = (size_t)count};
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

int CLinux_set_reuse_address(int fd) {
    return set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
}

int CLinux_set_reuse_port(int fd) {
    return set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
}

int CLinux_set_no_delay(int fd) {
    return set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

int CLinux_set_ipv6_only(int fd, int value) {
    return set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, value);
}

int CLinux_set_unsent_low_water(int fd, int bytes) {
    return set_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, bytes);
}
