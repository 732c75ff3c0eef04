#include "memory.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>

#include "CAscendStatus.h"
#include "profile.hpp"
#include "status.hpp"

namespace emulator {

static constexpr size_t page = 4096;
/// Addresses for the life of a process. No more, because the thread sanitizer leaves little room for mappings.
static constexpr size_t reservedBytes = size_t(256) << 30;
/// How many freed blocks keep their mapping, for a task that has started to use it; older ones are unmapped.
static constexpr size_t quarantineLength = 1024;
/// The content of unwritten memory: NaN in every floating-point type.
static constexpr unsigned char unwritten = 0xff;
/// Bytes of `unwritten` that every block maps repeatedly: untouched memory costs nothing.
static constexpr size_t patternBytes = size_t(2) << 20;

struct Block {
    size_t size;
    int device;
    unsigned char *bytes;
    bool isFreed = false;
    std::string freedBy;
    /// Offset and size of matrices in FRACTAL_NZ.
    std::map<size_t, size_t> blocked;
};

struct State {
    std::mutex mutex;
    uintptr_t base = 0, next = 0;
    std::map<uintptr_t, Block> blocks;
    std::map<uintptr_t, size_t> pinned;
    std::map<int, size_t> used;
    std::deque<uintptr_t> quarantine;
    int pattern = -1;
};

static State &state() {
    static State *const made = [] {
        State *state = new State;
        void *range = mmap(nullptr, reservedBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (range == MAP_FAILED) breach("no address range of %zu bytes can be reserved", reservedBytes);
        state->base = state->next = (uintptr_t)range;
        state->pattern = memfd_create("unwritten", MFD_CLOEXEC);
        const std::string bytes(patternBytes, (char)unwritten);
        if (write(state->pattern, bytes.data(), bytes.size()) != (ssize_t)bytes.size()) breach("no file of %zu bytes can be made", bytes.size());
        return state;
    }();
    return *made;
}

static size_t rounded(size_t size, size_t unit) { return (size + unit - 1) / unit * unit; }

/// Bytes that read as `unwritten`; each page becomes the block's own at the first write. Null: the host has no memory.
static unsigned char *mapUnwritten(size_t size) {
    const int access = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_NORESERVE;
    void *range = mmap(nullptr, size, access, flags | MAP_ANONYMOUS, -1, 0);
    if (range == MAP_FAILED) return nullptr;
    for (size_t offset = 0; offset < size; offset += patternBytes) {
        const size_t length = std::min(patternBytes, size - offset);
        void *place = (unsigned char *)range + offset;
        if (mmap(place, length, access, flags | MAP_FIXED, state().pattern, 0) == MAP_FAILED) return nullptr;
    }
    return (unsigned char *)range;
}

/// The block that contains the address, freed or not; null: none. The mutex is held.
static std::pair<const uintptr_t, Block> *find(const void *address) {
    State &memory = state();
    auto after = memory.blocks.upper_bound((uintptr_t)address);
    if (after == memory.blocks.begin()) return nullptr;
    auto found = std::prev(after);
    // The byte after the last one belongs to the block, so that overruns are reported as overruns.
    return (uintptr_t)address <= found->first + found->second.size ? &*found : nullptr;
}

void *Memory::allocate(int device, size_t size) {
    State &memory = state();
    std::lock_guard lock(memory.mutex);
    // The runtime rounds up to 32 and adds 32 bytes of slack.
    const size_t taken = rounded(size, 32) + 32;
    if (memory.used[device] + taken > profile().memory || taken < size) {
        refuse(
            ACL_ERROR_RT_MEMORY_ALLOCATION, "%zu bytes are asked for, %zu of %zu are free", size,
            profile().memory - memory.used[device], profile().memory);
    }
    // 64 bytes after a page's start: aligned as promised and no better. The page between blocks belongs to none.
    const uintptr_t address = memory.next + 64;
    memory.next += rounded(size + 64, page) + page;
    if (memory.next > memory.base + reservedBytes) breach("the address range is used up");
    unsigned char *bytes = mapUnwritten(rounded(size, page));
    if (bytes == nullptr) refuse(ACL_ERROR_RT_MEMORY_ALLOCATION, "the host has no %zu bytes", size);
    memory.used[device] += taken;
    memory.blocks[address] = Block{size, device, bytes, false, "", {}};
    return (void *)address;
}

/// The mutex is held.
static void release(uintptr_t address, Block &block, const char *freedBy) {
    State &memory = state();
    memory.used[block.device] -= rounded(block.size, 32) + 32;
    block.isFreed = true;
    block.freedBy = freedBy;
    // Unwritten again; the mapping stays for a while, because a task may hold its address.
    madvise(block.bytes, rounded(block.size, page), MADV_DONTNEED);
    memory.quarantine.push_back(address);
    if (memory.quarantine.size() <= quarantineLength) return;
    Block &oldest = memory.blocks[memory.quarantine.front()];
    memory.quarantine.pop_front();
    munmap(oldest.bytes, rounded(oldest.size, page));
}

void Memory::free(void *address) {
    State &memory = state();
    std::lock_guard lock(memory.mutex);
    auto found = memory.blocks.find((uintptr_t)address);
    if (found == memory.blocks.end()) refuse(ACL_ERROR_RT_PARAM_INVALID, "%p was not allocated", address);
    if (found->second.isFreed) {
        refuse(ACL_ERROR_RT_PARAM_INVALID, "%p is free already, by %s", address, found->second.freedBy.c_str());
    }
    release(found->first, found->second, "aclrtFree");
}

void Memory::releaseAll(int device) {
    State &memory = state();
    std::lock_guard lock(memory.mutex);
    for (auto &[address, block] : memory.blocks) {
        if (block.device == device && !block.isFreed) release(address, block, "aclrtResetDevice");
    }
}

void *Memory::allocatePinned(size_t size) {
    State &memory = state();
    void *bytes = mmap(nullptr, rounded(size + 64, page), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bytes == MAP_FAILED) refuse(ACL_ERROR_RT_MEMORY_ALLOCATION, "the host has no %zu bytes", size);
    unsigned char *address = (unsigned char *)bytes + 64;
    memset(address, unwritten, size);
    std::lock_guard lock(memory.mutex);
    memory.pinned[(uintptr_t)address] = size;
    return address;
}

void Memory::freePinned(void *address) {
    State &memory = state();
    std::lock_guard lock(memory.mutex);
    auto found = memory.pinned.find((uintptr_t)address);
    if (found == memory.pinned.end()) {
        refuse(ACL_ERROR_RT_PARAM_INVALID, "%p is no host memory of aclrtMallocHost", address);
    }
    // A later access faults, and the address is not reused.
    mprotect((unsigned char *)address - 64, rounded(found->second + 64, page), PROT_NONE);
    memory.pinned.erase(found);
}

size_t Memory::used(int device) {
    std::lock_guard lock(state().mutex);
    return state().used[device];
}

std::string Memory::leaks() {
    State &memory = state();
    std::lock_guard lock(memory.mutex);
    std::string text;
    for (const auto &[address, block] : memory.blocks) {
        if (!block.isFreed) text += format("device memory %p of %zu bytes; ", (void *)address, block.size);
    }
    for (const auto &[address, size] : memory.pinned) text += format("host memory %p of %zu bytes; ", (void *)address, size);
    return text;
}

bool Memory::isDevice(const void *address) {
    const uintptr_t bits = (uintptr_t)address;
    return bits >= state().base && bits < state().base + reservedBytes;
}

bool Memory::isPinned(const void *address, size_t size) {
    State &memory = state();
    std::lock_guard lock(memory.mutex);
    auto after = memory.pinned.upper_bound((uintptr_t)address);
    if (after == memory.pinned.begin()) return false;
    const auto found = std::prev(after);
    return (uintptr_t)address + size <= found->first + found->second;
}

/// The bytes, or the error in `wrong`: `isFreed` distinguishes freed memory from memory that never existed.
static unsigned char *resolve(const void *address, size_t size, std::string &wrong, bool &isFreed) {
    std::lock_guard lock(state().mutex);
    isFreed = false;
    auto *found = find(address);
    if (found == nullptr) {
        wrong = format("%zu bytes at %p are in no allocation", size, address);
        return nullptr;
    }
    const size_t offset = (uintptr_t)address - found->first;
    if (found->second.isFreed) {
        isFreed = true;
        wrong = format(
            "%zu bytes at %p are in memory that %s has freed", size, address, found->second.freedBy.c_str());
        return nullptr;
    }
    if (size > found->second.size - offset) {
        wrong = format(
            "%zu bytes at %p run past the end of an allocation of %zu bytes at %p", size, address, found->second.size,
            (void *)found->first);
        return nullptr;
    }
    return found->second.bytes + offset;
}

unsigned char *Memory::check(const void *address, size_t size, int32_t code, const std::string &what) {
    std::string wrong;
    bool isFreed;
    unsigned char *bytes = resolve(address, size, wrong, isFreed);
    if (bytes == nullptr) throw Refusal{code, what + ": " + wrong};
    return bytes;
}

unsigned char *Memory::access(const void *address, size_t size, const std::string &what) {
    std::string wrong;
    bool isFreed;
    unsigned char *bytes = resolve(address, size, wrong, isFreed);
    if (bytes == nullptr) {
        throw MemoryFault{isFreed ? ACL_ERROR_RT_AICORE_EXCEPTION : ACL_ERROR_RT_DEVICE_MEM_ERROR, what + ": " + wrong};
    }
    return bytes;
}

void Memory::markBlocked(const void *address, size_t size) {
    std::lock_guard lock(state().mutex);
    auto *found = find(address);
    if (found != nullptr) found->second.blocked[(uintptr_t)address - found->first] = size;
}

size_t Memory::blockedSize(const void *address) {
    std::lock_guard lock(state().mutex);
    auto *found = find(address);
    if (found == nullptr) return 0;
    const auto blocked = found->second.blocked.find((uintptr_t)address - found->first);
    return blocked == found->second.blocked.end() ? 0 : blocked->second;
}

bool Memory::overlapsBlocked(const void *address, size_t size) {
    std::lock_guard lock(state().mutex);
    auto *found = find(address);
    if (found == nullptr) return false;
    const size_t begin = (uintptr_t)address - found->first;
    for (const auto &[offset, length] : found->second.blocked) {
        if (offset < begin + size && begin < offset + length) return true;
    }
    return false;
}

void Memory::forgetBlocked(const void *address, size_t size) {
    std::lock_guard lock(state().mutex);
    auto *found = find(address);
    if (found == nullptr) return;
    const size_t begin = (uintptr_t)address - found->first;
    auto &blocked = found->second.blocked;
    for (auto entry = blocked.begin(); entry != blocked.end();) {
        const bool isOverwritten = entry->first >= begin && entry->first + entry->second <= begin + size;
        entry = isOverwritten ? blocked.erase(entry) : std::next(entry);
    }
}

}  // namespace emulator
