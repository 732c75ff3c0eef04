// Checks of the emulator: each runs in its own process, breaks one rule, and expects the stated error.

#pragma once

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "AscendEmulator.h"
#include "CAscend.h"
#include "extras.hpp"

/// A check's interface: the functions as CAscend binds them, and those that only the emulator has.
struct Interface : CAscend_library {
    /// A function by name, from the loaded libraries.
    template <class Function>
    static Function *named(const char *name) { return (Function *)address(name); }
    static void *address(const char *name);
};
extern Interface acl;

struct Check {
    const char *name;
    void (*body)();
    /// In addition to the defaults: no delay, one device.
    std::vector<std::pair<const char *, const char *>> environment = {};
    /// The expected end of the process: 0 for an exit, otherwise the signal, after this text on standard error.
    int signal = 0;
    const char *text = "";
    /// Whether the libraries are loaded, aclInit is called and device 0 is set before the body.
    bool isPrepared = true;
};

std::vector<Check> &checks();

struct Register {
    Register(Check check) { checks().push_back(std::move(check)); }
};

/// Declares a check; the arguments after the name are members of Check.
#define CHECK(name_, ...)                                                                                              \
    static void name_();                                                                                               \
    static const Register register_##name_(Check{.name = #name_, .body = name_, __VA_ARGS__});                         \
    static void name_()

[[noreturn]] void fail(const char *file, int line, const std::string &text);
/// Expects that the call returned `status`, and that aclGetRecentErrMsg contains `text`.
void expectStatus(const char *file, int line, const char *call, int status, int expected, const char *text);

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) fail(__FILE__, __LINE__, #condition);                                                        \
    } while (false)
#define OK(call) expectStatus(__FILE__, __LINE__, #call, (call), 0, "")
#define REFUSED(status, text, call) expectStatus(__FILE__, __LINE__, #call, (call), (status), (text))

/// Device memory that lives as long as the process.
void *deviceMemory(size_t size);
void *hostMemory(size_t size);
aclrtStream newStream();
/// A contiguous tensor at `data`, or one with these strides.
aclTensor *tensor(std::vector<int64_t> dims, aclDataType type, void *data, std::vector<int64_t> strides = {}, int64_t storage = -1, int64_t offset = 0);
aclScalar *scalar(float value);
/// Copies values to new device memory.
void *uploaded(const std::vector<float> &values);
std::vector<float> downloaded(const void *data, size_t count);

/// A phase 1 that must succeed, with its workspace allocated.
struct Plan {
    uint64_t size = 0;
    aclOpExecutor *executor = nullptr;
    void *workspace = nullptr;
    void *allocated() {
        if (size > 0 && workspace == nullptr) workspace = deviceMemory(size);
        return workspace;
    }
};
/// silu(self) into out.
Plan planSilu(aclTensor *self, aclTensor *out);
/// Lets held operators continue.
void release();
/// Runs both phases of silu on a stream.
void runSilu(aclTensor *self, aclTensor *out, aclrtStream stream);
