// Devices and contexts: the live ones, and each thread's context.

#include "device.hpp"

#include <vector>

#include "calls.hpp"
#include "capture.hpp"
#include "faults.hpp"
#include "functions.hpp"
#include "handles.hpp"
#include "profile.hpp"

namespace emulator {

Handles &handles() {
    static Handles *const made = [] {
        Handles *handles = new Handles;
        for (int number = 0; number < profile().devices; number++) {
            handles->devices.push_back(std::make_unique<Device>());
            handles->devices.back()->number = number;
        }
        return handles;
    }();
    return *made;
}

static thread_local aclrtContext current = nullptr;

void requireInitialized() {
    if (!handles().isInitialized) refuse(ACL_ERROR_UNINITIALIZE, "aclInit has not been called");
}

Context *currentContextForCleanup() {
    requireInitialized();
    std::lock_guard lock(handles().mutex);
    const auto found = handles().contexts.find(current);
    if (current == nullptr || found == handles().contexts.end()) {
        refuse(ACL_ERROR_RT_CONTEXT_NULL, "the calling thread has no context: call aclrtSetDevice on it first");
    }
    return found->second.get();
}

Context *currentContext() {
    Context *context = currentContextForCleanup();
    std::lock_guard lock(handles().mutex);
    if (context->device->failure != 0) refuse(context->device->failure.load(), "%s", context->device->failureText.c_str());
    return context;
}

void failDevice(Device *device, int32_t code, const std::string &text) {
    std::lock_guard lock(handles().mutex);
    if (device->failure != 0) return;
    device->failure = code;
    device->failureText = text;
    if (code == ACL_ERROR_RT_LOST_HEARTBEAT) device->failureText += "; the device is lost";
}

static Device *requireDevice(int32_t number) {
    requireInitialized();
    if (number < 0 || number >= profile().devices) {
        refuse(ACL_ERROR_RT_INVALID_DEVICEID, "there is no device %d, only %d", number, profile().devices);
    }
    return handles().devices[(size_t)number].get();
}

/// Removes a context and everything made in it from the handles; objects that must end do so when `ended` is destroyed,
/// without the mutex, because ending a stream waits for it. The mutex is held.
static void removeContext(aclrtContext handle, std::vector<std::shared_ptr<void>> &ended) {
    Handles &all = handles();
    const auto found = all.contexts.find(handle);
    if (found == all.contexts.end()) return;
    Context *context = found->second.get();
    for (auto stream = all.streams.begin(); stream != all.streams.end();) {
        if (stream->second->context != context) { ++stream; continue; }
        ended.push_back(stream->second);
        stream = all.streams.erase(stream);
    }
    for (auto event = all.events.begin(); event != all.events.end();) {
        if (event->second->context != context) { ++event; continue; }
        ended.push_back(event->second);
        event = all.events.erase(event);
    }
    ended.push_back(context->defaultStream);
    context->defaultStream = nullptr;
    // Ending workers still point to the context, so it is kept.
    all.retired.push_back(found->second);
    all.contexts.erase(found);
}

/// Releases everything of the device. Queued work runs to its end, unless the reset is forced; even that waits for
/// running work (runtime, docs 04_device_management.md).
static void resetDevice(Device *device, bool isForced = false) {
    {
        std::lock_guard lock(handles().mutex);
        for (const auto &[handle, stream] : handles().streams) {
            if (stream->context->device != device || !stream->isHeld) continue;
            breach("the reset of device %d waits for ever for stream %p: abort it first", device->number, handle);
        }
    }
    device->isAborting = isForced;
    if (isForced) wakeHeld();
    std::vector<std::shared_ptr<void>> ended;
    {
        std::lock_guard lock(handles().mutex);
        std::vector<aclrtContext> own;
        for (const auto &[handle, context] : handles().contexts) {
            if (context->device == device) own.push_back(handle);
        }
        for (aclrtContext handle : own) removeContext(handle, ended);
        device->primary = nullptr;
        device->uses = 0;
    }
    ended.clear();
    forgetCaptures(device);
    Memory::releaseAll(device->number);
    std::lock_guard lock(handles().mutex);
    device->failure = 0;
    device->failureText.clear();
    device->isAborting = false;
}

static aclrtContext makeContext(Device *device, bool isPrimary) {
    auto context = std::make_shared<Context>();
    context->device = device;
    context->isPrimary = isPrimary;
    context->defaultStream = std::make_shared<Stream>(context.get());
    std::lock_guard lock(handles().mutex);
    const aclrtContext handle = handles().makeHandle();
    handles().contexts[handle] = context;
    return handle;
}

}  // namespace emulator

using namespace emulator;

aclError aclrtGetDeviceCount(uint32_t *count) {
    return call("aclrtGetDeviceCount", "", [&] {
        requireInitialized();
        if (count == nullptr) refuse(ACL_ERROR_INVALID_PARAM, "count is NULL");
        if (profile().devices == 0) refuse(ACL_ERROR_RT_NO_DEVICE, "there is no device");
        *count = (uint32_t)profile().devices;
        return ACL_SUCCESS;
    });
}

