#include "capture.hpp"

#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "calls.hpp"
#include "device.hpp"
#include "faults.hpp"
#include "functions.hpp"
#include "handles.hpp"
#include "objects.hpp"
#include "profile.hpp"

namespace emulator {

struct Captures {
    std::mutex mutex;
    /// Active captures, by stream.
    std::map<Stream *, std::shared_ptr<Captured>> open;
    std::map<aclmdlRI, std::shared_ptr<Captured>> finished;
};

static Captures &state() {
    static Captures *const captures = new Captures;
    return *captures;
}

std::shared_ptr<Captured> captureOf(Stream *stream) {
    std::lock_guard lock(state().mutex);
    const auto found = state().open.find(stream);
    return found == state().open.end() ? nullptr : found->second;
}

void requireNoCapture(const char *what) {
    std::lock_guard lock(state().mutex);
    for (const auto &[stream, capture] : state().open) {
        if (capture->mode == ACL_MODEL_RI_CAPTURE_MODE_RELAXED) continue;
        if (capture->mode == ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL && capture->owner != std::this_thread::get_id()) continue;
        capture->isInvalid = true;
        refuse(ACL_ERROR_RT_CAPTURE_MODE_NOT_SUPPORT, "%s is called while a stream is captured", what);
    }
}

std::string liveCaptures() {
    std::lock_guard lock(state().mutex);
    std::string text;
    for (const auto &[handle, captured] : state().finished) text += format("captured sequence %p; ", handle);
    return text;
}

void forgetCaptures(Device *device) {
    std::lock_guard lock(state().mutex);
    for (auto entry = state().finished.begin(); entry != state().finished.end();) {
        entry = entry->second->device == device ? state().finished.erase(entry) : std::next(entry);
    }
    for (auto entry = state().open.begin(); entry != state().open.end();) {
        entry = entry->second->device == device ? state().open.erase(entry) : std::next(entry);
    }
}

static std::shared_ptr<Captured> requireFinished(aclmdlRI handle) {
    std::lock_guard lock(state().mutex);
    const auto found = state().finished.find(handle);
    if (found == state().finished.end()) breach("%p is no captured sequence, or was destroyed", handle);
    return found->second;
}

}  // namespace emulator

using namespace emulator;

aclError aclmdlRICaptureBegin(aclrtStream handle, aclmdlRICaptureMode mode) {
    return call("aclmdlRICaptureBegin", format("%p %d", handle, (int)mode), [&] {
        // Atlas A2 and later, and 310P in the runtime of 9.x (docs of aclmdlRICaptureBegin); not the first generation.
        const bool canCapture = profile().isA2OrLater() || (profile().is310P() && profile().generation == 9);
        if (!canCapture) refuse(ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "%s captures nothing", profile().soc.c_str());
        if (handle == nullptr) refuse(ACL_ERROR_RT_PARAM_INVALID, "the default stream cannot be captured");
        if (mode < 0 || mode > 2) refuse(ACL_ERROR_RT_PARAM_INVALID, "there is no mode %d", (int)mode);
        auto stream = requireStream(handle);
        std::lock_guard lock(state().mutex);
        // Captured sequences use streams of the device (vllm-ascend, acl_graph.py: "insufficient stream resources").
        if (state().finished.size() >= profile().captures) {
            refuse(ACL_ERROR_RT_NO_STREAM_RESOURCE, "all %zu captured sequences have their streams", profile().captures);
        }
        if (takeCaptureFault()) refuse(ACL_ERROR_RT_NO_STREAM_RESOURCE, "no stream is left, as injected");
        if (state().open.count(stream.get()) != 0) refuse(ACL_ERROR_RT_STREAM_CAPTURED, "stream %p is captured already", handle);
        auto capture = std::make_shared<Captured>();
        capture->device = stream->context->device;
        capture->mode = mode;
        capture->owner = std::this_thread::get_id();
        state().open[stream.get()] = capture;
        return ACL_SUCCESS;
    });
}

aclError aclmdlRICaptureEnd(aclrtStream handle, aclmdlRI *captured) {
    return call("aclmdlRICaptureEnd", format("%p", handle), [&] {
        if (captured == nullptr) refuse(ACL_ERROR_INVALID_PARAM, "the out parameter is NULL");
        *captured = nullptr;
        auto stream = requireStream(handle);
        std::lock_guard lock(state().mutex);
        const auto found = state().open.find(stream.get());
        if (found == state().open.end()) refuse(ACL_ERROR_RT_STREAM_NOT_CAPTURED, "stream %p is not captured", handle);
        const auto capture = found->second;
        state().open.erase(found);
        if (capture->isInvalid) refuse(ACL_ERROR_RT_STREAM_CAPTURE_INVALIDATED, "a call was refused while the stream was captured");
        static uintptr_t next = 0x700000;
        *captured = (aclmdlRI)(next += 0x10);
        state().finished[*captured] = capture;
        return ACL_SUCCESS;
    });
}

aclError aclmdlRIExecuteAsync(aclmdlRI handle, aclrtStream streamHandle) {
    return call("aclmdlRIExecuteAsync", format("%p %p", handle, streamHandle), [&] {
        auto stream = requireStream(streamHandle);
        const auto captured = requireFinished(handle);
        if (captured->device != stream->context->device) refuse(ACL_ERROR_RT_MODEL_CONTEXT, "the sequence is another device's");
        if (captureOf(stream.get()) != nullptr) refuse(ACL_ERROR_RT_STREAM_CAPTURED, "stream %p is captured", streamHandle);
        captured->running++;
        for (const Captured::Task &task : captured->tasks) stream->enqueue(task.name, task.make());
        stream->enqueue("the end of a captured sequence", [captured] { captured->running--; });
        return ACL_SUCCESS;
    });
}

aclError aclmdlRIDestroy(aclmdlRI handle) {
    return call("aclmdlRIDestroy", format("%p", handle), [&] {
        const auto captured = requireFinished(handle);
        if (captured->running > 0) breach("%p is destroyed while it runs", handle);
        std::lock_guard lock(state().mutex);
        state().finished.erase(handle);
        return ACL_SUCCESS;
    });
}
