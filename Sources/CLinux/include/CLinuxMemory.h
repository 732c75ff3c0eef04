// What the C library knows of its heap; <malloc.h> is in no module map. For the tests that hold allocation budgets.

#ifndef GENREC_CLINUX_MEMORY_H
#define GENREC_CLINUX_MEMORY_H

#include <stdint.h>

// Bytes of heap handed out and not freed, over all arenas. Always 0 under a sanitizer, which has a heap of its own.
uint64_t CLinux_heap_bytes_in_use(void);

#endif
