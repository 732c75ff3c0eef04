// Heap statistics of the C library; <malloc.h> is in no module map. For tests with allocation budgets.

#ifndef GENREC_CLINUX_MEMORY_H
#define GENREC_CLINUX_MEMORY_H

#include <stdint.h>

// Allocated heap bytes, over all arenas. Always 0 under a sanitizer, which has its own heap.
uint64_t CLinux_heap_bytes_in_use(void);

#endif
