// Failure of a call: a code, and a text that aclGetRecentErrMsg returns once to the same thread.

#pragma once

#include <cstdint>
#include <string>

namespace emulator {

/// A refused call; thrown inside, a code at the boundary.
struct Refusal {
    int32_t code;
    std::string message;
};

std::string format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/// Text without arguments is passed unchanged: `refuse(code, "%s", text)` for foreign text.
[[noreturn]] void refuse(int32_t code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/// A violation of the interface after which real software has undefined behaviour: reports it on standard error and
/// aborts.
[[noreturn]] void breach(const char *format, ...) __attribute__((format(printf, 1, 2)));

/// The last failure of a runtime call on this thread, cleared by this call; 0: none.
int32_t takeLastError();
void setLastError(int32_t code);

/// Sets the next result of aclGetRecentErrMsg on this thread.
void setRecentMessage(const char *call, int32_t code, const std::string &text);
/// The text, cleared by this call; NULL: there is none. Valid until the thread's next call.
const char *takeRecentMessage();

}  // namespace emulator
