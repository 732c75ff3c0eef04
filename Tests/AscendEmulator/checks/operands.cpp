// Rules 10 to 15 and 17: operands, executors, workspaces, parameters, layouts.

#include <csignal>
#include <thread>

#include "check.hpp"

static int planned(aclTensor *self, aclTensor *out) {
    uint64_t size;
    aclOpExecutor *executor;
    return acl.operators.Silu.plan(self, out, &size, &executor);
}

CHECK(tensor_IsRefused_WithRankNine) {
    aclTensor *x = tensor({1, 1, 1, 1, 1, 1, 1, 1, 1}, ACL_FLOAT, deviceMemory(64));
    REFUSED(161002, "rank 9", planned(x, x));
}

CHECK(tensor_IsRefused_WithByteStrides) {
    void *data = deviceMemory(64);
    REFUSED(161002, "not bytes", planned(tensor({4, 4}, ACL_FLOAT, data, {16, 4}, 16), tensor({4, 4}, ACL_FLOAT, data)));
}

CHECK(tensor_IsRefused_BehindItsStorage) {
    void *data = deviceMemory(64);
    aclTensor *out = tensor({4}, ACL_FLOAT, data);
    REFUSED(161002, "reaches elements 13 to 16", planned(tensor({4}, ACL_FLOAT, data, {1}, 16, 13), out));
    REFUSED(161002, "reaches", planned(tensor({4}, ACL_FLOAT, data, {1}, 16, -1), out));
    REFUSED(161002, "past the end", planned(tensor({4}, ACL_FLOAT, data, {1}, 17), out));
    REFUSED(161002, "in no allocation", planned(tensor({4}, ACL_FLOAT, (void *)0x1000), out));
}

CHECK(tensor_IsRefused_Unaligned) {
    char *data = (char *)deviceMemory(128);
    REFUSED(161002, "aligned to 32", planned(tensor({4}, ACL_FLOAT, data + 4), tensor({4}, ACL_FLOAT, data)));
    // The correct description: an aligned base and an offset.
    OK(planned(tensor({4}, ACL_FLOAT, data, {1}, 8, 1), tensor({4}, ACL_FLOAT, data + 64)));
}

CHECK(tensor_IsRefused_InFreedMemory) {
    void *data = deviceMemory(64);
    aclTensor *x = tensor({4}, ACL_FLOAT, data);
    OK(acl.runtime.aclrtFree(data));
    REFUSED(161002, "aclrtFree has freed", planned(x, x));
}

CHECK(output_IsRefused_OverAPartOfTheInput) {
    char *data = (char *)deviceMemory(256);
    REFUSED(161002, "lies over a part", planned(tensor({16}, ACL_FLOAT, data), tensor({16}, ACL_FLOAT, data + 32)));
    // Columns of the same rows do not overlap; nor is operating in place an error.
    OK(planned(tensor({4, 4}, ACL_FLOAT, data, {8, 1}, 28), tensor({4, 4}, ACL_FLOAT, data, {8, 1}, 32, 4)));
    OK(planned(tensor({16}, ACL_FLOAT, data), tensor({16}, ACL_FLOAT, data)));
    REFUSED(161002, "stride 0", planned(tensor({4}, ACL_FLOAT, data + 64), tensor({4}, ACL_FLOAT, data, {0}, 1)));
}

CHECK(tensor_Aborts_WhenDestroyedBefore, .signal = SIGABRT, .text = "was destroyed before") {
    aclTensor *x = tensor({4}, ACL_FLOAT, deviceMemory(64));
    OK(acl.tensors.aclDestroyTensor(x));
    planned(x, x);
}

CHECK(tensor_Aborts_WhenDestroyedTwice, .signal = SIGABRT, .text = "aclDestroyTensor: the tensor") {
    aclTensor *x = tensor({4}, ACL_FLOAT, deviceMemory(64));
    OK(acl.tensors.aclDestroyTensor(nullptr));
    OK(acl.tensors.aclDestroyTensor(x));
    acl.tensors.aclDestroyTensor(x);
}

CHECK(scalar_Aborts_WhenDestroyedTwice, .signal = SIGABRT, .text = "scalar") {
    aclScalar *one = scalar(1);
    OK(acl.tensors.aclDestroyScalar(one));
    acl.tensors.aclDestroyScalar(one);
}

CHECK(list_DestroysItsMembers, .signal = SIGABRT, .text = "aclDestroyTensor: the tensor") {
    const aclTensor *x = tensor({4}, ACL_FLOAT, deviceMemory(64));
    aclTensorList *list = acl.tensors.aclCreateTensorList(&x, 1);
    OK(acl.tensors.aclDestroyTensorList(list));
    acl.tensors.aclDestroyTensor(x);
}

