#include "faults.hpp"

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <vector>

#include "AscendEmulator.h"
#include "profile.hpp"
#include "status.hpp"

namespace emulator {

/// The events by which faults are counted.
enum class Site { allocation, plan, capture, launch, wait };

struct Planned {
    Site site;
    uint64_t number;
    FaultKind kind;
};

struct Faults {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<Planned> planned;
    uint64_t allocations = 0, plans = 0, captures = 0, launches = 0, waits = 0;
    /// How many held operators may continue, of all past and future ones.
    uint64_t releases = 0, held = 0;
    bool isFileRead = false;
};

static std::vector<Planned> parsed(const std::string &list) {
    static const std::map<std::string, std::pair<Site, FaultKind>> kinds = {
        {"oom", {Site::allocation, FaultKind::none}}, {"aicore", {Site::launch, FaultKind::aicore}},
        {"hold", {Site::launch, FaultKind::hold}},    {"lost", {Site::launch, FaultKind::lost}},
        {"gone", {Site::launch, FaultKind::gone}},    {"late", {Site::wait, FaultKind::none}},
        {"refuse", {Site::plan, FaultKind::none}},     {"full", {Site::capture, FaultKind::none}}};
    std::vector<Planned> planned;
    std::istringstream items(list);
    for (std::string item; std::getline(items, item, ',');) {
        char kind[16];
        unsigned long long number = 0;
        if (sscanf(item.c_str(), "%15[a-z]@%llu", kind, &number) != 2 || number == 0) breach("there is no fault '%s'", item.c_str());
        const auto found = kinds.find(kind);
        if (found == kinds.end()) breach("there is no fault '%s'", item.c_str());
        planned.push_back({found->second.first, number, found->second.second});
    }
    return planned;
}

static Faults &state() {
    static Faults *const faults = [] {
        Faults *made = new Faults;
        made->planned = parsed(profile().faults);
        return made;
    }();
    return *faults;
}

/// Forgets earlier plans and starts to count. The mutex is held.
static void plan(Faults &faults, const std::string &list) {
    faults.planned = parsed(list);
    faults.allocations = 0;
    faults.plans = 0;
    faults.captures = 0;
    faults.launches = 0;
    faults.waits = 0;
}

/// Plans the faults in the file once it exists. The mutex is held.
static void readFile() {
    if (state().isFileRead || profile().faultsFile.empty()) return;
    std::ifstream file(profile().faultsFile);
    std::string list;
    if (!std::getline(file, list)) return;
    state().isFileRead = true;
    std::remove(profile().faultsFile.c_str());
    plan(state(), list);
}

/// The mutex is held.
static bool take(Site site, uint64_t Faults::*count, FaultKind &kind) {
    readFile();
    const uint64_t number = ++(state().*count);
    std::vector<Planned> &planned = state().planned;
    for (auto fault = planned.begin(); fault != planned.end(); ++fault) {
        if (fault->site != site || fault->number != number) continue;
        kind = fault->kind;
        planned.erase(fault);
        return true;
    }
    return false;
}

bool takeAllocationFault() {
    std::lock_guard lock(state().mutex);
    FaultKind kind;
    return take(Site::allocation, &Faults::allocations, kind);
}

bool takePlanFault() {
    std::lock_guard lock(state().mutex);
    FaultKind kind;
    return take(Site::plan, &Faults::plans, kind);
}

bool takeCaptureFault() {
    std::lock_guard lock(state().mutex);
    FaultKind kind;
    return take(Site::capture, &Faults::captures, kind);
}

FaultKind takeLaunchFault() {
    std::lock_guard lock(state().mutex);
    FaultKind kind = FaultKind::none;
    take(Site::launch, &Faults::launches, kind);
    return kind;
}

bool takeWaitFault() {
    std::lock_guard lock(state().mutex);
    FaultKind kind;
    return take(Site::wait, &Faults::waits, kind);
}

bool waitForRelease(const std::atomic<bool> &isReset, const std::atomic<bool> &isAborted) {
    std::unique_lock lock(state().mutex);
    const uint64_t number = ++state().held;
    state().changed.notify_all();
    state().changed.wait(lock, [&] { return state().releases >= number || isReset || isAborted; });
    if (state().releases >= number) return true;
    // No release is needed any more.
    state().releases++;
    return false;
}

void wakeHeld() {
    std::lock_guard lock(state().mutex);
    state().changed.notify_all();
}

}  // namespace emulator

void AscendEmulator_inject(const char *faults) {
    emulator::Faults &state = emulator::state();
    std::lock_guard lock(state.mutex);
    emulator::plan(state, faults);
    // An unused release does not carry over.
    state.releases = std::min(state.releases, state.held);
}

void AscendEmulator_awaitHeld(void) {
    emulator::Faults &state = emulator::state();
    std::unique_lock lock(state.mutex);
    state.changed.wait(lock, [&] { return state.held > state.releases; });
}

void AscendEmulator_release(void) {
    emulator::Faults &state = emulator::state();
    std::lock_guard lock(state.mutex);
    state.releases++;
    state.changed.notify_all();
}
