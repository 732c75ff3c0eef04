// ACL's memory calls: the allowed directions and times of copies.

#include <cstring>

#include "calls.hpp"
#include "capture.hpp"
#include "faults.hpp"
#include "functions.hpp"
#include "handles.hpp"
#include "profile.hpp"

namespace emulator {

/// The direction of a copy, checked against the kinds of the addresses.
static aclrtMemcpyKind checkedKind(void *destination, size_t capacity, const void *source, size_t count, aclrtMemcpyKind kind) {
    if (destination == nullptr || source == nullptr) refuse(ACL_ERROR_INVALID_PARAM, "an address is NULL");
    if (kind < 0 || kind > ACL_MEMCPY_DEVICE_TO_DEVICE) refuse(ACL_ERROR_INVALID_PARAM, "there is no copy of kind %d", kind);
    if (count > capacity) {
        refuse(ACL_ERROR_RT_PARAM_INVALID, "%zu bytes do not fit into a destination of %zu", count, capacity);
    }
    const bool toDevice = Memory::isDevice(destination), fromDevice = Memory::isDevice(source);
    const auto actual = toDevice ? (fromDevice ? ACL_MEMCPY_DEVICE_TO_DEVICE : ACL_MEMCPY_HOST_TO_DEVICE)
                                 : (fromDevice ? ACL_MEMCPY_DEVICE_TO_HOST : ACL_MEMCPY_HOST_TO_HOST);
    if (actual != kind && !profile().isLenient) {
        refuse(
            ACL_ERROR_RT_PARAM_INVALID, "the copy's kind is %d, its addresses %p and %p are of kind %d", kind, destination,
            source, actual);
    }
    if (toDevice) Memory::check(destination, capacity, ACL_ERROR_RT_PARAM_INVALID, "the destination");
    if (fromDevice) Memory::check(source, count, ACL_ERROR_RT_PARAM_INVALID, "the source");
    return actual;
}

/// Copies immediately; `lookUp` finds the bytes of a device address.
template <class LookUp>
static void copy(void *destination, const void *source, size_t count, LookUp lookUp) {
    void *to = Memory::isDevice(destination) ? lookUp(destination, "the destination") : destination;
    const void *from = Memory::isDevice(source) ? lookUp(source, "the source") : source;
    memmove(to, from, count);
    if (Memory::isDevice(destination)) Memory::forgetBlocked(destination, count);
}

static std::string described(void *destination, const void *source, size_t count, aclrtMemcpyKind kind) {
    return format("%p <- %p %zu bytes kind %d", destination, source, count, (int)kind);
}

}  // namespace emulator

using namespace emulator;

aclError aclrtMalloc(void **memory, size_t size, aclrtMemMallocPolicy policy) {
    return call("aclrtMalloc", format("%zu bytes", size), [&] {
        requireNoCapture("aclrtMalloc");
        Context *context = currentContext();
        if (memory == nullptr) refuse(ACL_ERROR_INVALID_PARAM, "the out parameter is NULL");
        if (size == 0) refuse(ACL_ERROR_INVALID_PARAM, "no bytes are asked for");
        if (policy < 0 || policy > ACL_MEM_MALLOC_NORMAL_ONLY) refuse(ACL_ERROR_INVALID_PARAM, "there is no policy %d", policy);
        if (takeAllocationFault()) refuse(ACL_ERROR_RT_MEMORY_ALLOCATION, "no memory, as injected");
        *memory = Memory::allocate(context->device->number, size);
        return ACL_SUCCESS;
    });
}

aclError aclrtFree(void *memory) {
    return call("aclrtFree", format("%p", memory), [&] {
        requireInitialized();
        if (memory == nullptr) refuse(ACL_ERROR_INVALID_PARAM, "the address is NULL");
        Memory::free(memory);
        return ACL_SUCCESS;
    });
}

aclError aclrtMallocHost(void **memory, size_t size) {
    return call("aclrtMallocHost", format("%zu bytes", size), [&] {
        requireNoCapture("aclrtMallocHost");
        currentContext();
        if (memory == nullptr) refuse(ACL_ERROR_INVALID_PARAM, "the out parameter is NULL");
        if (size == 0) refuse(ACL_ERROR_INVALID_PARAM, "no bytes are asked for");
        *memory = Memory::allocatePinned(size);
        return ACL_SUCCESS;
    });
}

