// Rules 3, 4, 6, 7, 8 and 9: memory and copies.

#include <csignal>
#include <cstring>
#include <thread>

#include "check.hpp"

CHECK(deviceMemory_Faults_WhenTheHostReadsIt, .signal = SIGSEGV) {
    volatile float *memory = (float *)deviceMemory(64);
    printf("%f", memory[0]);
}

CHECK(deviceMemory_Faults_WhenTheHostWritesIt, .signal = SIGSEGV) { *(float *)deviceMemory(64) = 1; }

CHECK(copy_Refuses_AnotherDirection) {
    void *device = deviceMemory(64);
    char host[64];
    REFUSED(107000, "kind", acl.runtime.aclrtMemcpy(device, 64, host, 64, ACL_MEMCPY_DEVICE_TO_HOST));
    REFUSED(107000, "kind", acl.runtime.aclrtMemcpy(host, 64, device, 64, ACL_MEMCPY_HOST_TO_DEVICE));
    REFUSED(107000, "kind", acl.runtime.aclrtMemcpy(host, 64, device, 64, ACL_MEMCPY_HOST_TO_HOST));
    REFUSED(100000, "kind 7", acl.runtime.aclrtMemcpy(host, 64, device, 64, (aclrtMemcpyKind)7));
}

CHECK(copy_CorrectsTheDirection_WhenLenient, .environment = {{"ASCEND_EMULATOR_LENIENT", "1"}}) {
    void *device = deviceMemory(64);
    char host[64] = "text", back[64];
    OK(acl.runtime.aclrtMemcpy(device, 64, host, 64, ACL_MEMCPY_DEVICE_TO_HOST));
    OK(acl.runtime.aclrtMemcpy(back, 64, device, 64, ACL_MEMCPY_HOST_TO_HOST));
    EXPECT(strcmp(back, "text") == 0);
}

CHECK(copy_Refuses_WhatDoesNotFit) {
    void *device = deviceMemory(64);
    char host[128];
    REFUSED(107000, "do not fit", acl.runtime.aclrtMemcpy(device, 32, host, 64, ACL_MEMCPY_HOST_TO_DEVICE));
    REFUSED(107000, "past the end", acl.runtime.aclrtMemcpy(device, 128, host, 128, ACL_MEMCPY_HOST_TO_DEVICE));
    REFUSED(107000, "past the end", acl.runtime.aclrtMemcpy(host, 128, (char *)device + 32, 64, ACL_MEMCPY_DEVICE_TO_HOST));
    REFUSED(100000, "NULL", acl.runtime.aclrtMemcpy(nullptr, 64, host, 64, ACL_MEMCPY_HOST_TO_DEVICE));
    OK(acl.runtime.aclrtMemcpy(device, 0, host, 0, ACL_MEMCPY_HOST_TO_DEVICE));
    REFUSED(207000, "", acl.runtime.aclrtMemcpyAsync(host, 128, host, 8, ACL_MEMCPY_HOST_TO_HOST, nullptr));
}

CHECK(copy_ReadsPinnedMemoryLater, .environment = {{"ASCEND_EMULATOR_FAULTS", "hold@1"}}) {
    auto *host = (float *)hostMemory(4);
    void *device = uploaded({0});
    aclrtStream stream = newStream();
    runSilu(tensor({1}, ACL_FLOAT, device), tensor({1}, ACL_FLOAT, device), stream);
    *host = 1;
    OK(acl.runtime.aclrtMemcpyAsync(device, 4, host, 4, ACL_MEMCPY_HOST_TO_DEVICE, stream));
    *host = 2;
    release();
    OK(acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, -1));
    EXPECT(downloaded(device, 1)[0] == 2);
}

CHECK(copy_WaitsForPageableMemory) {
    float host = 1;
    void *device = deviceMemory(4);
    auto calls = Interface::named<uint64_t(const char *)>("AscendEmulator_calls");
    EXPECT(calls("pageable copy") == 0);
    OK(acl.runtime.aclrtMemcpyAsync(device, 4, &host, 4, ACL_MEMCPY_HOST_TO_DEVICE, newStream()));
    EXPECT(calls("pageable copy") == 1);
    EXPECT(downloaded(device, 1)[0] == 1);
}

CHECK(copy_DoesNotWaitForStreams, .environment = {{"ASCEND_EMULATOR_FAULTS", "hold@1"}}) {
    void *x = uploaded({1});
    aclrtStream stream = newStream();
    runSilu(tensor({1}, ACL_FLOAT, x), tensor({1}, ACL_FLOAT, x), stream);
    EXPECT(downloaded(x, 1)[0] == 1);
    release();
    OK(acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, -1));
    EXPECT(downloaded(x, 1)[0] != 1);
}

