#include "check.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

Interface acl;

std::vector<Check> &checks() {
    static std::vector<Check> all;
    return all;
}

void *Interface::address(const char *name) {
    static const char *const libraries[] = {
        "libascendcl.so", "libacl_rt.so", "libnnopbase.so", "libascend_emulator.so"};
    const std::string home = getenv("ASCEND_HOME_PATH");
    for (const char *library : libraries) {
        void *handle = dlopen((home + "/lib64/" + library).c_str(), RTLD_NOW | RTLD_NOLOAD);
        if (handle == nullptr) handle = dlopen((home + "/../" + library).c_str(), RTLD_NOW | RTLD_NOLOAD);
        void *found = handle == nullptr ? nullptr : dlsym(handle, name);
        if (found != nullptr) return found;
    }
    fail(__FILE__, __LINE__, std::string("no function ") + name);
}

void fail(const char *file, int line, const std::string &text) {
    fprintf(stderr, "%s:%d: %s\n", file, line, text.c_str());
    _exit(1);
}

void expectStatus(const char *file, int line, const char *call, int status, int expected, const char *text) {
    const char *words = acl.runtime.aclGetRecentErrMsg();
    const std::string message = words == nullptr ? "" : words;
    if (status != expected) {
        fail(file, line, std::string(call) + " is " + std::to_string(status) + ", not " + std::to_string(expected) + ": " + message);
    }
    if (message.find(text) == std::string::npos) fail(file, line, std::string(call) + " says: " + message);
    if (expected != 0 && message.find("] E") == std::string::npos) fail(file, line, "a message without an id: " + message);
}

void *deviceMemory(size_t size) {
    void *memory = nullptr;
    OK(acl.runtime.aclrtMalloc(&memory, size, ACL_MEM_MALLOC_HUGE_FIRST));
    return memory;
}

void *hostMemory(size_t size) {
    void *memory = nullptr;
    OK(acl.runtime.aclrtMallocHost(&memory, size));
    return memory;
}

aclrtStream newStream() {
    aclrtStream stream = nullptr;
    OK(acl.runtime.aclrtCreateStreamWithConfig(&stream, 0, ACL_STREAM_FAST_LAUNCH));
    return stream;
}

aclTensor *tensor(
    std::vector<int64_t> dims, aclDataType type, void *data, std::vector<int64_t> strides, int64_t storage, int64_t offset) {
    int64_t count = 1;
    for (int64_t extent : dims) count *= extent;
    if (storage >= 0) count = storage;
    return acl.tensors.aclCreateTensor(
        dims.data(), dims.size(), type, strides.empty() ? nullptr : strides.data(), offset, ACL_FORMAT_ND, &count, 1, data);
}

aclScalar *scalar(float value) { return acl.tensors.aclCreateScalar(&value, ACL_FLOAT); }

void *uploaded(const std::vector<float> &values) {
    void *memory = deviceMemory(values.size() * 4);
    OK(acl.runtime.aclrtMemcpy(memory, values.size() * 4, values.data(), values.size() * 4, ACL_MEMCPY_HOST_TO_DEVICE));
    return memory;
}

std::vector<float> downloaded(const void *data, size_t count) {
    std::vector<float> values(count);
    OK(acl.runtime.aclrtMemcpy(values.data(), count * 4, data, count * 4, ACL_MEMCPY_DEVICE_TO_HOST));
    return values;
}

Plan planSilu(aclTensor *self, aclTensor *out) {
    Plan plan;
    OK(acl.operators.Silu.plan(self, out, &plan.size, &plan.executor));
    return plan;
}

void runSilu(aclTensor *self, aclTensor *out, aclrtStream stream) {
    Plan plan = planSilu(self, out);
    OK(acl.operators.Silu.launch(plan.allocated(), plan.size, plan.executor, stream));
}

void release() { Interface::named<void()>("AscendEmulator_release")(); }

static void prepare() {
    char message[2048];
    if (!CAscend_load(&acl, message, sizeof message)) fail(__FILE__, __LINE__, message);
    OK(acl.runtime.aclInit(nullptr));
    OK(acl.runtime.aclrtSetDevice(0));
}

/// Runs a check in a child process; true if it ended as expected.
static bool run(const Check &check, const std::string &layouts) {
    int pipes[2];
    if (pipe(pipes) != 0) return false;
    const pid_t child = fork();
    if (child == 0) {
        close(pipes[0]);
        dup2(pipes[1], 2);
        setenv("ASCEND_HOME_PATH", (layouts + "/8.1").c_str(), 1);
        setenv("ASCEND_EMULATOR_DELAY", "0", 1);
        setenv("ASCEND_EMULATOR_LAYOUTS", layouts.c_str(), 1);
        for (const char *name : {"ASCEND_TOOLKIT_HOME", "ASCEND_CUSTOM_OPP_PATH", "ASCEND_OPP_PATH", "ASCEND_EMULATOR_DEVICES"}) {
            unsetenv(name);
        }
        for (const auto &[name, value] : check.environment) {
            std::string text = value;
            for (size_t at = 0; (at = text.find("@/", at)) != std::string::npos; at += layouts.size()) text.replace(at, 1, layouts);
            setenv(name, text.c_str(), 1);
        }
        if (check.isPrepared) prepare();
        check.body();
        _exit(0);
    }
    close(pipes[1]);
    std::string output;
    char buffer[4096];
    for (ssize_t count; (count = read(pipes[0], buffer, sizeof buffer)) > 0;) output.append(buffer, (size_t)count);
    close(pipes[0]);
    int status = 0;
    waitpid(child, &status, 0);
    const bool hasEnded = check.signal == 0 ? WIFEXITED(status) && WEXITSTATUS(status) == 0
                                            : WIFSIGNALED(status) && WTERMSIG(status) == check.signal;
    const bool isRight = hasEnded && output.find(check.text) != std::string::npos;
    if (!isRight) {
        printf("FAILED %s (%s %d)\n%s\n", check.name, WIFSIGNALED(status) ? "signal" : "exit",
               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), output.c_str());
    }
    return isRight;
}

/// checks DIRECTORY [NAME…]: runs all checks, or the named ones; checks --list: prints their names.
int main(int count, char **arguments) {
    if (count == 2 && strcmp(arguments[1], "--list") == 0) {
        for (const Check &check : checks()) puts(check.name);
        return 0;
    }
    if (count < 2) return 2;
    char *layouts = realpath(arguments[1], nullptr);
    if (layouts == nullptr) return 2;
    int failed = 0, done = 0;
    for (const Check &check : checks()) {
        bool isWanted = count == 2;
        for (int index = 2; index < count; index++) isWanted |= strcmp(arguments[index], check.name) == 0;
        if (!isWanted) continue;
        done++;
        fflush(stdout);
        failed += !run(check, layouts);
    }
    printf("%d checks, %d failed\n", done, failed);
    return failed == 0 && done > 0 ? 0 : 1;
}