aclError aclrtFreeHost(void *memory) {
    return call("aclrtFreeHost", format("%p", memory), [&] {
        requireInitialized();
        if (memory == nullptr) refuse(ACL_ERROR_INVALID_PARAM, "the address is NULL");
        Memory::freePinned(memory);
        return ACL_SUCCESS;
    });
}

aclError aclrtGetMemInfo(aclrtMemAttr attribute, size_t *available, size_t *total) {
    return call("aclrtGetMemInfo", format("%d", (int)attribute), [&] {
        Context *context = currentContext();
        if (available == nullptr || total == nullptr) refuse(ACL_ERROR_INVALID_PARAM, "an out parameter is NULL");
        if (attribute != ACL_HBM_MEM && attribute != ACL_DDR_MEM) refuse(ACL_ERROR_INVALID_PARAM, "no memory %d", (int)attribute);
        *total = profile().memory;
        *available = profile().memory - Memory::used(context->device->number);
        return ACL_SUCCESS;
    });
}

aclError aclrtMemcpy(void *destination, size_t capacity, const void *source, size_t count, aclrtMemcpyKind kind) {
    return call("aclrtMemcpy", described(destination, source, count, kind), [&] {
        requireNoCapture("aclrtMemcpy");
        currentContext();
        if (count == 0) return ACL_SUCCESS;
        checkedKind(destination, capacity, source, count, kind);
        // Immediately, whatever is queued on the streams.
        copy(destination, source, count, [count](const void *address, const char *what) {
            return Memory::check(address, count, ACL_ERROR_RT_PARAM_INVALID, what);
        });
        return ACL_SUCCESS;
    });
}

aclError aclrtMemcpyAsync(
    void *destination, size_t capacity, const void *source, size_t count, aclrtMemcpyKind kind, aclrtStream handle) {
    return call("aclrtMemcpyAsync", described(destination, source, count, kind), [&] {
        auto stream = requireStream(handle);
        if (count == 0) return ACL_SUCCESS;
        if (captureOf(stream.get()) != nullptr) requireNoCapture("aclrtMemcpyAsync (which the emulator does not capture)");
        const aclrtMemcpyKind actual = checkedKind(destination, capacity, source, count, kind);
        if (actual == ACL_MEMCPY_HOST_TO_HOST) refuse(ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "no asynchronous copy within the host");
        const void *host = actual == ACL_MEMCPY_HOST_TO_DEVICE ? source
                         : actual == ACL_MEMCPY_DEVICE_TO_HOST ? destination : nullptr;
        const auto lookUp = [count](const void *address, const char *what) { return Memory::access(address, count, what); };
        if (host != nullptr && !Memory::isPinned(host, count)) {
            trace("pageable copy", described(destination, source, count, kind));
            stream->wait(-1);
            std::string text;
            if (const int32_t code = stream->takeFailure(text); code != 0) refuse(code, "%s", text.c_str());
            copy(destination, source, count, lookUp);
            return ACL_SUCCESS;
        }
        stream->enqueue("aclrtMemcpyAsync", [=] {
            if (host != nullptr && !Memory::isPinned(host, count)) {
                throw MemoryFault{ACL_ERROR_RT_SYS_DMA, format("the host memory %p was freed before the copy ran", host)};
            }
            copy(destination, source, count, lookUp);
        });
        return ACL_SUCCESS;
    });
}

aclError aclrtMemset(void *memory, size_t capacity, int32_t value, size_t count) {
    return call("aclrtMemset", format("%p %zu bytes", memory, count), [&] {
        requireNoCapture("aclrtMemset");
        currentContext();
        if (memory == nullptr) refuse(ACL_ERROR_INVALID_PARAM, "the address is NULL");
        if (count > capacity) refuse(ACL_ERROR_RT_PARAM_INVALID, "%zu bytes do not fit into %zu", count, capacity);
        if (count == 0) return ACL_SUCCESS;
        if (!Memory::isDevice(memory) && !Memory::isPinned(memory, count)) {
            refuse(ACL_ERROR_RT_PARAM_INVALID, "%p is memory of neither aclrtMalloc nor aclrtMallocHost", memory);
        }
        void *bytes = Memory::isDevice(memory) ? Memory::check(memory, count, ACL_ERROR_RT_PARAM_INVALID, "the memory") : memory;
        memset(bytes, value, count);
        if (Memory::isDevice(memory)) Memory::forgetBlocked(memory, count);
        return ACL_SUCCESS;
    });
}
