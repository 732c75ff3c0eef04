// The table of live objects. A handle is a number that is never reused and never an address, so that a stale one is
// always recognised and none can be dereferenced.

#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "device.hpp"

namespace emulator {

struct Handles {
    std::mutex mutex;
    bool isInitialized = false;
    std::vector<std::unique_ptr<Device>> devices;
    std::map<aclrtContext, std::shared_ptr<Context>> contexts;
    std::map<aclrtStream, std::shared_ptr<Stream>> streams;
    std::map<aclrtEvent, std::shared_ptr<Event>> events;
    std::vector<std::shared_ptr<Context>> retired;
    uintptr_t next = 0x1000;

    /// The mutex is held.
    void *makeHandle() { return (void *)(next += 0x10); }
};

Handles &handles();

}  // namespace emulator
