// Rules 16, 17 and 18: the results of operators.

#include <cmath>
#include <cstring>

#include "check.hpp"

/// Runs both phases on the default stream and waits.
template <class Operator, class... Operands>
static void run(const Operator &operator_, Operands... operands) {
    uint64_t size = 0;
    aclOpExecutor *executor = nullptr;
    OK(operator_.plan(operands..., &size, &executor));
    OK(operator_.launch(size > 0 ? deviceMemory(size) : nullptr, size, executor, nullptr));
    OK(acl.runtime.aclrtSynchronizeStreamWithTimeout(nullptr, -1));
}

static std::vector<float> cast(const std::vector<float> &values, aclDataType type) {
    void *x = uploaded(values), *half = deviceMemory(values.size() * 2), *back = deviceMemory(values.size() * 4);
    const auto count = (int64_t)values.size();
    aclTensor *narrow = tensor({count}, type, half);
    run(acl.operators.Cast, tensor({count}, ACL_FLOAT, x), type, narrow);
    run(acl.operators.Cast, narrow, ACL_FLOAT, tensor({count}, ACL_FLOAT, back));
    return downloaded(back, values.size());
}

CHECK(halves_RoundToNearestEven) {
    const std::vector<float> values = {1, 1 + 0x1p-11f, 1 + 3 * 0x1p-11f, -65519, 65520, 0x1p-24f, 0x1p-25f, 3 * 0x1p-25f, 0x1.ffcp-15f};
    const std::vector<float> expected = {1, 1, 1 + 0x1p-9f, -65504, INFINITY, 0x1p-24f, 0, 0x1p-23f, 0x1p-14f};
    EXPECT(cast(values, ACL_FLOAT16) == expected);
    const std::vector<float> wide = {1 + 0x1p-8f, 1 + 3 * 0x1p-8f, 3e38f, -0x1p-130f};
    
    const std::vector<float> actual = cast(wide, ACL_BF16);
    EXPECT(actual[0] == 1 && actual[1] == 1 + 0x1p-6f && fabsf(actual[2] / 3e38f - 1) < 0x1p-8f && actual[3] == -0x1p-130f);
    EXPECT(std::isnan(cast({NAN}, ACL_FLOAT16)[0]) && std::isnan(cast({NAN}, ACL_BF16)[0]));
}

CHECK(product_SumsInFloat32_AndWritesIt) {
    // 2048 + 1 is not a float16; the sum and a float32 result contain it.
    void *a = uploaded({2048, 1}), *b = uploaded({1, 1}), *half = deviceMemory(128), *out = deviceMemory(64);
    aclTensor *x = tensor({1, 2}, ACL_FLOAT16, half), *y = tensor({2, 1}, ACL_FLOAT16, (char *)half + 64);
    run(acl.operators.Cast, tensor({1, 2}, ACL_FLOAT, a), ACL_FLOAT16, x);
    run(acl.operators.Cast, tensor({2, 1}, ACL_FLOAT, b), ACL_FLOAT16, y);
    run(acl.operators.Mm, x, y, tensor({1, 1}, ACL_FLOAT, out), (int8_t)KEEP_DTYPE);
    EXPECT(downloaded(out, 1)[0] == 2049);
    aclTensor *narrow = tensor({1, 1}, ACL_FLOAT16, out);
    run(acl.operators.Mm, x, y, narrow, (int8_t)KEEP_DTYPE);
    run(acl.operators.Cast, narrow, ACL_FLOAT, tensor({1, 1}, ACL_FLOAT, a));
    EXPECT(downloaded(a, 1)[0] == 2048);
}

