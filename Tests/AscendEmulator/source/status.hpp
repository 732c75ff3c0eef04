// How a call fails: a code, and a text that aclGetRecentErrMsg hands to the same thread once.

#pragma once

#include <cstdint>
#include <string>

namespace emulator {

/// A call that is refused; thrown inside, a code at the boundary.
struct Refusal {
    int32_t code;
    std::string message;
};

std::string format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/// Text without arguments is passed as it is: `refuse(code, "%s", text)` for foreign text.
[[noreturn]] void refuse(int32_t code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/// A breach of the interface after which real software has undefined behaviour: says so on standard error and aborts.
[[noreturn]] void breach(const char *format, ...) __attribute__((format(printf, 1, 2)));

/// The last failure of a call of the runtime on this thread, forgotten by this call; 0: none.
int32_t takeLastError();
void setLastError(int32_t code);

/// What aclGetRecentErrMsg returns next on this thread.
void setRecentMessage(const char *call, int32_t code, const std::string &text);
/// The text, forgotten by this call; NULL: there is none. Valid until the thread's next call.
const char *takeRecentMessage();

}  // namespace emulator