CHECK(executor_Aborts_WhenLaunchedTwice, .signal = SIGABRT, .text = "an executor runs once") {
    aclTensor *x = tensor({4}, ACL_FLOAT, deviceMemory(64));
    Plan plan = planSilu(x, x);
    OK(acl.operators.Silu.launch(nullptr, 0, plan.executor, nullptr));
    acl.operators.Silu.launch(nullptr, 0, plan.executor, nullptr);
}

CHECK(executor_IsUsedUp_WhenTheLaunchFails, .signal = SIGABRT, .text = "an executor runs once") {
    char *data = (char *)deviceMemory(256);
    Plan plan = planSilu(tensor({4, 4}, ACL_FLOAT, data, {8, 1}, 28), tensor({4, 4}, ACL_FLOAT, data + 128));
    EXPECT(plan.size > 0);
    REFUSED(161001, "workspace is NULL", acl.operators.Silu.launch(nullptr, plan.size, plan.executor, nullptr));
    acl.operators.Silu.launch(plan.allocated(), plan.size, plan.executor, nullptr);
}

CHECK(executor_Aborts_OfAnotherOperator, .signal = SIGABRT, .text = "was made for aclnnSilu") {
    aclTensor *x = tensor({4}, ACL_FLOAT, deviceMemory(64));
    Plan plan = planSilu(x, x);
    acl.operators.Relu.launch(nullptr, 0, plan.executor, nullptr);
}

CHECK(executor_RunsAgain_WhenRepeatable) {
    auto repeatable = Interface::named<aclnnStatus(aclOpExecutor *)>("aclSetAclOpExecutorRepeatable");
    auto setAddress = Interface::named<aclnnStatus(aclOpExecutor *, const size_t, aclTensor *, void *)>("aclSetTensorAddr");
    auto destroy = Interface::named<aclnnStatus(aclOpExecutor *)>("aclDestroyAclOpExecutor");
    void *x = uploaded({1}), *y = uploaded({2}), *z = uploaded({0});
    aclTensor *self = tensor({1}, ACL_FLOAT, x), *out = tensor({1}, ACL_FLOAT, z);
    Plan plan = planSilu(self, out);
    OK(repeatable(plan.executor));
    OK(acl.operators.Silu.launch(nullptr, 0, plan.executor, nullptr));
    REFUSED(161002, "no tensor 2", setAddress(plan.executor, 2, self, y));
    REFUSED(161002, "aligned", setAddress(plan.executor, 0, self, (char *)y + 4));
    REFUSED(561103, "NULL", setAddress(nullptr, 0, self, y));
    OK(setAddress(plan.executor, 0, self, y));
    OK(acl.operators.Silu.launch(nullptr, 0, plan.executor, nullptr));
    OK(acl.runtime.aclrtSynchronizeStreamWithTimeout(nullptr, -1));
    EXPECT(downloaded(z, 1)[0] > 1.76f && downloaded(z, 1)[0] < 1.77f);
    OK(destroy(plan.executor));
    REFUSED(561103, "NULL", repeatable(nullptr));
    uint64_t size;
    aclOpExecutor *executor;
    OK(acl.operators.InplaceCopy.plan(self, out, &size, &executor));
    REFUSED(561000, "copies inside", repeatable(executor));
}

CHECK(workspace_IsRefused_TooSmall) {
    char *data = (char *)deviceMemory(256);
    Plan plan = planSilu(tensor({4, 4}, ACL_FLOAT, data, {8, 1}, 28), tensor({4, 4}, ACL_FLOAT, data + 128));
    REFUSED(161001, "are needed", acl.operators.Silu.launch(deviceMemory(8), 8, plan.executor, nullptr));
    REFUSED(161001, "executor is NULL", acl.operators.Silu.launch(nullptr, 0, nullptr, nullptr));
    plan = planSilu(tensor({4, 4}, ACL_FLOAT, data, {8, 1}, 28), tensor({4, 4}, ACL_FLOAT, data + 128));
    REFUSED(161002, "past the end", acl.operators.Silu.launch(deviceMemory(8), plan.size, plan.executor, nullptr));
    plan = planSilu(tensor({4, 4}, ACL_FLOAT, data, {8, 1}, 28), tensor({4, 4}, ACL_FLOAT, data + 128));
    REFUSED(161002, "lies over", acl.operators.Silu.launch(data + 128, plan.size, plan.executor, nullptr));
}