CHECK(product_LosesBits_WhenFloat32MayBeLowered) {
    void *a = uploaded({1 + 0x1p-20f}), *b = uploaded({1}), *out = deviceMemory(64);
    aclTensor *x = tensor({1, 1}, ACL_FLOAT, a), *y = tensor({1, 1}, ACL_FLOAT, b), *z = tensor({1, 1}, ACL_FLOAT, out);
    run(acl.operators.Mm, x, y, z, (int8_t)KEEP_DTYPE);
    EXPECT(downloaded(out, 1)[0] == 1 + 0x1p-20f);
    run(acl.operators.Mm, x, y, z, (int8_t)ALLOW_FP32_DOWN_PRECISION);
    EXPECT(downloaded(out, 1)[0] == 1);
}

CHECK(product_IsTheSame_WithABlockedWeight) {
    std::vector<float> a(3 * 20), b(20 * 40);
    for (size_t index = 0; index < a.size(); index++) a[index] = (float)(index % 7) - 3;
    for (size_t index = 0; index < b.size(); index++) b[index] = (float)(index % 11) - 5;
    char *memory = (char *)deviceMemory(16384);
    aclTensor *x = tensor({3, 20}, ACL_FLOAT16, memory), *weight = tensor({20, 40}, ACL_FLOAT16, memory + 1024);
    run(acl.operators.Cast, tensor({3, 20}, ACL_FLOAT, uploaded(a)), ACL_FLOAT16, x);
    run(acl.operators.Cast, tensor({20, 40}, ACL_FLOAT, uploaded(b)), ACL_FLOAT16, weight);
    void *out = deviceMemory(480);
    run(acl.operators.Mm, x, weight, tensor({3, 40}, ACL_FLOAT, out), (int8_t)KEEP_DTYPE);
    const std::vector<float> plain = downloaded(out, 120);
    std::vector<uint16_t> before(1600), after(1600);
    OK(acl.runtime.aclrtMemcpy(before.data(), 3200, memory + 1024, 3200, ACL_MEMCPY_DEVICE_TO_HOST));
    run(acl.operators.TransMatmulWeight, weight);
    OK(acl.runtime.aclrtMemcpy(after.data(), 3200, memory + 1024, 3200, ACL_MEMCPY_DEVICE_TO_HOST));
    EXPECT(before != after);  // the bytes really move
    const int64_t dims[] = {20, 40}, storage[] = {3, 2, 16, 16};
    aclTensor *blocked = acl.tensors.aclCreateTensor(dims, 2, ACL_FLOAT16, nullptr, 0, ACL_FORMAT_FRACTAL_NZ, storage, 4, memory + 1024);
    run(acl.operators.Mm, x, blocked, tensor({3, 40}, ACL_FLOAT, out), (int8_t)KEEP_DTYPE);
    EXPECT(downloaded(out, 120) == plain);
}

static aclTensor *indices(std::vector<int32_t> values) {
    const size_t size = values.size() * 4;
    void *memory = deviceMemory(size);
    OK(acl.runtime.aclrtMemcpy(memory, size, values.data(), size, ACL_MEMCPY_HOST_TO_DEVICE));
    return tensor({(int64_t)values.size()}, ACL_INT32, memory);
}

CHECK(gather_Fails_WithANegativeIndex) {
    aclTensor *table = tensor({3, 2}, ACL_FLOAT, uploaded({1, 2, 3, 4, 5, 6})), *out = tensor({2, 2}, ACL_FLOAT, deviceMemory(16));
    uint64_t size;
    aclOpExecutor *executor;
    OK(acl.operators.GatherV2.plan(table, 0, indices({0, -1}), out, &size, &executor));
    OK(acl.operators.GatherV2.launch(nullptr, 0, executor, nullptr));
    REFUSED(507015, "index -1 is negative", acl.runtime.aclrtSynchronizeStreamWithTimeout(nullptr, -1));
}

CHECK(gather_Poisons_PastTheEnd, .text = "index 3 of 3") {
    void *data = deviceMemory(16);
    aclTensor *table = tensor({3, 2}, ACL_FLOAT, uploaded({1, 2, 3, 4, 5, 6})), *out = tensor({2, 2}, ACL_FLOAT, data);
    run(acl.operators.GatherV2, table, (int64_t)0, indices({2, 3}), out);
    const std::vector<float> values = downloaded(data, 4);
    EXPECT(values[0] == 5 && values[1] == 6 && std::isnan(values[2]) && std::isnan(values[3]));
    auto calls = Interface::named<uint64_t(const char *)>("AscendEmulator_calls");
    EXPECT(calls("gather past the end") == 1);
}

