#include "CLinuxMemory.h"

#include <malloc.h>

uint64_t CLinux_heap_bytes_in_use(void) {
    struct mallinfo2 info = mallinfo2();
    return (uint64_t)info.uordblks + (uint64_t)info.hblkhd;
}
