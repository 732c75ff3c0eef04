// Socket calls and constants that Swift's Glibc module lacks, or imports with differing types.

#ifndef GENREC_CLINUX_SOCKET_H
#define GENREC_CLINUX_SOCKET_H

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

// Address families.
static const int CLinux_AF_INET = AF_INET;
static const int CLinux_AF_INET6 = AF_INET6;
static const int CLinux_AF_UNIX = AF_UNIX;

// A flag of send(2): no SIGPIPE.
static const int CLinux_MSG_NOSIGNAL = MSG_NOSIGNAL;

// A non-blocking, close-on-exec stream socket, or -1 with errno.
int CLinux_stream_socket(int family);

// Accepts one connection, non-blocking and close-on-exec. `address` and `length` as in accept(2). -1 with errno.
int CLinux_accept(int fd, struct sockaddr_storage *address, socklen_t *length);

// Writes the buffers in one call. Never raises SIGPIPE. Returns the number of bytes accepted, or -1 with errno.
ssize_t CLinux_send_vector(int fd, const struct iovec *buffers, int count);

// Socket options. 0, or -1 with errno.
int CLinux_set_reuse_address(int fd);
int CLinux_set_reuse_port(int fd);
int CLinux_set_no_delay(int fd);
int CLinux_set_ipv6_only(int fd, int value);

// Wakes the writer only while less than `bytes` wait unsent in the kernel, so that a slow reader costs little kernel
// memory and its progress is seen in small steps. TCP only.
int CLinux_set_unsent_low_water(int fd, int bytes);

#endif
