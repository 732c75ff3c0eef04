// Streams: queues that run later, on separate threads.

#include <chrono>

#include "CAscendStatus.h"
#include "device.hpp"
#include "faults.hpp"
#include "profile.hpp"
#include "status.hpp"

namespace emulator {

static uint64_t nextRandom(uint64_t &state) {
    state += 0x9e3779b97f4a7c15;
    uint64_t value = state;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
    value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
    return value ^ (value >> 31);
}

Stream::Stream(Context *context) : context(context) {
    static std::atomic<uint64_t> made{0};
    random = profile().seed * 0x100000001b3 + made++;
    worker = std::thread([this] { work(); });
}

static thread_local Stream *running = nullptr;

Stream *Stream::current() { return running; }

void Stream::abort() {
    isAborting = true;
    {
        std::lock_guard lock(mutex);
        tasks.clear();
    }
    wakeHeld();
    wait(-1);
    isAborting = false;
}

Stream::~Stream() {
    {
        std::lock_guard lock(mutex);
        isEnding = true;
    }
    changed.notify_all();
    worker.join();
}

void Stream::enqueue(std::string name, std::function<void()> task) {
    {
        std::lock_guard lock(mutex);
        tasks.push_back({std::move(name), std::move(task)});
    }
    changed.notify_all();
}

void Stream::work() {
    running = this;
    std::unique_lock lock(mutex);
    while (true) {
        changed.wait(lock, [this] { return isEnding || !tasks.empty(); });
        if (tasks.empty()) return;
        Task task = std::move(tasks.front());
        tasks.pop_front();
        isRunning = true;
        // From zero to twice the average, and occasionally eight times as long: enough to reverse any order that
        // nothing enforces.
        const uint64_t number = nextRandom(random);
        uint64_t delay = profile().delay == 0 ? 0 : number % (2 * profile().delay + 1);
        if (number >> 60 == 0) delay *= 8;
        lock.unlock();
        if (delay > 0) std::this_thread::sleep_for(std::chrono::microseconds(delay));
        try {
            task.body();
        } catch (const MemoryFault &fault) {
            fail(fault.code, task.name + ": " + fault.message);
            failDevice(context->device, fault.code, task.name + ": " + fault.message);
        }
        // The task's resources are released before the stream can be seen as idle.
        task.body = nullptr;
        lock.lock();
        isRunning = false;
        changed.notify_all();
    }
}

bool Stream::wait(int32_t milliseconds) {
    std::unique_lock lock(mutex);
    const auto isDone = [this] { return tasks.empty() && !isRunning; };
    if (milliseconds < 0) {
        changed.wait(lock, isDone);
        return true;
    }
    return changed.wait_for(lock, std::chrono::milliseconds(milliseconds), isDone);
}

bool Stream::isIdle() {
    std::lock_guard lock(mutex);
    return tasks.empty() && !isRunning;
}

void Stream::fail(int32_t code, const std::string &text) {
    std::lock_guard lock(mutex);
    if (failure != 0) return;
    failure = code;
    failureText = text;
}

bool Stream::hasFailed() {
    std::lock_guard lock(mutex);
    return failure != 0;
}

int32_t Stream::takeFailure(std::string &text) {
    std::lock_guard lock(mutex);
    const int32_t code = failure;
    text = failureText;
    failure = 0;
    failureText.clear();
    return code;
}

}  // namespace emulator