/// A product of two matrices, which has a workspace.
static Plan planMm(void *out) {
    void *x = uploaded(std::vector<float>(64 * 64, 1));
    aclTensor *square = tensor({64, 64}, ACL_FLOAT, x), *result = tensor({64, 64}, ACL_FLOAT, out);
    Plan plan;
    OK(acl.operators.Mm.plan(square, square, result, KEEP_DTYPE, &plan.size, &plan.executor));
    EXPECT(plan.size > 0);
    return plan;
}

CHECK(workspace_IsTheTasks_UntilItRan, .environment = {{"ASCEND_EMULATOR_FAULTS", "hold@1"}}) {
    Plan plan = planMm(deviceMemory(64 * 64 * 4));
    aclrtStream stream = newStream();
    OK(acl.operators.Mm.launch(plan.allocated(), plan.size, plan.executor, stream));
    OK(acl.runtime.aclrtFree(plan.workspace));
    release();
    REFUSED(507015, "the workspace", acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, -1));
}

CHECK(workspace_IsNotForTwoStreams, .environment = {{"ASCEND_EMULATOR_FAULTS", "hold@1"}}) {
    void *workspace = deviceMemory(1 << 20);
    aclrtStream first = newStream(), second = newStream();
    for (aclrtStream stream : {first, second}) {
        Plan plan = planMm(deviceMemory(64 * 64 * 4));
        OK(acl.operators.Mm.launch(workspace, plan.size, plan.executor, stream));
        // The first starts before the second.
        if (stream == first) Interface::named<void()>("AscendEmulator_awaitHeld")();
    }
    OK(acl.runtime.aclrtSynchronizeStreamWithTimeout(second, -1));
    release();
    REFUSED(507015, "was overwritten while", acl.runtime.aclrtSynchronizeStreamWithTimeout(first, -1));
}

CHECK(operands_MayGo_AfterTheLaunch, .environment = {{"ASCEND_EMULATOR_FAULTS", "hold@1"}}) {
    void *x = uploaded({1}), *y = uploaded({0});
    aclTensor *self = tensor({1}, ACL_FLOAT, x), *out = tensor({1}, ACL_FLOAT, y);
    runSilu(self, out, nullptr);
    OK(acl.tensors.aclDestroyTensor(self));
    OK(acl.tensors.aclDestroyTensor(out));
    release();
    OK(acl.runtime.aclrtSynchronizeStreamWithTimeout(nullptr, -1));
    EXPECT(downloaded(y, 1)[0] > 0.73f);
}

CHECK(parameters_AreChecked) {
    char *data = (char *)deviceMemory(1024);
    aclTensor *x = tensor({4, 8}, ACL_FLOAT, data), *y = tensor({4, 8}, ACL_FLOAT, data + 512);
    uint64_t size;
    aclOpExecutor *executor;
    REFUSED(161001, "self is NULL", planned(nullptr, y));
    REFUSED(161001, "out is NULL", planned(x, nullptr));
    REFUSED(161001, "out parameter", acl.operators.Silu.plan(x, y, nullptr, &executor));
    REFUSED(161002, "it must be [4,8]", planned(x, tensor({4, 4}, ACL_FLOAT, data + 512)));
    REFUSED(161002, "cannot be int32", planned(tensor({4}, ACL_INT32, data), y));
    REFUSED(161002, "do not broadcast", acl.operators.Mul.plan(x, tensor({3, 8}, ACL_FLOAT, data + 256), y, &size, &executor));
    REFUSED(161002, "rank must be 2", acl.operators.Mm.plan(tensor({32}, ACL_FLOAT, data), x, y, 0, &size, &executor));
    REFUSED(161002, "mat2 has shape", acl.operators.Mm.plan(x, x, y, 0, &size, &executor));
    REFUSED(161002, "no dimension 2", acl.operators.Softmax.plan(x, 2, y, &size, &executor));
    REFUSED(161001, "alpha", acl.operators.InplaceAdd.plan(y, x, nullptr, &size, &executor));
    REFUSED(161002, "k is 9", acl.operators.Topk.plan(x, 9, 1, true, true, y, tensor({4, 9}, ACL_INT64, data + 512), &size, &executor));
}

