// Device memory and pinned host memory.
//
// A device address lies in a range that is reserved and never readable, so that host code which follows one faults at once;
// the bytes are in a mapping beside it, which only tasks and copies of the emulator see. Addresses are never given out
// twice: what is freed stays known, poisoned, with the name of the call that freed it.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace emulator {

/// A task touched memory that is not there: what the failure of its stream says.
struct MemoryFault {
    int32_t code;
    std::string message;
};

class Memory {
public:
    /// Device memory filled with NaN; 64-byte aligned and never more than that.
    static void *allocate(int device, size_t size);
    /// At once: does not wait for streams.
    static void free(void *address);
    /// Everything of a device, as its last reset does.
    static void releaseAll(int device);

    static void *allocatePinned(size_t size);
    static void freePinned(void *address);

    /// Bytes given out on a device.
    static size_t used(int device);
    /// A line for each block of device or pinned memory that was never freed.
    static std::string leaks();

    /// Whether the address was ever given out as device memory.
    static bool isDevice(const void *address);
    /// Whether the bytes lie in one live pinned block.
    static bool isPinned(const void *address, size_t size);

    /// The bytes behind a device address. Throws a Refusal of `code` that begins with `what` unless they lie in one live
    /// block; for checks before a call is accepted.
    static unsigned char *check(const void *address, size_t size, int32_t code, const std::string &what);
    /// The same from within a task: throws MemoryFault with 507015 for freed memory, 507053 for memory that never was.
    static unsigned char *access(const void *address, size_t size, const std::string &what);

    /// Notes that a matrix of `size` bytes at the address is now in FRACTAL_NZ.
    static void markBlocked(const void *address, size_t size);
    /// How many bytes from exactly this address are in FRACTAL_NZ; 0: none.
    static size_t blockedSize(const void *address);
    /// Whether any of the bytes is in FRACTAL_NZ.
    static bool overlapsBlocked(const void *address, size_t size);
    /// The bytes are overwritten as a whole: their layout is forgotten.
    static void forgetBlocked(const void *address, size_t size);
};

}  // namespace emulator
