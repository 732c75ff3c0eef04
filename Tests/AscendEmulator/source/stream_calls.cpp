// Streams and events as ACL's calls.

#include <chrono>

#include "calls.hpp"
#include "capture.hpp"
#include "faults.hpp"
#include "functions.hpp"
#include "handles.hpp"
#include "profile.hpp"

namespace emulator {

std::shared_ptr<Stream> requireStream(aclrtStream handle, bool anyContext) {
    Context *context = currentContext();
    std::lock_guard lock(handles().mutex);
    if (handle == nullptr) return context->defaultStream;
    const auto found = handles().streams.find(handle);
    if (found == handles().streams.end()) refuse(ACL_ERROR_RT_INVALID_HANDLE, "%p is no stream", handle);
    if (!anyContext && found->second->context != context) {
        refuse(ACL_ERROR_RT_STREAM_CONTEXT, "stream %p belongs to another context than the thread's", handle);
    }
    return found->second;
}

std::shared_ptr<Event> requireEvent(aclrtEvent handle) {
    if (handle == nullptr) refuse(ACL_ERROR_INVALID_PARAM, "event is NULL");
    std::lock_guard lock(handles().mutex);
    const auto found = handles().events.find(handle);
    if (found == handles().events.end()) refuse(ACL_ERROR_RT_INVALID_HANDLE, "%p is no event", handle);
    return found->second;
}

static aclrtStream makeStream(uint32_t flags) {
    Context *context = currentContext();
    if ((flags & ~3u) != 0) refuse(ACL_ERROR_INVALID_PARAM, "there are no stream flags %u", flags);
    std::lock_guard lock(handles().mutex);
    if (handles().streams.size() >= profile().streamLimit()) {
        refuse(ACL_ERROR_RT_NO_STREAM_RESOURCE, "all %zu streams are taken", profile().streamLimit());
    }
    const aclrtStream handle = handles().makeHandle();
    handles().streams[handle] = std::make_shared<Stream>(context);
    return handle;
}

static aclrtEvent makeEvent(bool isExtended, bool hasTime) {
    Context *context = currentContext();
    std::lock_guard lock(handles().mutex);
    size_t counted = 0;
    for (const auto &[handle, event] : handles().events) counted += !event->isExtended;
    if (!isExtended && counted >= profile().eventLimit()) {
        refuse(ACL_ERROR_RT_NO_EVENT_RESOURCE, "all %zu events are taken", profile().eventLimit());
    }
    auto event = std::make_shared<Event>();
    event->context = context;
    event->isExtended = isExtended;
    event->hasTime = hasTime;
    const aclrtEvent handle = handles().makeHandle();
    handles().events[handle] = event;
    return handle;
}

/// Throws the failure of the stream's tasks.
static void reportFailure(Stream &stream) {
    std::string text;
    if (const int32_t code = stream.takeFailure(text); code != 0) refuse(code, "%s", text.c_str());
}

/// A capturing stream can be neither waited for nor queried, nor can the emulator order it by events.
static void requireNotCaptured(Stream &stream) {
    if (const auto capture = captureOf(&stream)) {
        capture->isInvalid = true;
        refuse(ACL_ERROR_RT_STREAM_CAPTURED, "the stream is captured");
    }
}

static aclError synchronize(aclrtStream handle, int32_t milliseconds) {
    if (milliseconds < -1) refuse(ACL_ERROR_RT_PARAM_INVALID, "a time-out of %d ms", milliseconds);
    auto stream = requireStream(handle, true);
    requireNotCaptured(*stream);
    if ((milliseconds >= 0 && takeWaitFault()) || !stream->wait(milliseconds)) {
        refuse(ACL_ERROR_RT_STREAM_SYNC_TIMEOUT, "the stream is not idle after %d ms", milliseconds);
    }
    reportFailure(*stream);
    currentContext();
    return ACL_SUCCESS;
}

static uint64_t microseconds() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return (uint64_t)std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

}  // namespace emulator

using namespace emulator;

aclError aclrtCreateStream(aclrtStream *stream) {
    return call("aclrtCreateStream", "", [&] {
        if (stream == nullptr) refuse(ACL_ERROR_INVALID_PARAM, "stream is NULL");
        *stream = makeStream(0);
        return ACL_SUCCESS;
    });
}

aclError aclrtCreateStreamWithConfig(aclrtStream *stream, uint32_t priority, uint32_t flags) {
    return call("aclrtCreateStreamWithConfig", format("%u %u", priority, flags), [&] {
        if (stream == nullptr) refuse(ACL_ERROR_INVALID_PARAM, "stream is NULL");
        if (priority != 0) refuse(ACL_ERROR_INVALID_PARAM, "priority %u is reserved", priority);
        *stream = makeStream(flags);
        return ACL_SUCCESS;
    });
}

