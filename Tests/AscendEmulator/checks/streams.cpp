// Rules 5, 20, 23, 24 and 25: streams, events, faults, the trace.

#include <cstring>
#include <thread>

#include "check.hpp"

CHECK(streams_AreOrderedWithin_AndNotAmong, .environment = {{"ASCEND_EMULATOR_FAULTS", "hold@1"}}) {
    void *x = uploaded({1}), *y = uploaded({1});
    aclrtStream first = newStream(), second = newStream();
    runSilu(tensor({1}, ACL_FLOAT, x), tensor({1}, ACL_FLOAT, y), first);
    // Without an event the other stream does not see unfinished work of the first.
    auto *seen = (float *)hostMemory(4);
    OK(acl.runtime.aclrtMemcpyAsync(seen, 4, y, 4, ACL_MEMCPY_DEVICE_TO_HOST, second));
    OK(acl.runtime.aclrtSynchronizeStreamWithTimeout(second, -1));
    EXPECT(*seen == 1);
    release();
    aclrtEvent event;
    OK(acl.runtime.aclrtCreateEventExWithFlag(&event, ACL_EVENT_SYNC));
    OK(acl.runtime.aclrtRecordEvent(event, first));
    OK(acl.runtime.aclrtStreamWaitEvent(second, event));
    OK(acl.runtime.aclrtMemcpyAsync(seen, 4, y, 4, ACL_MEMCPY_DEVICE_TO_HOST, second));
    OK(acl.runtime.aclrtSynchronizeStreamWithTimeout(second, -1));
    EXPECT(*seen > 0.73f && *seen < 0.74f);
}

CHECK(stream_MayBeFedByTwoThreads) {
    void *x = uploaded({1});
    aclrtStream stream = newStream();
    const auto feed = [&] {
        OK(acl.runtime.aclrtSetDevice(0));
        for (int count = 0; count < 20; count++) runSilu(tensor({1}, ACL_FLOAT, x), tensor({1}, ACL_FLOAT, x), stream);
    };
    std::thread one(feed), other(feed);
    one.join();
    other.join();
    OK(acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, -1));
}

CHECK(synchronize_TimesOut, .environment = {{"ASCEND_EMULATOR_FAULTS", "hold@1"}}) {
    void *x = uploaded({1});
    aclrtStream stream = newStream();
    aclrtEvent event;
    OK(acl.runtime.aclrtCreateEventExWithFlag(&event, ACL_EVENT_SYNC));
    runSilu(tensor({1}, ACL_FLOAT, x), tensor({1}, ACL_FLOAT, x), stream);
    OK(acl.runtime.aclrtRecordEvent(event, stream));
    REFUSED(507046, "10 ms", acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, 10));
    REFUSED(507047, "10 ms", acl.runtime.aclrtSynchronizeEventWithTimeout(event, 10));
    REFUSED(107000, "-2 ms", acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, -2));
    release();
    OK(acl.runtime.aclrtSynchronizeEventWithTimeout(event, -1));
    OK(acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, -1));
}

CHECK(fault_AICore_LastsUntilTheReset, .environment = {{"ASCEND_EMULATOR_FAULTS", "hold@2,aicore@3"}}) {
    void *x = uploaded({1});
    aclrtStream stream = newStream();
    aclrtEvent event;
    OK(acl.runtime.aclrtCreateEventExWithFlag(&event, ACL_EVENT_SYNC));
    runSilu(tensor({1}, ACL_FLOAT, x), tensor({1}, ACL_FLOAT, x), stream);
    OK(acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, -1));
    // The first is held, so that the record precedes the failure.
    for (int count = 0; count < 2; count++) runSilu(tensor({1}, ACL_FLOAT, x), tensor({1}, ACL_FLOAT, x), stream);
    OK(acl.runtime.aclrtRecordEvent(event, stream));
    release();
    REFUSED(507015, "aclnnSilu: an AI core exception", acl.runtime.aclrtSynchronizeEventWithTimeout(event, -1));
    REFUSED(507015, "", acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, -1));
    uint64_t size;
    aclOpExecutor *executor;
    acl.runtime.aclrtGetLastError(ACL_RT_THREAD_LEVEL);
    REFUSED(361001, "507015", acl.operators.Silu.plan(tensor({1}, ACL_FLOAT, x), tensor({1}, ACL_FLOAT, x), &size, &executor));
    EXPECT(acl.runtime.aclrtGetLastError(ACL_RT_THREAD_LEVEL) == 507015);
    EXPECT(acl.runtime.aclrtGetLastError(ACL_RT_THREAD_LEVEL) == 0);
    OK(acl.runtime.aclrtResetDeviceForce(0));
    OK(acl.runtime.aclrtSetDevice(0));
    x = uploaded({1});
    stream = newStream();
    runSilu(tensor({1}, ACL_FLOAT, x), tensor({1}, ACL_FLOAT, x), stream);
    OK(acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, -1));
}