CHECK(parameters_AreChecked_OnAChipWithoutBF16, .environment = {{"ASCEND_EMULATOR_SOC", "Ascend310P3"}}) {
    char *data = (char *)deviceMemory(1024);
    aclTensor *half = tensor({4, 8}, ACL_BF16, data), *x = tensor({4, 8}, ACL_FLOAT, data);
    aclTensor *y = tensor({4, 4}, ACL_FLOAT, data + 512), *z = tensor({8, 4}, ACL_FLOAT, data + 256);
    uint64_t size;
    aclOpExecutor *executor;
    REFUSED(161002, "bfloat16", planned(half, half));
    aclTensor *gamma = tensor({8}, ACL_BF16, data), *rstd = tensor({4, 1}, ACL_FLOAT, data + 512);
    REFUSED(161002, "bfloat16", acl.operators.RmsNorm.plan(half, gamma, 1e-6, half, rstd, &size, &executor));
    REFUSED(561103, "no kernel", acl.operators.LayerNorm.plan(x, nullptr, nullptr, nullptr, 0, x, nullptr, nullptr, &size, &executor));
    REFUSED(161002, "cubeMathType", acl.operators.Mm.plan(x, z, y, KEEP_DTYPE, &size, &executor));
    OK(acl.operators.Mm.plan(x, z, y, ALLOW_FP32_DOWN_PRECISION, &size, &executor));
}

CHECK(operator_IsRefused_WhenTheProfileSaysSo, .environment = {{"ASCEND_EMULATOR_UNSUPPORTED", "Topk,Silu,SwiGlu"}}) {
    aclTensor *x = tensor({4}, ACL_FLOAT, deviceMemory(64)), *half = tensor({2}, ACL_FLOAT, deviceMemory(64));
    uint64_t size;
    aclOpExecutor *executor;
    REFUSED(561103, "no kernel", planned(x, x));
    REFUSED(561003, "no kernel", acl.operators.SwiGlu.plan(x, -1, half, &size, &executor));
}

CHECK(factor_OfIntegers_IsAnInteger) {
    aclTensor *x = tensor({4}, ACL_INT64, deviceMemory(64)), *out = tensor({4}, ACL_INT64, deviceMemory(64));
    float real = 1;
    int32_t whole = 1;
    uint64_t size;
    aclOpExecutor *executor;
    REFUSED(161002, "cannot be cast", acl.operators.Sub.plan(x, x, acl.tensors.aclCreateScalar(&real, ACL_FLOAT), out, &size, &executor));
    OK(acl.operators.Sub.plan(x, x, acl.tensors.aclCreateScalar(&whole, ACL_INT32), out, &size, &executor));
}

CHECK(weight_IsBlocked_OnlyAfterItWasMadeSo) {
    char *data = (char *)deviceMemory(64 * 1024);
    int64_t dims[] = {20, 40}, storage[] = {3, 2, 16, 16}, flat[] = {32 * 48};
    const auto blocked = [&] {
        return acl.tensors.aclCreateTensor(dims, 2, ACL_FLOAT16, nullptr, 0, ACL_FORMAT_FRACTAL_NZ, storage, 4, data);
    };
    aclTensor *x = tensor({4, 20}, ACL_FLOAT16, data + 32768), *out = tensor({4, 40}, ACL_FLOAT, data + 40960);
    uint64_t size, elements;
    aclOpExecutor *executor;
    REFUSED(161002, "has not made it so", acl.operators.Mm.plan(x, blocked(), out, KEEP_DTYPE, &size, &executor));
    REFUSED(161002, "format 29", planned(blocked(), blocked()));
    aclIntArray *shape = acl.tensors.aclCreateIntArray(dims, 2);
    OK(acl.operators.aclnnCalculateMatmulWeightSizeV2(shape, ACL_FLOAT16, &elements));
    EXPECT(elements == 32 * 48);
    aclTensor *plain = tensor({20, 40}, ACL_FLOAT16, data);
    OK(acl.operators.TransMatmulWeight.plan(plain, &size, &executor));
    OK(acl.operators.TransMatmulWeight.launch(deviceMemory(size), size, executor, nullptr));
    OK(acl.runtime.aclrtSynchronizeStreamWithTimeout(nullptr, -1));
    OK(acl.operators.Mm.plan(x, blocked(), out, KEEP_DTYPE, &size, &executor));
    aclTensor *line = acl.tensors.aclCreateTensor(dims, 2, ACL_FLOAT16, nullptr, 0, ACL_FORMAT_FRACTAL_NZ, flat, 1, data);
    REFUSED(561103, "the storage of a FRACTAL_NZ matrix", acl.operators.Mm.plan(x, line, out, KEEP_DTYPE, &size, &executor));
    REFUSED(161002, "holds FRACTAL_NZ", acl.operators.Mm.plan(x, plain, out, KEEP_DTYPE, &size, &executor));
}
