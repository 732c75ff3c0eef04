// The boundary of a call: traced on the way in, and a refusal becomes a code and a message on the way out.

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
        return refusal.code;
    }
}

}  // namespace emulator