aclError aclrtDestroyStream(aclrtStream handle) {
    return call("aclrtDestroyStream", format("%p", handle), [&] {
        if (handle == nullptr) refuse(ACL_ERROR_INVALID_PARAM, "stream is NULL");
        Context *context = currentContextForCleanup();
        // Ends after the lock: its destructor runs the queued tasks.
        std::shared_ptr<Stream> ended;
        std::lock_guard lock(handles().mutex);
        const auto found = handles().streams.find(handle);
        if (found == handles().streams.end()) refuse(ACL_ERROR_RT_INVALID_HANDLE, "%p is no stream", handle);
        if (found->second->context != context) {
            refuse(ACL_ERROR_RT_STREAM_CONTEXT, "stream %p belongs to another context than the thread's", handle);
        }
        ended = found->second;
        handles().streams.erase(found);
        return ACL_SUCCESS;
    });
}

/// Atlas A2 and later (runtime, docs of aclrtStreamAbort).
aclError aclrtStreamAbort(aclrtStream handle) {
    return call("aclrtStreamAbort", format("%p", handle), [&] {
        if (handle == nullptr) refuse(ACL_ERROR_INVALID_PARAM, "stream is NULL");
        if (!profile().isA2OrLater()) refuse(ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "%s aborts no stream", profile().soc.c_str());
        currentContextForCleanup();
        std::shared_ptr<Stream> stream;
        {
            std::lock_guard lock(handles().mutex);
            const auto found = handles().streams.find(handle);
            if (found == handles().streams.end()) refuse(ACL_ERROR_RT_INVALID_HANDLE, "%p is no stream", handle);
            stream = found->second;
        }
        stream->abort();
        return ACL_SUCCESS;
    });
}

aclError aclrtDestroyStreamForce(aclrtStream handle) {
    return call("aclrtDestroyStreamForce", format("%p", handle), [&] {
        if (handle == nullptr) refuse(ACL_ERROR_INVALID_PARAM, "stream is NULL");
        currentContextForCleanup();
        std::shared_ptr<Stream> ended;
        {
            std::lock_guard lock(handles().mutex);
            const auto found = handles().streams.find(handle);
            if (found == handles().streams.end()) refuse(ACL_ERROR_RT_INVALID_HANDLE, "%p is no stream", handle);
            ended = found->second;
            handles().streams.erase(found);
        }
        ended->abort();
        return ACL_SUCCESS;
    });
}

aclError aclrtSynchronizeStream(aclrtStream stream) {
    return call("aclrtSynchronizeStream", format("%p", stream), [&] { return synchronize(stream, -1); });
}

aclError aclrtSynchronizeStreamWithTimeout(aclrtStream stream, int32_t milliseconds) {
    return call("aclrtSynchronizeStreamWithTimeout", format("%p %d", stream, milliseconds), [&] {
        return synchronize(stream, milliseconds);
    });
}

aclError aclrtStreamQuery(aclrtStream handle, aclrtStreamStatus *status) {
    return call("aclrtStreamQuery", format("%p", handle), [&] {
        if (status == nullptr) refuse(ACL_ERROR_INVALID_PARAM, "status is NULL");
        auto stream = requireStream(handle, true);
        requireNotCaptured(*stream);
        *status = stream->isIdle() ? ACL_STREAM_STATUS_COMPLETE : ACL_STREAM_STATUS_NOT_READY;
        reportFailure(*stream);
        return ACL_SUCCESS;
    });
}

aclError aclrtCreateEvent(aclrtEvent *event) {
    return call("aclrtCreateEvent", "", [&] {
        if (event == nullptr) refuse(ACL_ERROR_INVALID_PARAM, "event is NULL");
        *event = makeEvent(false, true);
        return ACL_SUCCESS;
    });
}

aclError aclrtCreateEventExWithFlag(aclrtEvent *event, uint32_t flags) {
    return call("aclrtCreateEventExWithFlag", format("%u", flags), [&] {
        if (event == nullptr) refuse(ACL_ERROR_INVALID_PARAM, "event is NULL");
        if (flags == 0 || (flags & ~0x2bu) != 0) refuse(ACL_ERROR_RT_PARAM_INVALID, "there are no event flags %u", flags);
        *event = makeEvent(true, (flags & ACL_EVENT_TIME_LINE) != 0);
        return ACL_SUCCESS;
    });
}

aclError aclrtDestroyEvent(aclrtEvent event) {
    return call("aclrtDestroyEvent", format("%p", event), [&] {
        currentContextForCleanup();
        requireEvent(event);
        std::lock_guard lock(handles().mutex);
        handles().events.erase(event);
        return ACL_SUCCESS;
    });
}

aclError aclrtRecordEvent(aclrtEvent eventHandle, aclrtStream streamHandle) {
    return call("aclrtRecordEvent", format("%p %p", eventHandle, streamHandle), [&] {
        auto stream = requireStream(streamHandle);
        requireNotCaptured(*stream);
        auto event = requireEvent(eventHandle);
        std::lock_guard lock(event->mutex);
        event->stream = stream;
        const uint64_t number = ++event->recorded;
        stream->enqueue("aclrtRecordEvent", [event, number] {
            std::lock_guard lock(event->mutex);
            event->completed = number;
            event->completedAt = microseconds();
            event->changed.notify_all();
        });
        return ACL_SUCCESS;
    });
}

