// Rules 1, 2 and 19: the process, devices, contexts of threads, messages.

#include <cstring>
#include <thread>

#include "check.hpp"

CHECK(init_Refuses_BeforeAndTwice, .isPrepared = false) {
    char message[2048];
    EXPECT(CAscend_load(&acl, message, sizeof message));
    REFUSED(100001, "aclInit", acl.runtime.aclrtSetDevice(0));
    uint32_t count;
    REFUSED(100001, "", acl.runtime.aclrtGetDeviceCount(&count));
    OK(acl.runtime.aclInit(nullptr));
    REFUSED(100002, "before", acl.runtime.aclInit(nullptr));
    REFUSED(107002, "aclrtSetDevice", acl.runtime.aclrtMalloc((void **)&count, 4, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(acl.runtime.aclFinalize());
    REFUSED(100037, "", acl.runtime.aclFinalize());
}

CHECK(thread_HasNoContext_UntilItSetsTheDevice) {
    std::thread([] {
        void *memory;
        REFUSED(107002, "no context", acl.runtime.aclrtMalloc(&memory, 4, ACL_MEM_MALLOC_HUGE_FIRST));
        REFUSED(107002, "", acl.runtime.aclrtMallocHost(&memory, 4));
        aclrtStream stream;
        REFUSED(107002, "", acl.runtime.aclrtCreateStreamWithConfig(&stream, 0, 0));
        aclrtEvent event;
        REFUSED(107002, "", acl.runtime.aclrtCreateEventExWithFlag(&event, ACL_EVENT_SYNC));
        size_t free, total;
        REFUSED(107002, "", acl.runtime.aclrtGetMemInfo(ACL_HBM_MEM, &free, &total));
        char bytes[4];
        REFUSED(107002, "", acl.runtime.aclrtMemcpy(bytes, 4, bytes, 4, ACL_MEMCPY_HOST_TO_HOST));
        OK(acl.runtime.aclrtSetDevice(0));
        OK(acl.runtime.aclrtMalloc(&memory, 4, ACL_MEM_MALLOC_HUGE_FIRST));
    }).join();
}

CHECK(phase1_NeedsADevice) {
    void *data = deviceMemory(64);
    aclTensor *x = tensor({4}, ACL_FLOAT, data);
    std::thread([x] {
        uint64_t size;
        aclOpExecutor *executor;
        REFUSED(361001, "107002", acl.operators.Silu.plan(x, x, &size, &executor));
    }).join();
}

CHECK(device_IsCounted) {
    OK(acl.runtime.aclrtSetDevice(0));
    void *memory = deviceMemory(4);
    OK(acl.runtime.aclrtResetDevice(0));
    OK(acl.runtime.aclrtFree(memory));
    OK(acl.runtime.aclrtResetDevice(0));
    REFUSED(107002, "", acl.runtime.aclrtMalloc(&memory, 4, ACL_MEM_MALLOC_HUGE_FIRST));
    REFUSED(107002, "", acl.runtime.aclrtResetDevice(0));
    REFUSED(107001, "no device 3", acl.runtime.aclrtSetDevice(3));
    REFUSED(107001, "", acl.runtime.aclrtSetDevice(-1));
}

CHECK(reset_ReleasesWhatTheDeviceHad) {
    void *memory = deviceMemory(64);
    aclrtStream stream = newStream();
    OK(acl.runtime.aclrtResetDeviceForce(0));
    REFUSED(107000, "aclrtResetDevice", acl.runtime.aclrtFree(memory));
    OK(acl.runtime.aclrtSetDevice(0));
    REFUSED(107017, "", acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, -1));
}

CHECK(stream_IsRefused_OfAnotherContext) {
    auto createContext = Interface::named<aclError(aclrtContext *, int32_t)>("aclrtCreateContext");
    auto destroyContext = Interface::named<aclError(aclrtContext)>("aclrtDestroyContext");
    auto setContext = Interface::named<aclError(aclrtContext)>("aclrtSetCurrentContext");
    auto getContext = Interface::named<aclError(aclrtContext *)>("aclrtGetCurrentContext");
    aclrtStream stream = newStream();
    aclrtContext primary, own;
    OK(getContext(&primary));
    OK(createContext(&own, 0));
    aclrtEvent event;
    OK(acl.runtime.aclrtCreateEventExWithFlag(&event, ACL_EVENT_SYNC));
    REFUSED(107003, "another context", acl.runtime.aclrtRecordEvent(event, stream));
    REFUSED(107003, "", acl.runtime.aclrtStreamWaitEvent(stream, event));
    REFUSED(107003, "", acl.runtime.aclrtDestroyStream(stream));
    void *device = deviceMemory(64), *host = hostMemory(64);
    REFUSED(107003, "", acl.runtime.aclrtMemcpyAsync(device, 64, host, 64, ACL_MEMCPY_HOST_TO_DEVICE, stream));
    Plan plan = planSilu(tensor({16}, ACL_FLOAT, device), tensor({16}, ACL_FLOAT, device));
    REFUSED(361001, "107003", acl.operators.Silu.launch(plan.allocated(), plan.size, plan.executor, stream));
    // Waiting switches to the stream's own context.
    OK(acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, -1));
    REFUSED(107000, "own context", destroyContext(primary));
    OK(setContext(primary));
    OK(destroyContext(own));
    REFUSED(107002, "", setContext(own));
    OK(acl.runtime.aclrtDestroyStream(stream));
    // The last call wins: SetDevice leaves an explicit context.
    OK(createContext(&own, 0));
    OK(acl.runtime.aclrtSetDevice(0));
    aclrtContext current;
    OK(getContext(&current));
    EXPECT(current == primary);
}

