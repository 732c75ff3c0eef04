// Preloaded into the server with LD_PRELOAD: while the file named by GENREC_TEST_HANG exists, the thread that sends a
// reply blocks.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    static ssize_t (*next)(int, const struct msghdr *, int);
    if (next == NULL) *(void **)&next = dlsym(RTLD_NEXT, "sendmsg");
    const char *path = getenv("GENREC_TEST_HANG");
    while (path != NULL && access(path, F_OK) == 0) usleep(1000);
    return next(fd, message, flags);
}