CHECK(fault_Late_IsToldAtOnce, .environment = {{"ASCEND_EMULATOR_FAULTS", "late@1,late@2"}}) {
    aclrtStream stream = newStream();
    aclrtEvent event;
    OK(acl.runtime.aclrtCreateEventExWithFlag(&event, ACL_EVENT_SYNC));
    REFUSED(507046, "", acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, 60000));
    REFUSED(507047, "as injected", acl.runtime.aclrtSynchronizeEventWithTimeout(event, 60000));
    OK(acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, 60000));
}

CHECK(resetByForce_WaitsForWhatHangs, .environment = {{"ASCEND_EMULATOR_FAULTS", "hold@1"}}, .signal = 6, .text = "waits for ever") {
    void *x = uploaded({1});
    aclrtStream stream = newStream();
    runSilu(tensor({1}, ACL_FLOAT, x), tensor({1}, ACL_FLOAT, x), stream);
    REFUSED(507046, "", acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, 10));
    acl.runtime.aclrtResetDeviceForce(0);
}

CHECK(abort_EndsWhatHangs_AndDropsWhatIsQueued, .environment = {{"ASCEND_EMULATOR_FAULTS", "hold@1"}}) {
    void *x = uploaded({1}), *y = uploaded({1});
    aclrtStream stream = newStream();
    runSilu(tensor({1}, ACL_FLOAT, x), tensor({1}, ACL_FLOAT, x), stream);
    runSilu(tensor({1}, ACL_FLOAT, y), tensor({1}, ACL_FLOAT, y), stream);
    REFUSED(507046, "", acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, 10));
    OK(acl.runtime.aclrtStreamAbort(stream));
    OK(acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, -1));
    EXPECT(downloaded(y, 1) == std::vector<float>{1});
    OK(acl.runtime.aclrtDestroyStreamForce(stream));
}

CHECK(abort_IsNotForEveryChip, .environment = {{"ASCEND_EMULATOR_SOC", "Ascend310P3"}}) {
    REFUSED(207000, "aborts no stream", acl.runtime.aclrtStreamAbort(newStream()));
}

CHECK(destroyByForce_ThenReset_EndWhatHangs, .environment = {{"ASCEND_EMULATOR_FAULTS", "hold@1,hold@3"}}) {
    for (int count = 0; count < 2; count++) {
        void *x = uploaded({1});
        aclrtStream stream = newStream();
        runSilu(tensor({1}, ACL_FLOAT, x), tensor({1}, ACL_FLOAT, x), stream);
        runSilu(tensor({1}, ACL_FLOAT, x), tensor({1}, ACL_FLOAT, x), stream);
        REFUSED(507046, "", acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, 10));
        OK(acl.runtime.aclrtDestroyStreamForce(stream));
        OK(acl.runtime.aclrtResetDeviceForce(0));
        OK(acl.runtime.aclrtSetDevice(0));
    }
}

CHECK(fault_Lost_AndGone) {
    auto inject = Interface::named<void(const char *)>("AscendEmulator_inject");
    inject("lost@1");
    void *x = uploaded({1});
    aclrtStream stream = newStream();
    runSilu(tensor({1}, ACL_FLOAT, x), tensor({1}, ACL_FLOAT, x), stream);
    REFUSED(507010, "lost", acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, -1));
    REFUSED(507010, "", acl.runtime.aclrtMemcpy(x, 4, &x, 4, ACL_MEMCPY_HOST_TO_DEVICE));
    OK(acl.runtime.aclrtResetDeviceForce(0));
    OK(acl.runtime.aclrtSetDevice(0));
    inject("gone@1");
    x = uploaded({1});
    stream = newStream();
    runSilu(tensor({1}, ACL_FLOAT, x), tensor({1}, ACL_FLOAT, x), stream);
    REFUSED(507010, "", acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, -1));
    OK(acl.runtime.aclrtResetDeviceForce(0));
    REFUSED(507033, "cannot be opened", acl.runtime.aclrtSetDevice(0));
}

