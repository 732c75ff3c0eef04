// Device memory and pinned host memory.
//
// A device address is in a range that is reserved and never readable, so that host code which dereferences one faults
// immediately; the bytes are in a separate mapping, which only the emulator's tasks and copies access. Addresses are
// never reused: a freed block stays known, poisoned, with the name of the call that freed it.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace emulator {

/// A task accessed memory that does not exist: the text of its stream's failure.
struct MemoryFault {
    int32_t code;
    std::string message;
};

class Memory {
public:
    /// Device memory filled with NaN, aligned to exactly 64 bytes and no more.
    static void *allocate(int device, size_t size);
    /// Frees immediately, without waiting for streams.
    static void free(void *address);
    /// Releases everything of a device, like its last reset.
    static void releaseAll(int device);

    static void *allocatePinned(size_t size);
    static void freePinned(void *address);

    /// Allocated bytes of a device.
    static size_t used(int device);
    /// A line for each block of device or pinned memory that was never freed.
    static std::string leaks();

    /// Whether the address was ever allocated as device memory.
    static bool isDevice(const void *address);
    /// Whether the bytes are in one live pinned block.
    static bool isPinned(const void *address, size_t size);

    /// The bytes of a device address. Throws a Refusal with `code` and a text that starts with `what`, unless they are
    /// in one live block; for checks before a call is accepted.
    static unsigned char *check(const void *address, size_t size, int32_t code, const std::string &what);
    /// The same from within a task: throws MemoryFault with 507015 for freed memory, 507053 for memory that never
    /// existed.
    static unsigned char *access(const void *address, size_t size, const std::string &what);

    /// Records that a matrix of `size` bytes at the address is now in FRACTAL_NZ.
    static void markBlocked(const void *address, size_t size);
    /// The number of bytes in FRACTAL_NZ from exactly this address; 0: none.
    static size_t blockedSize(const void *address);
    /// Whether any of the bytes is in FRACTAL_NZ.
    static bool overlapsBlocked(const void *address, size_t size);
    /// The bytes are overwritten completely: their layout is forgotten.
    static void forgetBlocked(const void *address, size_t size);
};

}  // namespace emulator
