// Rule 26: RecSDK's fused attention in a separate package, bound only if its header declares a known call; and the
// limits of the operator.

#include <cmath>
#include <cstring>

#include "check.hpp"

static constexpr const char *older = "@/packages/vendors/recsdk", *newer = "@/packages/vendors/recsdk-newer";
static constexpr const char *of2026 = "@/packages/vendors/recsdk-2026";

static std::string text() { return acl.hstu.text; }

static void expectUnbound(const char *words);

static void load() {
    char message[2048];
    EXPECT(CAscend_load(&acl, message, sizeof message));
}

CHECK(hstu_IsAbsent_WithoutAPackage, .isPrepared = false) {
    load();
    EXPECT(acl.hstu.plan == nullptr && acl.hstu.planDeterministic == nullptr && acl.hstu.launch == nullptr);
    EXPECT(text() == "no installed package has aclnnHstuDenseForward");
}

CHECK(hstu_IsBound_OfTheCustomPath, .environment = {{"ASCEND_CUSTOM_OPP_PATH", older}}, .isPrepared = false) {
    load();
    EXPECT(acl.hstu.plan != nullptr && acl.hstu.planDeterministic == nullptr && acl.hstu.launch != nullptr);
    EXPECT(text().find("/recsdk/op_api/lib/libcust_opapi.so") != std::string::npos);
}

CHECK(hstu_IsBound_InItsNewerForm, .environment = {{"ASCEND_CUSTOM_OPP_PATH", newer}}, .isPrepared = false) {
    load();
    EXPECT(acl.hstu.plan == nullptr && acl.hstu.planDeterministic != nullptr && acl.hstu.launch != nullptr);
}

CHECK(hstu_IsBound_OfTheVendors, .environment = {{"ASCEND_OPP_PATH", "@/packages"}}, .isPrepared = false) {
    load();
    EXPECT(acl.hstu.plan != nullptr);
    EXPECT(text().find("/vendors/recsdk/op_api") != std::string::npos);
}

CHECK(hstu_IsBoundAsJagged_OfAPackageOf2026, .environment = {{"ASCEND_CUSTOM_OPP_PATH", of2026}}, .isPrepared = false) {
    load();
    EXPECT(acl.hstu.planJagged != nullptr && acl.hstu.launchJagged != nullptr);
    EXPECT(std::string(acl.hstu.textJagged).find("/recsdk-2026/op_api/lib") != std::string::npos);
    expectUnbound("aclnn_hstu_dense_forward.h declares other operands");
}

CHECK(hstu_IsBoundInEachForm_OfTheFirstPackageThatHasIt, .environment = {{"ASCEND_CUSTOM_OPP_PATH", "@/packages/vendors/recsdk:@/packages/vendors/recsdk-2026"}}, .isPrepared = false) {
    load();
    EXPECT(acl.hstu.planJagged != nullptr && acl.hstu.plan != nullptr);
}

/// A copy of the newer package with a header changed by a sed script, or without one.
static void loadChanged(const char *script) {
    char folder[] = "/tmp/ascend-package-XXXXXX";
    EXPECT(mkdtemp(folder) != nullptr);
    const std::string package = std::string(getenv("ASCEND_EMULATOR_LAYOUTS")) + "/packages/vendors/recsdk-newer";
    const std::string core = std::string(getenv("ASCEND_EMULATOR_LAYOUTS")) + "/libascend_emulator.so";
    const std::string header = std::string(folder) + "/op_api/include/aclnn_hstu_dense_forward.h";
    const std::string command = "cp -r " + package + "/op_api " + folder + " && "
        + (script == nullptr ? "rm " + header : "sed -i '" + std::string(script) + "' " + header);
    EXPECT(system(command.c_str()) == 0);
    setenv("ASCEND_CUSTOM_OPP_PATH", folder, 1);
    load();
    EXPECT(system(("rm -r " + std::string(folder)).c_str()) == 0);
}

static void expectUnbound(const char *words) {
    EXPECT(acl.hstu.plan == nullptr && acl.hstu.planDeterministic == nullptr && acl.hstu.launch == nullptr);
    if (text().find(words) == std::string::npos) fail(__FILE__, __LINE__, text());
}