aclError aclrtStreamWaitEvent(aclrtStream streamHandle, aclrtEvent eventHandle) {
    return call("aclrtStreamWaitEvent", format("%p %p", streamHandle, eventHandle), [&] {
        auto stream = requireStream(streamHandle);
        requireNotCaptured(*stream);
        auto event = requireEvent(eventHandle);
        std::lock_guard lock(event->mutex);
        // Before the first record the wait returns immediately.
        const uint64_t number = event->recorded;
        stream->enqueue("aclrtStreamWaitEvent", [event, number] {
            std::unique_lock lock(event->mutex);
            const auto hasCome = [&] { return event->completed >= number; };
            // A record that was dropped with its stream never happens (runtime, docs of aclrtStreamAbort).
            while (!event->changed.wait_for(lock, std::chrono::milliseconds(2), hasCome)) {
                if (Stream::current()->isAborting) return;
            }
        });
        return ACL_SUCCESS;
    });
}

aclError aclrtSynchronizeEventWithTimeout(aclrtEvent handle, int32_t milliseconds) {
    return call("aclrtSynchronizeEventWithTimeout", format("%p %d", handle, milliseconds), [&] {
        if (milliseconds < -1) refuse(ACL_ERROR_RT_PARAM_INVALID, "a time-out of %d ms", milliseconds);
        currentContext();
        auto event = requireEvent(handle);
        std::shared_ptr<Stream> stream;
        {
            std::unique_lock lock(event->mutex);
            const uint64_t number = event->recorded;
            const auto isDone = [&] { return event->completed >= number; };
            if (milliseconds >= 0 && takeWaitFault()) {
                refuse(ACL_ERROR_RT_EVENT_SYNC_TIMEOUT, "the event has not come after %d ms, as injected", milliseconds);
            }
            if (milliseconds < 0) event->changed.wait(lock, isDone);
            else if (!event->changed.wait_for(lock, std::chrono::milliseconds(milliseconds), isDone)) {
                refuse(ACL_ERROR_RT_EVENT_SYNC_TIMEOUT, "the event has not come after %d ms", milliseconds);
            }
            stream = event->stream.lock();
        }
        if (stream) reportFailure(*stream);
        currentContext();
        return ACL_SUCCESS;
    });
}

aclError aclrtQueryEvent(aclrtEvent handle, aclrtEventStatus *status) {
    return call("aclrtQueryEvent", format("%p", handle), [&] {
        currentContext();
        auto event = requireEvent(handle);
        if (status == nullptr) refuse(ACL_ERROR_INVALID_PARAM, "status is NULL");
        if (event->isExtended) refuse(ACL_ERROR_RT_FEATURE_NOT_SUPPORT, "aclrtQueryEvent is not for extended events");
        std::lock_guard lock(event->mutex);
        *status = event->completed >= event->recorded ? ACL_EVENT_STATUS_COMPLETE : ACL_EVENT_STATUS_NOT_READY;
        return ACL_SUCCESS;
    });
}

aclError aclrtQueryEventStatus(aclrtEvent handle, aclrtEventRecordedStatus *status) {
    return call("aclrtQueryEventStatus", format("%p", handle), [&] {
        currentContext();
        auto event = requireEvent(handle);
        if (status == nullptr) refuse(ACL_ERROR_INVALID_PARAM, "status is NULL");
        std::lock_guard lock(event->mutex);
        *status = event->completed >= event->recorded ? ACL_EVENT_RECORDED_STATUS_COMPLETE
                                                      : ACL_EVENT_RECORDED_STATUS_NOT_READY;
        return ACL_SUCCESS;
    });
}

aclError aclrtEventElapsedTime(float *milliseconds, aclrtEvent startHandle, aclrtEvent endHandle) {
    return call("aclrtEventElapsedTime", format("%p %p", startHandle, endHandle), [&] {
        currentContext();
        auto start = requireEvent(startHandle), end = requireEvent(endHandle);
        if (milliseconds == nullptr) refuse(ACL_ERROR_INVALID_PARAM, "milliseconds is NULL");
        uint64_t times[2];
        Event *events[2] = {start.get(), end.get()};
        for (int index = 0; index < 2; index++) {
            std::lock_guard lock(events[index]->mutex);
            if (!events[index]->hasTime || events[index]->recorded == 0) {
                refuse(ACL_ERROR_RT_INTERNAL_ERROR, "an event has no time: it was never recorded, or made without TIME_LINE");
            }
            if (events[index]->completed < events[index]->recorded) {
                refuse(ACL_ERROR_RT_EVENT_TIMESTAMP_INVALID, "an event has not come yet");
            }
            times[index] = events[index]->completedAt;
        }
        if (times[1] < times[0]) refuse(ACL_ERROR_RT_EVENT_TIMESTAMP_REVERSAL, "the end is before the start");
        *milliseconds = (float)(times[1] - times[0]) / 1000;
        return ACL_SUCCESS;
    });
}
