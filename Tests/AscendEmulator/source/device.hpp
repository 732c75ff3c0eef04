// Devices, contexts, streams and events as handles: the live ones, their owners, and each thread's context.

#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "CAscendTypes.h"
#include "memory.hpp"

namespace emulator {

class Stream;

struct Device {
    int number;
    /// SetDevice calls that have not been undone.
    int uses = 0;
    std::atomic<bool> isGone{false};
    /// A forced reset is in progress: no queued work runs any more.
    std::atomic<bool> isAborting{false};
    aclrtContext primary = nullptr;

    /// After an exception or a loss every call fails with this until the device is reset; 0: none.
    std::atomic<int32_t> failure{0};
    std::string failureText;
};

struct Context {
    Device *device;
    bool isPrimary;
    std::shared_ptr<Stream> defaultStream;
};

struct Event {
    Context *context;
    std::mutex mutex;
    std::condition_variable changed;
    /// The number of records, and the last record that ran. Never recorded: complete.
    uint64_t recorded = 0, completed = 0;
    uint64_t completedAt = 0;
    bool hasTime = false;
    /// Made by CreateEventExWithFlag: no hardware resource, and not valid for every call.
    bool isExtended = false;
    /// The stream of the last record, whose failure a wait reports. Not an owner: a task of the stream may hold the event, and
    /// a stream cannot end on its own worker.
    std::weak_ptr<Stream> stream;
};

/// A queue with its own worker, which runs tasks in order, each after a delay from a seeded source.
class Stream {
public:
    Context *const context;

    explicit Stream(Context *context);
    /// Runs the queued tasks, then ends the worker.
    ~Stream();

    void enqueue(std::string name, std::function<void()> task);

    /// The stream whose task runs on the calling thread.
    static Stream *current();

    /// Ends the running task and drops the queued ones; tasks enqueued later run.
    void abort();
    /// Whether the running task must end immediately.
    std::atomic<bool> isAborting{false};
    /// Whether a task is held, which would block a reset.
    std::atomic<bool> isHeld{false};

    /// Waits; a negative number of milliseconds: forever. False: timed out.
    bool wait(int32_t milliseconds);
    bool isIdle();

    /// The failure of a task since the last call of this function; 0: none.
    int32_t takeFailure(std::string &text);
    bool hasFailed();
    void fail(int32_t code, const std::string &text);

private:
    struct Task {
        std::string name;
        std::function<void()> body;
    };

    void work();

    std::mutex mutex;
    std::condition_variable changed;
    std::deque<Task> tasks;
    bool isRunning = false, isEnding = false;
    int32_t failure = 0;
    std::string failureText;
    uint64_t random;
    std::thread worker;
};

/// Whether aclInit has been called and aclFinalize has not; refuses with 100001 otherwise.
void requireInitialized();

/// The calling thread's context; refuses with 107002 if it has none, and with the device's failure if it has failed.
Context *currentContext();
/// The same for calls that clean up: a failed device does not refuse them.
Context *currentContextForCleanup();

/// The stream of a handle, or the current context's default one; refuses 107003 for a stream of another context unless
/// `anyContext`, 107017 for an invalid handle.
std::shared_ptr<Stream> requireStream(aclrtStream handle, bool anyContext = false);
std::shared_ptr<Event> requireEvent(aclrtEvent handle);

/// Marks the stream's device as failed: an AI core's exception, a lost device.
void failDevice(Device *device, int32_t code, const std::string &text);

}  // namespace emulator
