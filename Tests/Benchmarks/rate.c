// An open-loop HTTP client: requests leave at a steady rate whatever the server does, and a latency counts from the moment at
// which its request was meant to leave, so that a server that stalls cannot hide it. One thread, one request at a time on a
// connection; if none is free at a request's time, the request waits for one, and the wait counts.
//
//   rate PORT BODY-FILE REQUESTS-PER-SECOND CONNECTIONS SECONDS
//
// Prints one line: requests done, p50, p90, p99 and max in microseconds, and replies that were not 200.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct connection {
    int fd;
    int64_t due; // when its request was meant to leave; 0: it is free
    size_t got;  // octets of the reply so far
    size_t want; // octets of the whole reply; 0: not known yet
    char reply[65536];
};

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void fail(const char *what) {
    fprintf(stderr, "rate: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

// Reads what has come. 1: the reply is whole; 0: it is not.
static int receive(struct connection *c) {
    ssize_t n = recv(c->fd, c->reply + c->got, sizeof c->reply - 1 - c->got, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    if (n <= 0) fail("the server closed a connection");
    c->got += (size_t)n;
    c->reply[c->got] = 0;
    if (!c->want) {
        char *end = strstr(c->reply, "\r\n\r\n");
        if (!end) return 0;
        char *length = strcasestr(c->reply, "\r\ncontent-length:");
        if (!length || length > end) fail("a reply has no Content-Length");
        c->want = (size_t)(end + 4 - c->reply) + strtoul(length + 17, NULL, 10);
        if (c->want >= sizeof c->reply) fail("a reply is too long for this client");
    }
    return c->got >= c->want;
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: rate PORT BODY-FILE REQUESTS-PER-SECOND CONNECTIONS SECONDS\n");
        return 2;
    }
    int port = atoi(argv[1]), count = atoi(argv[4]);
    double rate = atof(argv[3]), seconds = atof(argv[5]);
    if (rate <= 0 || count < 1 || seconds <= 0) return 2;
    FILE *file = fopen(argv[2], "rb");
    if (!file) fail(argv[2]);
    static char body[1 << 20], request[(1 << 20) + 512];
    size_t length = fread(body, 1, sizeof body, file);
    fclose(file);
    int head = snprintf(request, 512,
                        "POST /recommend HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                        "Content-Length: %zu\r\n\r\n", length);
    memcpy(request + head, body, length);
    size_t size = (size_t)head + length;

    int epoll = epoll_create1(0);
    struct connection *connections = calloc((size_t)count, sizeof *connections);
    struct connection **available = calloc((size_t)count, sizeof *available);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < count; i++) {
        struct connection *c = &connections[i];
        c->fd = socket(AF_INET, SOCK_STREAM, 0);
        int one = 1;
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (connect(c->fd, (struct sockaddr *)&address, sizeof address)) fail("cannot connect");
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
        available[i] = c;
    }
    int free_count = count;

    size_t total = (size_t)(rate * seconds), started = 0, done = 0, wrong = 0;
    int64_t *latencies = calloc(total ? total : 1, sizeof *latencies);
    int64_t start = now() + 10000000, gap = (int64_t)(1e9 / rate);
    while (done < total) {
        int64_t time = now();
        while (started < total && free_count > 0 && start + (int64_t)started * gap <= time) {
            struct connection *c = available[--free_count];
            c->due = start + (int64_t)started++ * gap;
            c->got = c->want = 0;
            for (size_t sent = 0; sent < size;) {
                ssize_t n = send(c->fd, request + sent, size - sent, MSG_NOSIGNAL);
                if (n < 0 && errno != EINTR) fail("cannot send");
                if (n > 0) sent += (size_t)n;
            }
        }
        // Woken by a reply or by the next request's time; the last stretch is spent waiting actively, since sleeping is
        // coarser than what is measured.
        int64_t wait = started < total && free_count > 0 ? start + (int64_t)started * gap - now() : 1000000000;
        struct timespec timeout = {.tv_nsec = wait > 200000 ? (wait - 100000) % 1000000000 : 0};
        struct epoll_event events[64];
        int n = epoll_pwait2(epoll, events, 64, &timeout, NULL);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (!receive(c)) continue;
            if (strncmp(c->reply, "HTTP/1.1 200 ", 13)) wrong++;
            latencies[done++] = now() - c->due;
            available[free_count++] = c;
        }
    }
    qsort(latencies, done, sizeof *latencies, ascending);
    printf("%zu %.0f %.0f %.0f %.0f %zu\n", done, latencies[done / 2] / 1e3, latencies[done * 9 / 10] / 1e3,
           latencies[done * 99 / 100] / 1e3, latencies[done - 1] / 1e3, wrong);
    return 0;
}
