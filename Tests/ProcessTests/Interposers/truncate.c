// Preloaded into the program with LD_PRELOAD: cuts the file named by GENREC_TEST_TRUNCATE to half its size at the read
// whose number is GENREC_TEST_TRUNCATE_AT, as a restarted copy would.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

ssize_t pread(int fd, void *memory, size_t count, off_t offset) {
    static ssize_t (*next)(int, void *, size_t, off_t);
    static atomic_int reads;
    if (next == NULL) *(void **)&next = dlsym(RTLD_NEXT, "pread");
    const char *path = getenv("GENREC_TEST_TRUNCATE"), *at = getenv("GENREC_TEST_TRUNCATE_AT");
    struct stat named, read;
    if (path != NULL && at != NULL && stat(path, &named) == 0 && fstat(fd, &read) == 0 && named.st_ino == read.st_ino
        && named.st_dev == read.st_dev && ++reads == atoi(at) && truncate(path, named.st_size / 2) != 0) {
        abort();
    }
    return next(fd, memory, count, offset);
}

ssize_t pread64(int fd, void *memory, size_t count, off_t offset) { return pread(fd, memory, count, offset); }
