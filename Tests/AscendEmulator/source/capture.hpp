// Captured sequences: operators enqueued on a capturing stream run when the sequence is executed, not before.

#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "CAscendTypes.h"

namespace emulator {

struct Device;
class Stream;

/// One captured sequence. Operators take their faults when they run again, like any launch.
struct Captured {
    static constexpr uint32_t alive = 0xcab70001;
    struct Task {
        std::string name;
        std::function<std::function<void()>()> make;
    };

    uint32_t marker = alive;
    Device *device = nullptr;
    std::vector<Task> tasks;
    aclmdlRICaptureMode mode = ACL_MODEL_RI_CAPTURE_MODE_GLOBAL;
    std::thread::id owner;
    /// A call was refused that the sequence needs.
    bool isInvalid = false;
    /// Unfinished executions.
    std::atomic<int> running{0};
};

/// The sequence into which a stream is captured; null: none.
std::shared_ptr<Captured> captureOf(Stream *stream);
/// A device's reset destroys its sequences.
void forgetCaptures(Device *device);

/// Refuses a call that cannot be ordered with the captured ones: with 107030, after which the capture is void.
void requireNoCapture(const char *what);

/// A line for each sequence that was never destroyed.
std::string liveCaptures();

}  // namespace emulator
