// Rule 21: captured sequences.

#include <thread>

#include "check.hpp"

static aclmdlRI capture(aclrtStream stream, void *x, void *y) {
    OK(acl.runtime.aclmdlRICaptureBegin(stream, ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL));
    runSilu(tensor({1}, ACL_FLOAT, x), tensor({1}, ACL_FLOAT, y), stream);
    aclmdlRI captured = nullptr;
    OK(acl.runtime.aclmdlRICaptureEnd(stream, &captured));
    return captured;
}

CHECK(captured_RunsWhenItIsExecuted_OnWhatIsThereThen) {
    void *x = uploaded({1}), *y = uploaded({5});
    aclrtStream stream = newStream();
    const aclmdlRI captured = capture(stream, x, y);
    OK(acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, -1));
    EXPECT(downloaded(y, 1)[0] == 5);
    for (float value : {1.0f, 2.0f}) {
        OK(acl.runtime.aclrtMemcpy(x, 4, &value, 4, ACL_MEMCPY_HOST_TO_DEVICE));
        OK(acl.runtime.aclmdlRIExecuteAsync(captured, stream));
        OK(acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, -1));
        EXPECT(downloaded(y, 1)[0] > 0.73f * value && downloaded(y, 1)[0] < 0.9f * value);
    }
    OK(acl.runtime.aclmdlRIDestroy(captured));
}

CHECK(capture_TakesStreams, .environment = {{"ASCEND_EMULATOR_CAPTURES", "1"}}) {
    void *x = uploaded({1});
    aclrtStream stream = newStream();
    const aclmdlRI captured = capture(stream, x, x);
    REFUSED(207008, "have their streams", acl.runtime.aclmdlRICaptureBegin(stream, ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL));
    OK(acl.runtime.aclmdlRIDestroy(captured));
    OK(acl.runtime.aclmdlRIDestroy(capture(stream, x, x)));
}

CHECK(capture_RefusesWhatCannotBeOrdered) {
    void *x = uploaded({1}), *memory;
    aclrtStream stream = newStream();
    aclmdlRI captured;
    REFUSED(107000, "default stream", acl.runtime.aclmdlRICaptureBegin(nullptr, ACL_MODEL_RI_CAPTURE_MODE_GLOBAL));
    REFUSED(107029, "", acl.runtime.aclmdlRICaptureEnd(stream, &captured));
    const auto begin = [&](aclmdlRICaptureMode mode) { OK(acl.runtime.aclmdlRICaptureBegin(stream, mode)); };
    const auto isVoid = [&] { REFUSED(507903, "", acl.runtime.aclmdlRICaptureEnd(stream, &captured)); };
    begin(ACL_MODEL_RI_CAPTURE_MODE_GLOBAL);
    REFUSED(107027, "already", acl.runtime.aclmdlRICaptureBegin(stream, ACL_MODEL_RI_CAPTURE_MODE_GLOBAL));
    REFUSED(107027, "", acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, 10));
    isVoid();
    begin(ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL);
    REFUSED(107030, "aclrtMalloc", acl.runtime.aclrtMalloc(&memory, 64, ACL_MEM_MALLOC_HUGE_FIRST));
    isVoid();
    begin(ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL);
    float value = 1;
    REFUSED(107030, "aclrtMemcpy", acl.runtime.aclrtMemcpy(x, 4, &value, 4, ACL_MEMCPY_HOST_TO_DEVICE));
    isVoid();
    // In this mode another thread is refused.
    begin(ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL);
    std::thread([&] {
        OK(acl.runtime.aclrtSetDevice(0));
        deviceMemory(64);
    }).join();
    OK(acl.runtime.aclmdlRICaptureEnd(stream, &captured));
    begin(ACL_MODEL_RI_CAPTURE_MODE_GLOBAL);
    std::thread([&] {
        OK(acl.runtime.aclrtSetDevice(0));
        REFUSED(107030, "", acl.runtime.aclrtMalloc(&memory, 64, ACL_MEM_MALLOC_HUGE_FIRST));
    }).join();
    isVoid();
}

CHECK(captured_FailsOnMemoryThatWasFreed) {
    void *x = uploaded({1}), *y = uploaded({5});
    aclrtStream stream = newStream();
    const aclmdlRI captured = capture(stream, x, y);
    OK(acl.runtime.aclrtFree(x));
    OK(acl.runtime.aclmdlRIExecuteAsync(captured, stream));
    REFUSED(507015, "has freed", acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, -1));
}

CHECK(captured_IsNotExecuted_OnceDestroyed, .signal = 6, .text = "or was destroyed") {
    void *x = uploaded({1});
    aclrtStream stream = newStream();
    const aclmdlRI captured = capture(stream, x, x);
    OK(acl.runtime.aclmdlRIDestroy(captured));
    acl.runtime.aclmdlRIExecuteAsync(captured, stream);
}

CHECK(captured_IsNotDestroyed_WhileItRuns, .environment = {{"ASCEND_EMULATOR_FAULTS", "hold@1"}}, .signal = 6, .text = "while it runs") {
    void *x = uploaded({1});
    aclrtStream stream = newStream();
    const aclmdlRI captured = capture(stream, x, x);
    OK(acl.runtime.aclmdlRIExecuteAsync(captured, stream));
    acl.runtime.aclmdlRIDestroy(captured);
}

CHECK(captured_IsALeak_WhenItIsLeft) {
    void *x = uploaded({1});
    capture(newStream(), x, x);
    REFUSED(500001, "captured sequence", acl.runtime.aclFinalize());
}

CHECK(capture_IsNot310Ps, .environment = {{"ASCEND_EMULATOR_SOC", "Ascend310P3"}}) {
    REFUSED(207000, "", acl.runtime.aclmdlRICaptureBegin(newStream(), ACL_MODEL_RI_CAPTURE_MODE_GLOBAL));
}