aclError aclrtSetDevice(int32_t number) {
    return call("aclrtSetDevice", format("%d", number), [&] {
        Device *device = requireDevice(number);
        if (device->isGone) refuse(ACL_ERROR_RT_DEV_SETUP_ERROR, "device %d cannot be opened", number);
        // Before the counter: setting a failed device succeeds, and later calls fail.
        if (device->primary == nullptr) device->primary = makeContext(device, true);
        std::lock_guard lock(handles().mutex);
        device->uses++;
        current = device->primary;
        return ACL_SUCCESS;
    });
}

aclError aclrtResetDevice(int32_t number) {
    return call("aclrtResetDevice", format("%d", number), [&] {
        Device *device = requireDevice(number);
        if (device->uses == 0) refuse(ACL_ERROR_RT_CONTEXT_NULL, "device %d is not set", number);
        bool isLast;
        {
            std::lock_guard lock(handles().mutex);
            isLast = --device->uses == 0;
        }
        if (isLast) resetDevice(device);
        return ACL_SUCCESS;
    });
}

aclError aclrtResetDeviceForce(int32_t number) {
    return call("aclrtResetDeviceForce", format("%d", number), [&] {
        resetDevice(requireDevice(number), true);
        return ACL_SUCCESS;
    });
}

aclError aclrtGetDevice(int32_t *number) {
    return call("aclrtGetDevice", "", [&] {
        if (number == nullptr) refuse(ACL_ERROR_INVALID_PARAM, "device is NULL");
        *number = currentContextForCleanup()->device->number;
        return ACL_SUCCESS;
    });
}

aclError aclrtCreateContext(aclrtContext *context, int32_t number) {
    return call("aclrtCreateContext", format("%d", number), [&] {
        if (context == nullptr) refuse(ACL_ERROR_INVALID_PARAM, "context is NULL");
        current = *context = makeContext(requireDevice(number), false);
        return ACL_SUCCESS;
    });
}

aclError aclrtDestroyContext(aclrtContext handle) {
    return call("aclrtDestroyContext", format("%p", handle), [&] {
        requireInitialized();
        // Destroyed after the lock, so that objects end without the mutex.
        std::vector<std::shared_ptr<void>> ended;
        std::lock_guard lock(handles().mutex);
        const auto found = handles().contexts.find(handle);
        if (found == handles().contexts.end()) refuse(ACL_ERROR_RT_CONTEXT_NULL, "%p is no context", handle);
        if (found->second->isPrimary) refuse(ACL_ERROR_RT_PARAM_INVALID, "%p is a device's own context", handle);
        removeContext(handle, ended);
        return ACL_SUCCESS;
    });
}

aclError aclrtSetCurrentContext(aclrtContext handle) {
    return call("aclrtSetCurrentContext", format("%p", handle), [&] {
        requireInitialized();
        std::lock_guard lock(handles().mutex);
        if (handles().contexts.count(handle) == 0) refuse(ACL_ERROR_RT_CONTEXT_NULL, "%p is no context", handle);
        current = handle;
        return ACL_SUCCESS;
    });
}

aclError aclrtGetCurrentContext(aclrtContext *context) {
    return call("aclrtGetCurrentContext", "", [&] {
        if (context == nullptr) refuse(ACL_ERROR_INVALID_PARAM, "context is NULL");
        currentContextForCleanup();
        *context = current;
        return ACL_SUCCESS;
    });
}

/// Operators read it (opbase, op_executor.cpp); the context's option stores both (runtime, api_c.cc).
aclError aclrtSetSysParamOpt(aclSysParamOpt option, int64_t value) {
    return call("aclrtSetSysParamOpt", format("%d %lld", (int)option, (long long)value), [&] {
        requireInitialized();
        if (option != ACL_OPT_DETERMINISTIC || value < 0 || value > 1) {
            refuse(ACL_ERROR_RT_PARAM_INVALID, "option %d has no value %lld", (int)option, (long long)value);
        }
        return ACL_SUCCESS;
    });
}

aclError aclrtSetOpExecuteTimeOut(uint32_t seconds) {
    return call("aclrtSetOpExecuteTimeOut", format("%u", seconds), [&] {
        requireInitialized();
        return ACL_SUCCESS;
    });
}

aclError aclrtCtxSetSysParamOpt(aclSysParamOpt option, int64_t value) {
    return call("aclrtCtxSetSysParamOpt", format("%d %lld", (int)option, (long long)value), [&] {
        currentContext();
        if (option != ACL_OPT_DETERMINISTIC || value < 0 || value > 1) {
            refuse(ACL_ERROR_RT_PARAM_INVALID, "option %d has no value %lld", (int)option, (long long)value);
        }
        return ACL_SUCCESS;
    });
}
