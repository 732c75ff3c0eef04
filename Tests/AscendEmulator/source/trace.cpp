#include "trace.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>

#include "AscendEmulator.h"
#include "profile.hpp"
#include "status.hpp"

namespace emulator {

static constexpr size_t ringLength = 1 << 16;

struct Trace {
    std::mutex mutex;
    std::deque<std::string> lines;
    std::map<std::string, uint64_t> counts;
    FILE *file = profile().trace.empty() ? nullptr : fopen(profile().trace.c_str(), "a");
};

/// Never destroyed: threads of the process may still call while its static objects are torn down.
static Trace &state() {
    static Trace *const trace = new Trace;
    return *trace;
}

void trace(const char *name, const std::string &arguments) {
    Trace &trace = state();
    static thread_local const long thread = (long)syscall(SYS_gettid);
    const std::string line = format("%ld %s %s", thread, name, arguments.c_str());
    std::lock_guard lock(trace.mutex);
    trace.counts[name]++;
    if (trace.lines.size() == ringLength) trace.lines.pop_front();
    trace.lines.push_back(line);
    if (trace.file != nullptr) {
        fprintf(trace.file, "%s\n", line.c_str());
        fflush(trace.file);
    }
}

}  // namespace emulator

using emulator::state;

uint64_t AscendEmulator_calls(const char *name) {
    std::lock_guard lock(state().mutex);
    const size_t length = strlen(name);
    if (length == 0 || name[length - 1] != '*') {
        const auto found = state().counts.find(name);
        return found == state().counts.end() ? 0 : found->second;
    }
    uint64_t sum = 0;
    for (const auto &[other, count] : state().counts) {
        if (other.compare(0, length - 1, name, length - 1) == 0) sum += count;
    }
    return sum;
}

void AscendEmulator_resetTrace(void) {
    std::lock_guard lock(state().mutex);
    state().counts.clear();
    state().lines.clear();
}

size_t AscendEmulator_trace(char *text, size_t length) {
    std::lock_guard lock(state().mutex);
    std::string all;
    for (const std::string &line : state().lines) all += line + "\n";
    snprintf(text, length, "%s", all.c_str());
    return all.size();
}