CHECK(topk_PromisesNoOrderAmongEquals) {
    void *values = deviceMemory(64), *places = deviceMemory(64);
    run(acl.operators.Topk, tensor({1, 5}, ACL_FLOAT, uploaded({1, 3, 3, 2, 3})), (int64_t)3, (int64_t)1, true, true,
        tensor({1, 3}, ACL_FLOAT, values), tensor({1, 3}, ACL_INT64, places));
    EXPECT(downloaded(values, 3) == (std::vector<float>{3, 3, 3}));
    int64_t rows[3];
    OK(acl.runtime.aclrtMemcpy(rows, 24, places, 24, ACL_MEMCPY_DEVICE_TO_HOST));
    EXPECT(rows[0] == 4 && rows[2] == 1);
}

CHECK(arithmetic_Broadcasts_AndStrides) {
    // out[i][j] = x[j][i] · y[i], through a transposed view.
    void *out = deviceMemory(64);
    run(acl.operators.Mul, tensor({3, 2}, ACL_FLOAT, uploaded({1, 2, 3, 4, 5, 6}), {1, 3}, 6),
        tensor({3, 1}, ACL_FLOAT, uploaded({1, 10, 100})), tensor({3, 2}, ACL_FLOAT, out));
    EXPECT(downloaded(out, 6) == (std::vector<float>{1, 4, 20, 50, 300, 600}));
}

CHECK(rows_AreNormalised) {
    void *out = deviceMemory(64);
    const int64_t columns = 4;
    aclTensor *x = tensor({1, 4}, ACL_FLOAT, uploaded({1, 2, 3, 4})), *y = tensor({1, 4}, ACL_FLOAT, out);
    run(acl.operators.LayerNorm, x, acl.tensors.aclCreateIntArray(&columns, 1), (aclTensor *)nullptr, (aclTensor *)nullptr, 0.0, y,
        (aclTensor *)nullptr, (aclTensor *)nullptr);
    EXPECT(fabsf(downloaded(out, 4)[0] + 1.3416408f) < 1e-6f);
    run(acl.operators.RmsNorm, x, tensor({4}, ACL_FLOAT, uploaded({1, 1, 1, 2})), 0.0, y, tensor({1, 1}, ACL_FLOAT, deviceMemory(4)));
    EXPECT(fabsf(downloaded(out, 4)[3] - 8 / 2.7386128f) < 1e-6f);
    run(acl.operators.Softmax, x, (int64_t)-1, y);
    EXPECT(fabsf(downloaded(out, 4)[3] - 0.6439143f) < 1e-6f);
}

CHECK(indexCopy_Fails_WithARowTwice) {
    void *self = uploaded({0, 0, 0, 0});
    uint64_t size;
    aclOpExecutor *executor;
    run(acl.operators.InplaceIndexCopy, tensor({2, 2}, ACL_FLOAT, self), (int64_t)0, indices({1}), tensor({1, 2}, ACL_FLOAT, uploaded({7, 8})));
    EXPECT(downloaded(self, 4) == (std::vector<float>{0, 0, 7, 8}));
    aclTensor *two = tensor({2, 2}, ACL_FLOAT, uploaded({1, 2, 3, 4}));
    OK(acl.operators.InplaceIndexCopy.plan(tensor({2, 2}, ACL_FLOAT, self), 0, indices({1, 1}), two, &size, &executor));
    OK(acl.operators.InplaceIndexCopy.launch(deviceMemory(size), size, executor, nullptr));
    REFUSED(507015, "written twice", acl.runtime.aclrtSynchronizeStreamWithTimeout(nullptr, -1));
}
