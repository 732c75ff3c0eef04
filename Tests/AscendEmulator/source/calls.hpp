// The boundary of a call: traces it on entry, and converts a refusal to a code and a message on exit.

#pragma once

#include "CAscendStatus.h"
#include "status.hpp"
#include "trace.hpp"

namespace emulator {

template <class Body>
int32_t call(const char *name, const std::string &arguments, Body body) {
    trace(name, arguments);
    try {
        return body();
    } catch (const Refusal &refusal) {
        setRecentMessage(name, refusal.code, refusal.message);
        // Operators have other codes than the runtime.
        const int32_t group = refusal.code / 1000;
        if (group != 161 && group != 361 && group != 561) setLastError(refusal.code);
        return refusal.code;
    }
}

}  // namespace emulator
