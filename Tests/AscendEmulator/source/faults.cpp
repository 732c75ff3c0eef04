#include "faults.hpp"

#include <cstdio>
#include <cstring>
#include <mutex>
#include <sstream>
#include <vector>

#include "AscendEmulator.h"
#include "profile.hpp"
#include "status.hpp"

namespace emulator {

struct Planned {
    bool isAllocation;
    uint64_t number;
    Fault fault;
};

struct Faults {
    std::mutex mutex;
    std::vector<Planned> planned;
    uint64_t allocations = 0, launches = 0;
};

static std::vector<Planned> parsed(const std::string &list) {
    std::vector<Planned> planned;
    std::istringstream items(list);
    for (std::string item; std::getline(items, item, ',');) {
        char kind[16];
        unsigned long long number = 0;
        unsigned milliseconds = 0;
        const int fields = sscanf(item.c_str(), "%15[a-z]@%llu:%u", kind, &number, &milliseconds);
        const auto is = [&](const char *name) { return fields >= 2 && number > 0 && strcmp(kind, name) == 0; };
        if (is("oom")) planned.push_back({true, number, {}});
        else if (is("aicore")) planned.push_back({false, number, {FaultKind::aicore, 0}});
        else if (is("slow") && fields == 3) planned.push_back({false, number, {FaultKind::slow, milliseconds}});
        else if (is("lost")) planned.push_back({false, number, {FaultKind::lost, 0}});
        else if (is("gone")) planned.push_back({false, number, {FaultKind::gone, 0}});
        else breach("there is no fault '%s'", item.c_str());
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

static Fault take(bool isAllocation, uint64_t number, bool &isPlanned) {
    std::vector<Planned> &planned = state().planned;
    for (auto fault = planned.begin(); fault != planned.end(); ++fault) {
        if (fault->isAllocation != isAllocation || fault->number != number) continue;
        const Fault taken = fault->fault;
        planned.erase(fault);
        isPlanned = true;
        return taken;
    }
    isPlanned = false;
    return {};
}

bool takeAllocationFault() {
    std::lock_guard lock(state().mutex);
    bool isPlanned;
    take(true, ++state().allocations, isPlanned);
    return isPlanned;
}

Fault takeLaunchFault() {
    std::lock_guard lock(state().mutex);
    bool isPlanned;
    return take(false, ++state().launches, isPlanned);
}

}  // namespace emulator

void AscendEmulator_inject(const char *faults) {
    emulator::Faults &state = emulator::state();
    std::lock_guard lock(state.mutex);
    state.planned = emulator::parsed(faults);
    state.allocations = 0;
    state.launches = 0;
}
