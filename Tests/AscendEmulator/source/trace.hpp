// Every call that is made, with what matters of its arguments: the last ones in a ring, all of them counted by name, and all
// of them in a file where the profile names one. What tests assert steady states by.

#pragma once

#include <cstdint>
#include <string>

namespace emulator {

/// Notes a call of the calling thread.
void trace(const char *name, const std::string &arguments);

}  // namespace emulator