CHECK(hstu_IsNotBound_WithoutItsHeader, .isPrepared = false) {
    loadChanged(nullptr);
    expectUnbound("without its header");
}

CHECK(hstu_IsNotBound_WithAnOperandMore, .isPrepared = false) {
    loadChanged("s|const aclTensor .kvCacheOptional,|const aclTensor *kCacheOptional, const aclTensor *vCacheOptional,|");
    expectUnbound("declares other operands");
}

CHECK(hstu_IsNotBound_WithAnotherType, .isPrepared = false) {
    loadChanged("s|double siluScale|float siluScale|");
    expectUnbound("declares other operands");
}

CHECK(hstu_IsNotBound_WithOperandsInAnotherOrder, .isPrepared = false) {
    loadChanged("s|const aclTensor .k,|const aclTensor *X,|; s|const aclTensor .v,|const aclTensor *k,|; s|const aclTensor .X,|const aclTensor *v,|");
    expectUnbound("declares other operands");
}

CHECK(hstu_IsNotBound_WhenTheHeaderSaysNothing, .isPrepared = false) {
    loadChanged("s|GetWorkspaceSize(|GetWorkspace(|");
    expectUnbound("does not declare");
}

CHECK(hstu_IsBound_WhateverTheCommentsAndSpaces, .isPrepared = false) {
    loadChanged("s|const aclTensor .k,|aclTensor const*  k /* keys, of (T, N, D) */ , // and|");
    EXPECT(acl.hstu.planDeterministic != nullptr);
}

/// A call on one sequence of ones, changed by the check before phase 1.
struct Call {
    std::vector<int64_t> query = {4, 1, 16}, key = {4, 1, 16}, value = {4, 1, 16};
    aclDataType type = ACL_FLOAT;
    std::vector<int32_t> offsets = {0, 4};
    int64_t maskType = 0, longest = 4, group = 0;
    double scale = 1, alpha = 1;
    const char *layout = "jagged";
    aclTensor *mask = nullptr, *bias = nullptr, *contexts = nullptr, *targets = nullptr;
    /// For the paged layout.
    aclTensor *targetOffsets = nullptr, *cache = nullptr, *pageOffsets = nullptr, *pageIds = nullptr, *lastLengths = nullptr;
    aclTensor *keyOffsets = nullptr;
    /// Whether to pass the optional operands that jagged kernels read.
    bool fillsOptional = true;
    void *output = nullptr;
    uint64_t size = 0;
    aclOpExecutor *executor = nullptr;

    static int64_t count(const std::vector<int64_t> &dims) {
        int64_t product = 1;
        for (int64_t extent : dims) product *= extent;
        return product;
    }
    static aclTensor *ones(const std::vector<int64_t> &dims, aclDataType type) {
        if (type == ACL_FLOAT) return tensor(dims, type, uploaded(std::vector<float>((size_t)count(dims), 1)));
        return tensor(dims, type, deviceMemory((size_t)count(dims) * 2));
    }
    static aclTensor *integers(const std::vector<int32_t> &values) {
        void *memory = deviceMemory(values.size() * 4);
        OK(acl.runtime.aclrtMemcpy(memory, values.size() * 4, values.data(), values.size() * 4, ACL_MEMCPY_HOST_TO_DEVICE));
        return tensor({(int64_t)values.size()}, ACL_INT32, memory);
    }

    aclnnStatus plan() {
        auto out = query;
        out.back() = value.back();
        output = uploaded(std::vector<float>((size_t)count(out), 0));
        const bool isNormal = strcmp(layout, "normal") == 0;
        if (fillsOptional && strcmp(layout, "jagged") == 0) {
            if (keyOffsets == nullptr) keyOffsets = integers(offsets);
            const std::vector<int32_t> zeros(offsets.size() - 1, 0);
            if (contexts == nullptr) contexts = integers(zeros);
            if (targets == nullptr) targets = integers(zeros);
        }
        return acl.hstu.plan(
            ones(query, type), ones(key, type), ones(value, type), mask, bias, isNormal ? nullptr : integers(offsets), keyOffsets,
            targetOffsets, cache, pageOffsets, pageIds, lastLengths, contexts, targets, maskType, longest, longest, scale,
            (char *)layout, group, 0, alpha, tensor(out, type, output), &size, &executor);
    }

