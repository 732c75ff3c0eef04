// Every call, with its essential arguments: the last ones in a ring, all of them counted by name, and all of them in a
// file if the profile names one. Tests use it to assert steady states.

#pragma once

#include <cstdint>
#include <string>

namespace emulator {

/// Records a call of the calling thread.
void trace(const char *name, const std::string &arguments);

}  // namespace emulator