CHECK(finalize_ReportsLeaks) {
    deviceMemory(48);
    newStream();
    aclrtEvent event;
    OK(acl.runtime.aclrtCreateEventExWithFlag(&event, ACL_EVENT_SYNC));
    void *data = deviceMemory(64);
    aclTensor *x = tensor({4}, ACL_FLOAT, data);
    planSilu(x, x);
    hostMemory(40);
    const int status = acl.runtime.aclFinalize();
    const std::string text = acl.runtime.aclGetRecentErrMsg();
    EXPECT(status == 500001);
    for (const char *kind : {"of 48 bytes", "stream", "event", "tensor", "executor of aclnnSilu", "host memory", "device 0 is set 1 times"}) {
        if (text.find(kind) == std::string::npos) fail(__FILE__, __LINE__, text + " lacks " + kind);
    }
}

CHECK(finalize_IsSilent_WhenNothingIsLeft) {
    void *data = deviceMemory(64);
    aclTensor *x = tensor({4}, ACL_FLOAT, data);
    aclrtStream stream = newStream();
    Plan plan = planSilu(x, x);
    OK(acl.operators.Silu.launch(nullptr, 0, plan.executor, stream));
    OK(acl.tensors.aclDestroyTensor(x));
    OK(acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, -1));
    OK(acl.runtime.aclrtFree(data));
    OK(acl.runtime.aclrtDestroyStream(stream));
    OK(acl.runtime.aclrtResetDevice(0));
    OK(acl.runtime.aclFinalize());
}

CHECK(message_IsTheThreads_AndReadOnce) {
    EXPECT(acl.runtime.aclGetRecentErrMsg() == nullptr);
    EXPECT(acl.runtime.aclrtFree(nullptr) == 100000);
    std::thread([] { EXPECT(acl.runtime.aclGetRecentErrMsg() == nullptr); }).join();
    const char *message = acl.runtime.aclGetRecentErrMsg();
    EXPECT(message != nullptr && strstr(message, "EH0001: aclrtFree:") != nullptr);
    EXPECT(acl.runtime.aclGetRecentErrMsg() == nullptr);
}

CHECK(socName_IsTheProfiles, .environment = {{"ASCEND_EMULATOR_SOC", "Ascend310P3"}}) {
    EXPECT(strcmp(acl.runtime.aclrtGetSocName(), "Ascend310P3") == 0);
}

CHECK(versions_AreTheGenerations, .environment = {{"ASCEND_HOME_PATH", "@/9.x"}}) {
    char package[] = "runtime", version[128];
    OK(acl.runtime.aclsysGetVersionStr(package, version));
    EXPECT(strncmp(version, "9.", 2) == 0);
}