    /// Runs the call; returns the first column of each row.
    std::vector<float> run() {
        OK(plan());
        aclrtStream stream = newStream();
        OK(acl.hstu.launch(deviceMemory(size), size, executor, stream));
        OK(acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, -1));
        const auto all = downloaded(output, (size_t)(query[0] * query[1] * value.back()));
        std::vector<float> rows;
        for (size_t at = 0; at < all.size(); at += (size_t)value.back()) rows.push_back(all[at]);
        return rows;
    }
};

static float silu(float x) { return x / (1 + std::exp(-x)); }

static void expectNear(const std::vector<float> &found, const std::vector<float> &expected) {
    EXPECT(found.size() == expected.size());
    for (size_t index = 0; index < found.size(); index++) {
        if (std::fabs(found[index] - expected[index]) > 1e-4f * std::fabs(expected[index]) + 1e-6f) {
            fail(__FILE__, __LINE__, "row " + std::to_string(index) + " is " + std::to_string(found[index]) + ", not " + std::to_string(expected[index]));
        }
    }
}

#define HSTU_CHECK(name) CHECK(name, .environment = {{"ASCEND_CUSTOM_OPP_PATH", older}})

HSTU_CHECK(hstu_Jagged_IsCausal_AndLeavesOtherRowsAlone) {
    const float one = silu(16) / 2;
    expectNear(Call{.offsets = {0, 3, 4}, .scale = 0.5}.run(), {one, 2 * one, 3 * one, one});
}

HSTU_CHECK(hstu_AddsTheBias_BeforeAlpha) {
    Call call{.alpha = 0.25};
    call.bias = Call::ones({1, 1, 4, 4}, ACL_FLOAT);
    const float one = silu(17 * 0.25f);
    expectNear(call.run(), {one, 2 * one, 3 * one, 4 * one});
}

HSTU_CHECK(hstu_MasksContextsAndTargets) {
    Call call{.group = 1};
    call.contexts = Call::integers({2});
    call.targets = Call::integers({1});
    const float one = silu(16);
    // Two rows of context attend to the whole history, the third is causal, the target attends to the history and
    // itself.
    expectNear(call.run(), {3 * one, 3 * one, 3 * one, 4 * one});
    Call several{.group = 1};
    several.targets = Call::integers({2});
    expectNear(several.run(), {one, 2 * one, 3 * one, 3 * one});
}

HSTU_CHECK(hstu_Paged_ReadsPagesAndTargets) {
    Call call{.query = {2, 1, 16}, .key = {2, 1, 16}, .value = {2, 1, 16}, .offsets = {0, 2}, .longest = 64, .group = 1, .layout = "paged"};
    call.keyOffsets = Call::integers({0, 2});
    call.targetOffsets = Call::integers({0, 1});
    call.cache = Call::ones({4, 2, 32, 1, 16}, ACL_FLOAT);
    call.pageOffsets = Call::integers({0, 2});
    call.pageIds = Call::integers({3, 1});
    call.lastLengths = Call::integers({5});
    // 37 rows in pages, the last of which is the first query; the target follows.
    const float one = silu(16);
    expectNear(call.run(), {37 * one, 38 * one});
    Call wrong = call;
    wrong.pageIds = Call::integers({3, 4});
    OK(wrong.plan());
    aclrtStream stream = newStream();
    OK(acl.hstu.launch(deviceMemory(wrong.size), wrong.size, wrong.executor, stream));
    REFUSED(507015, "there is no page 4", acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, -1));
}

