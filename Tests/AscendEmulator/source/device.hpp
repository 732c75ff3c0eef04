// Devices, contexts, streams and events as handles: what is alive, whose it is, and which context a thread has.

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
    /// SetDevice calls that were not undone.
    int uses = 0;
    std::atomic<bool> isGone{false};
    /// A reset by force is under way: nothing that is queued runs any more.
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
    /// How often it was recorded, and the last record that ran. Never recorded: complete.
    uint64_t recorded = 0, completed = 0;
    uint64_t completedAt = 0;
    bool hasTime = false;
    /// Made by CreateEventExWithFlag: no hardware resource, and not for every call.
    bool isExtended = false;
    /// The stream of the last record, whose failure a wait reports. Not an owner: a task of the stream may hold the event, and
    /// a stream cannot end on its own worker.
    std::weak_ptr<Stream> stream;
};

/// A queue with a worker of its own, which runs tasks in order, each after a delay from a seeded source.
class Stream {
public:
    Context *const context;

    explicit Stream(Context *context);
    /// Runs what is queued, then ends the worker.
    ~Stream();

    void enqueue(std::string name, std::function<void()> task);

    /// The stream whose task runs on the calling thread.
    static Stream *current();

    /// Ends what runs and drops what is queued; what is enqueued after it runs.
    void abort();
    /// Whether what runs is to end at once.
    std::atomic<bool> isAborting{false};
    /// Whether a task is held, which would hold up a reset.
    std::atomic<bool> isHeld{false};

    /// Waits; a negative number of milliseconds: for ever. False: not in time.
    bool wait(int32_t milliseconds);
    bool isIdle();

    /// The failure of a task since the last time this was asked; 0: none.
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

/// The calling thread's context; refuses with 107002 where it has none, and with the device's failure where it has failed.
Context *currentContext();
/// The same for calls that clean up: a failed device does not refuse them.
Context *currentContextForCleanup();

/// The stream behind a handle, or the current context's default one; refuses 107003 for a stream of another context
/// unless `anyContext`, 107017 for a handle that is none.
std::shared_ptr<Stream> requireStream(aclrtStream handle, bool anyContext = false);
std::shared_ptr<Event> requireEvent(aclrtEvent handle);

/// Marks the stream's device as failed: an AI core's exception, a lost device.
void failDevice(Device *device, int32_t code, const std::string &text);

}  // namespace emulator