CHECK(copy_Fails_WhenPinnedMemoryIsFreedBefore, .environment = {{"ASCEND_EMULATOR_FAULTS", "hold@1"}}) {
    void *x = uploaded({1}), *host = hostMemory(4);
    aclrtStream stream = newStream();
    runSilu(tensor({1}, ACL_FLOAT, x), tensor({1}, ACL_FLOAT, x), stream);
    OK(acl.runtime.aclrtMemcpyAsync(host, 4, x, 4, ACL_MEMCPY_DEVICE_TO_HOST, stream));
    OK(acl.runtime.aclrtFreeHost(host));
    release();
    REFUSED(507013, "was freed before", acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, -1));
}

CHECK(free_DoesNotWait_AndTheTaskFails, .environment = {{"ASCEND_EMULATOR_FAULTS", "hold@1"}}) {
    void *x = uploaded({1});
    aclrtStream stream = newStream();
    runSilu(tensor({1}, ACL_FLOAT, x), tensor({1}, ACL_FLOAT, x), stream);
    OK(acl.runtime.aclrtFree(x));
    release();
    REFUSED(507015, "aclnnSilu: self: 4 bytes", acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, -1));
    // The device stays in that state until it is reset.
    void *memory;
    REFUSED(507015, "aclrtFree has freed", acl.runtime.aclrtMalloc(&memory, 4, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(acl.runtime.aclrtResetDeviceForce(0));
    OK(acl.runtime.aclrtSetDevice(0));
    deviceMemory(4);
}

CHECK(free_Refuses_TwiceAndTheUnknown) {
    void *memory = deviceMemory(64);
    OK(acl.runtime.aclrtFree(memory));
    REFUSED(107000, "free already, by aclrtFree", acl.runtime.aclrtFree(memory));
    REFUSED(107000, "was not allocated", acl.runtime.aclrtFree((char *)deviceMemory(64) + 32));
    REFUSED(100000, "NULL", acl.runtime.aclrtFree(nullptr));
    REFUSED(100000, "NULL", acl.runtime.aclrtFreeHost(nullptr));
    REFUSED(107000, "aclrtMallocHost", acl.runtime.aclrtFreeHost(deviceMemory(64)));
}

CHECK(malloc_IsAlignedTo64_AndNoMore_AndHoldsNaN) {
    void *memory = deviceMemory(100);
    EXPECT((uintptr_t)memory % 64 == 0 && (uintptr_t)memory % 128 != 0);
    for (float value : downloaded(memory, 25)) EXPECT(value != value);
    REFUSED(100000, "", acl.runtime.aclrtMalloc(&memory, 0, ACL_MEM_MALLOC_HUGE_FIRST));
    REFUSED(100000, "", acl.runtime.aclrtMalloc(nullptr, 8, ACL_MEM_MALLOC_HUGE_FIRST));
    REFUSED(100000, "", acl.runtime.aclrtMallocHost(&memory, 0));
    EXPECT((uintptr_t)hostMemory(1) % 64 == 0);
}

CHECK(malloc_Refuses_BeyondTheBudget, .environment = {{"ASCEND_EMULATOR_MEMORY", "10000"}}) {
    size_t free, total;
    OK(acl.runtime.aclrtGetMemInfo(ACL_HBM_MEM, &free, &total));
    EXPECT(free == 10000 && total == 10000);
    void *memory = deviceMemory(5000);
    OK(acl.runtime.aclrtGetMemInfo(ACL_HBM_MEM, &free, &total));
    EXPECT(free == 10000 - 5024 - 32);  // rounded up to 32 bytes, and 32 of slack
    void *more;
    REFUSED(207001, "5000 bytes", acl.runtime.aclrtMalloc(&more, 5000, ACL_MEM_MALLOC_HUGE_FIRST));
    REFUSED(207001, "", acl.runtime.aclrtMalloc(&more, SIZE_MAX, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(acl.runtime.aclrtFree(memory));
    deviceMemory(5000);
}

CHECK(memset_WantsMemoryOfItsOwn) {
    auto set = Interface::named<aclError(void *, size_t, int32_t, size_t)>("aclrtMemset");
    void *memory = deviceMemory(8);
    OK(set(memory, 8, 0, 8));
    EXPECT(downloaded(memory, 2) == (std::vector<float>{0, 0}));
    char pageable[8];
    REFUSED(107000, "neither", set(pageable, 8, 0, 8));
    REFUSED(107000, "do not fit", set(memory, 8, 0, 16));
}