CHECK(fault_OutOfMemory, .environment = {{"ASCEND_EMULATOR_FAULTS", "oom@2"}}) {
    deviceMemory(4);
    void *memory;
    REFUSED(207001, "as injected", acl.runtime.aclrtMalloc(&memory, 4, ACL_MEM_MALLOC_HUGE_FIRST));
    deviceMemory(4);
}

CHECK(events_HaveTwoPolarities, .environment = {{"ASCEND_EMULATOR_FAULTS", "hold@1"}}) {
    auto createEvent = Interface::named<aclError(aclrtEvent *)>("aclrtCreateEvent");
    auto query = Interface::named<aclError(aclrtEvent, aclrtEventStatus *)>("aclrtQueryEvent");
    auto queryStatus = Interface::named<aclError(aclrtEvent, aclrtEventRecordedStatus *)>("aclrtQueryEventStatus");
    auto elapsed = Interface::named<aclError(float *, aclrtEvent, aclrtEvent)>("aclrtEventElapsedTime");
    void *x = uploaded({1});
    aclrtStream stream = newStream();
    aclrtEvent start, end, extended;
    OK(createEvent(&start));
    OK(createEvent(&end));
    OK(acl.runtime.aclrtCreateEventExWithFlag(&extended, ACL_EVENT_SYNC));
    aclrtEventStatus status;
    aclrtEventRecordedStatus recorded;
    // Never recorded: it is complete, and waiting for it returns immediately.
    OK(queryStatus(extended, &recorded));
    EXPECT((int)recorded == 1);
    OK(acl.runtime.aclrtSynchronizeEventWithTimeout(extended, 0));
    REFUSED(207000, "extended", query(extended, &status));
    float milliseconds;
    REFUSED(507000, "never recorded", elapsed(&milliseconds, start, end));
    OK(acl.runtime.aclrtRecordEvent(start, stream));
    runSilu(tensor({1}, ACL_FLOAT, x), tensor({1}, ACL_FLOAT, x), stream);
    OK(acl.runtime.aclrtRecordEvent(end, stream));
    OK(query(end, &status));
    OK(queryStatus(end, &recorded));
    EXPECT((int)status == 1 && (int)recorded == 0);
    REFUSED(107006, "not come", elapsed(&milliseconds, start, end));
    release();
    OK(acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, -1));
    OK(query(end, &status));
    OK(queryStatus(end, &recorded));
    EXPECT((int)status == 0 && (int)recorded == 1);
    OK(elapsed(&milliseconds, start, end));
    EXPECT(milliseconds >= 0);
    if (milliseconds > 0) REFUSED(107007, "before", elapsed(&milliseconds, end, start));
    OK(acl.runtime.aclrtDestroyEvent(end));
    REFUSED(107017, "", acl.runtime.aclrtRecordEvent(end, stream));
}

CHECK(events_AreLimited_On310P, .environment = {{"ASCEND_EMULATOR_SOC", "Ascend310P3"}}) {
    auto createEvent = Interface::named<aclError(aclrtEvent *)>("aclrtCreateEvent");
    aclrtEvent event;
    for (int count = 0; count < 1023; count++) OK(createEvent(&event));
    REFUSED(207007, "1023", createEvent(&event));
    OK(acl.runtime.aclrtCreateEventExWithFlag(&event, ACL_EVENT_SYNC));
}

CHECK(trace_CountsCalls) {
    auto calls = Interface::named<uint64_t(const char *)>("AscendEmulator_calls");
    auto reset = Interface::named<void()>("AscendEmulator_resetTrace");
    auto trace = Interface::named<size_t(char *, size_t)>("AscendEmulator_trace");
    void *x = uploaded({1});
    aclrtStream stream = newStream();
    reset();
    runSilu(tensor({1}, ACL_FLOAT, x), tensor({1}, ACL_FLOAT, x), stream);
    OK(acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, -1));
    EXPECT(calls("aclnnSilu") == 1 && calls("launch") == 1 && calls("aclrtMalloc*") == 0);
    EXPECT(calls("aclrtSynchronize*") == 1 && calls("pageable copy") == 0);
    char text[4096];
    EXPECT(trace(text, sizeof text) > 0);
    EXPECT(strstr(text, "aclnnSiluGetWorkspaceSize") < strstr(text, "aclrtSynchronizeStreamWithTimeout"));
}
