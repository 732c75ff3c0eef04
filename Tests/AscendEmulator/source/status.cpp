#include "status.hpp"

#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

namespace emulator {

static std::string formatted(const char *format, va_list arguments) {
    char text[2048];
    vsnprintf(text, sizeof text, format, arguments);
    return text;
}

std::string format(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    std::string text = formatted(format, arguments);
    va_end(arguments);
    return text;
}

void refuse(int32_t code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    std::string text = formatted(format, arguments);
    va_end(arguments);
    throw Refusal{code, text};
}

void breach(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const std::string text = formatted(format, arguments);
    va_end(arguments);
    fprintf(stderr, "AscendEmulator: %s\n", text.c_str());
    abort();
}

struct RecentMessage {
    std::string pending, taken;
};

static thread_local RecentMessage recent;

/// The id in CANN's error code reference for a code; those of operators are known from bug reports.
static const char *identifier(int32_t code) {
    switch (code) {
    case 100000: return "EH0001";
    case 107000: return "EE1001";
    case 107001: return "EE1003";
    case 107002: case 107003: return "EE1010";
    case 507046: case 507047: return "EE1002";
    case 161001: case 161002: return "EZ1001";
    default: return code >= 100000 && code < 200000 && code != 161003 ? "EE1001" : code > 560000 ? "EZ9999" : "EE9999";
    }
}

static thread_local int32_t lastError = 0;

int32_t takeLastError() {
    const int32_t code = lastError;
    lastError = 0;
    return code;
}

void setLastError(int32_t code) { lastError = code; }

void setRecentMessage(const char *call, int32_t code, const std::string &text) {
    recent.pending = format("[PID: %d] %s: %s: %s (error %d)", (int)getpid(), identifier(code), call, text.c_str(), code);
}

const char *takeRecentMessage() {
    if (recent.pending.empty()) return nullptr;
    recent.taken = std::move(recent.pending);
    recent.pending.clear();
    return recent.taken.c_str();
}

}  // namespace emulator