HSTU_CHECK(hstu_RefusesWhatIsBeyondItsLimits) {
    REFUSED(161002, "columns of the query is 8", (Call{.query = {4, 1, 8}, .key = {4, 1, 8}}.plan()));
    REFUSED(161002, "columns of the value is 24", (Call{.value = {4, 1, 24}}.plan()));
    REFUSED(161002, "columns of the value is 528", (Call{.value = {4, 1, 528}}.plan()));
    REFUSED(161002, "heads is 17", (Call{.query = {4, 17, 16}, .key = {4, 17, 16}, .value = {4, 17, 16}}.plan()));
    REFUSED(161002, "no multiple", (Call{.query = {4, 3, 16}, .key = {4, 2, 16}, .value = {4, 2, 16}}.plan()));
    REFUSED(161002, "max_seqlen_q is 20481", (Call{.longest = 20481}.plan()));
    REFUSED(161002, "the batch is 2049", (Call{.offsets = std::vector<int32_t>(2050, 0)}.plan()));
    REFUSED(161002, "mask_type is 1", (Call{.maskType = 1}.plan()));
    REFUSED(161001, "mask is NULL", (Call{.maskType = 3}.plan()));
    REFUSED(161002, "'dense'", (Call{.layout = "dense"}.plan()));
    REFUSED(161002, "target_group_size", (Call{.group = 2}.plan()));
    REFUSED(161002, "rank must be 3", (Call{.query = {4, 16}}.plan()));
    Call call;
    call.bias = Call::ones({1, 1, 4, 5}, ACL_FLOAT);
    REFUSED(161002, "attn_bias has shape", call.plan());
    call.bias = Call::ones({1, 1, 4, 4}, ACL_FLOAT16);
    REFUSED(161002, "attn_bias is float16", call.plan());
}

HSTU_CHECK(hstu_Fails_WhenTheOffsetsAreWrong) {
    Call call{.offsets = {0, 3}};
    OK(call.plan());
    aclrtStream stream = newStream();
    OK(acl.hstu.launch(deviceMemory(call.size), call.size, call.executor, stream));
    REFUSED(507015, "are no offsets of 4 rows", acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, -1));
}

HSTU_CHECK(hstu_Fails_WhereOptionalOperandsAreNull) {
    Call call{.fillsOptional = false};
    OK(call.plan());
    aclrtStream stream = newStream();
    OK(acl.hstu.launch(deviceMemory(call.size), call.size, call.executor, stream));
    REFUSED(507015, "seq_offset_k is NULL, and read", acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, -1));
}

/// Without `deterministic`, sums are added to the existing content.
HSTU_CHECK(hstu_AddsToItsOutput_UnlessItIsDeterministic) {
    Call call;
    OK(call.plan());
    const std::vector<float> before(4 * 16, 3);
    OK(acl.runtime.aclrtMemcpy(call.output, 4 * 4 * 16, before.data(), 4 * 4 * 16, ACL_MEMCPY_HOST_TO_DEVICE));
    aclrtStream stream = newStream();
    OK(acl.hstu.launch(deviceMemory(call.size), call.size, call.executor, stream));
    OK(acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, -1));
    EXPECT(std::fabs(downloaded(call.output, 64)[0] - (3 + silu(16))) < 1e-3f);
}

CHECK(hstu_On310P_IsNormalAndMasked, .environment = {{"ASCEND_CUSTOM_OPP_PATH", older}, {"ASCEND_EMULATOR_SOC", "Ascend310P3"}}) {
    Call call{
        .query = {1, 128, 1, 16}, .key = {1, 128, 1, 16}, .value = {1, 128, 1, 16}, .type = ACL_FLOAT16, .maskType = 3, .longest = 128,
        .layout = "normal"};
    call.mask = Call::ones({1, 1, 128, 128}, ACL_FLOAT16);
    OK(call.plan());
    aclrtStream stream = newStream();
    OK(acl.hstu.launch(deviceMemory(call.size), call.size, call.executor, stream));
    OK(acl.runtime.aclrtSynchronizeStreamWithTimeout(stream, -1));
    Call other = call;
    other.maskType = 0;
    REFUSED(161002, "mask_type 3 alone", other.plan());
    other = call;
    other.query = other.key = other.value = {1, 100, 1, 16};
    other.longest = 100;
    REFUSED(161002, "max_seqlen_q is 100", other.plan());
    REFUSED(161002, "", (Call{.type = ACL_FLOAT16, .longest = 128}.plan()));
}
