// RecSDK's fused attention of HSTU, the dense operator of older packages and the jagged one of newer ones: silu(alpha ·
// (q · kᵀ + bias)) · siluScale where the mask allows, times v. Weights are rounded to the operands' type before the
// second product, as the matrix unit requires; sums are float32. Limits and masks: design/ascend.md 4.2, each of them
// enforced.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "executor.hpp"
#include "functions.hpp"
#include "memory.hpp"
#include "numbers.hpp"
#include "profile.hpp"

namespace emulator {

/// Attributes of a call.
struct HstuAttributes {
    int64_t maskType, maxQueries, maxKeys;
    float siluScale;
    std::string layout;
    int64_t groupSize;
    float alpha;
    /// Otherwise sums are added to the output's content (RecSDK hstu_jagged.cpp zeroes it first).
    bool isDeterministic = true;
};

struct HstuOperands {
    Operand query, key, value, output;
    std::optional<Operand> mask, bias, queryOffsets, keyOffsets, targetOffsets;
    std::optional<Operand> cache, pageOffsets, pageIds, lastPageLengths, contexts, targets;
};

/// One sequence while the call runs: rows of its query, and of its keys and values, each (rows, heads, columns).
struct HstuSequence {
    size_t queries = 0, keys = 0;
    /// First rows of the query and of the output.
    size_t firstQuery = 0;
    std::vector<float> key, value;
    int64_t contexts = 0, targets = 0;
};

/// Whether the built-in mask lets a row attend to a column; both count within the whole sequence.
static bool isVisible(int64_t row, int64_t column, int64_t length, int64_t contexts, int64_t targets, int64_t group) {
    const int64_t history = group == 0 ? length : length - targets;
    if (row < contexts) return column < history;
    if (row < history) return column <= row;
    const int64_t own = history + (row - history) / group * group;
    return column < history || (column >= own && column <= row);
}

/// Offsets of B sequences, which must be a prefix sum; with wrong ones a kernel reads elsewhere.
static std::vector<int64_t> loadOffsets(const Execution &execution, const Operand &operand, int64_t end, int64_t longest) {
    std::vector<int64_t> offsets = execution.loadIntegers(operand);
    bool isValid = offsets.front() == 0 && (end < 0 || offsets.back() == end);
    for (size_t index = 1; index < offsets.size(); index++) {
        const int64_t length = offsets[index] - offsets[index - 1];
        isValid = isValid && length >= 0 && length <= longest;
    }
    if (!isValid) {
        throw MemoryFault{
            ACL_ERROR_RT_AICORE_EXCEPTION,
            format("%s are no offsets of %lld rows in sequences of at most %lld", operand.view.role.c_str(), (long long)end, (long long)longest)};
    }
    return offsets;
}

static float rounded(float value, aclDataType type) {
    if (type == ACL_FLOAT16) return fromF16(toF16(value));
    return type == ACL_BF16 ? fromBF16(toBF16(value)) : value;
}

/// The sequences of a call, with their keys in one piece wherever they come from.
static std::vector<HstuSequence> loadSequences(
    const Execution &execution, const HstuOperands &operands, const HstuAttributes &attributes, size_t batch) {
    std::vector<HstuSequence> sequences(batch);
    const std::vector<float> key = execution.loadFloats(operands.key), value = execution.loadFloats(operands.value);
    const auto width = [](const Operand &operand) { return (size_t)(operand.view.dims.back() * operand.view.dims[operand.view.dims.size() - 2]); };
    const size_t keyWidth = width(operands.key), valueWidth = width(operands.value);
    std::vector<int64_t> contexts(batch, 0), targets(batch, 0);
    if (operands.contexts) contexts = execution.loadIntegers(*operands.contexts);
    if (operands.targets) targets = execution.loadIntegers(*operands.targets);
    const auto copyRows = [](const std::vector<float> &from, size_t first, size_t count, size_t width, std::vector<float> &to) {
        to.insert(to.end(), from.begin() + (long)(first * width), from.begin() + (long)((first + count) * width));
    };
    if (attributes.layout == "normal") {
        const size_t length = (size_t)operands.query.view.dims[1];
        for (size_t index = 0; index < batch; index++) {
            HstuSequence &sequence = sequences[index];
            sequence.queries = sequence.keys = length;
            sequence.firstQuery = index * length;
            copyRows(key, index * length, length, keyWidth, sequence.key);
            copyRows(value, index * length, length, valueWidth, sequence.value);
        }
    } else {
        const auto queryOffsets = loadOffsets(execution, *operands.queryOffsets, operands.query.view.dims[0], attributes.maxQueries);
        auto keyOffsets = queryOffsets;
        if (operands.keyOffsets) {
            keyOffsets = loadOffsets(execution, *operands.keyOffsets, operands.key.view.dims[0], attributes.maxKeys);
        }
        std::vector<float> cache;
        std::vector<int64_t> pageOffsets, pageIds, lastLengths, targetOffsets;
        size_t pageRows = 0;
        if (attributes.layout == "paged") {
            cache = execution.loadFloats(*operands.cache);
            pageRows = (size_t)operands.cache->view.dims[2];
            pageIds = execution.loadIntegers(*operands.pageIds);
            pageOffsets = loadOffsets(execution, *operands.pageOffsets, (int64_t)pageIds.size(), INT64_MAX);
            lastLengths = execution.loadIntegers(*operands.lastPageLengths);
            targetOffsets = loadOffsets(execution, *operands.targetOffsets, -1, INT64_MAX);
        }
        for (size_t index = 0; index < batch; index++) {
            HstuSequence &sequence = sequences[index];
            sequence.firstQuery = (size_t)queryOffsets[index];
            sequence.queries = (size_t)(queryOffsets[index + 1] - queryOffsets[index]);
            size_t first = (size_t)keyOffsets[index], count = (size_t)(keyOffsets[index + 1] - keyOffsets[index]);
            if (attributes.layout == "paged") {
                targets[index] = targetOffsets[index + 1] - targetOffsets[index];
                for (int64_t page = pageOffsets[index]; page < pageOffsets[index + 1]; page++) {
                    const size_t rows = page + 1 == pageOffsets[index + 1] ? (size_t)lastLengths[index] : pageRows;
                    const int64_t id = pageIds[(size_t)page];
                    if (id < 0 || id >= operands.cache->view.dims[0] || rows > pageRows) {
                        throw MemoryFault{ACL_ERROR_RT_AICORE_EXCEPTION, format("there is no page %lld with %zu rows", (long long)id, rows)};
                    }
                    copyRows(cache, (size_t)id * 2 * pageRows, rows, keyWidth, sequence.key);
                    copyRows(cache, ((size_t)id * 2 + 1) * pageRows, rows, valueWidth, sequence.value);
                }
                // Of the new rows, only the targets are not in pages.
                const size_t kept = std::min(count, (size_t)targets[index]);
                first += count - kept;
                count = kept;
            }
            copyRows(key, first, count, keyWidth, sequence.key);
            copyRows(value, first, count, valueWidth, sequence.value);
            sequence.keys = sequence.key.size() / keyWidth;
            if (sequence.keys < sequence.queries) {
                throw MemoryFault{ACL_ERROR_RT_AICORE_EXCEPTION, format("sequence %zu has more queries than keys", index)};
            }
        }
    }
    for (size_t index = 0; index < batch; index++) {
        sequences[index].contexts = contexts[index];
        sequences[index].targets = targets[index];
    }
    return sequences;
}

/// Kernels read the jagged layout's optional operands whatever the definition declares:
/// hstu_dense_forward_jagged_kernel.h (PreInit, FillTaskInfo) and hstu_jagged_forward_kernel.h (InitSplitCore,
/// FillTaskInfo); none of them checks for NULL.
static void requireRead(const std::optional<Operand> &operand, const char *role) {
    if (operand) return;
    throw MemoryFault{ACL_ERROR_RT_AICORE_EXCEPTION, format("%s is NULL, and read", role)};
}

static void runHstu(const Execution &execution, const HstuOperands &operands, const HstuAttributes &attributes, size_t batch) {
    if (profile().has("hstu-fault") || (profile().has("dense-fault") && execution.name == "aclnnHstuDenseForward")) {
        throw MemoryFault{ACL_ERROR_RT_AICORE_EXCEPTION, "the fused attention is flawed, as asked for"};
    }
    if (attributes.layout == "jagged") {
        requireRead(operands.keyOffsets, "seq_offset_k");
        requireRead(operands.contexts, "num_context");
        requireRead(operands.targets, "num_target");
    }
    const auto sequences = loadSequences(execution, operands, attributes, batch);
    const std::vector<float> query = execution.loadFloats(operands.query);
    const auto &queryDims = operands.query.view.dims, &keyDims = operands.key.view.dims;
    const size_t rank = queryDims.size();
    const size_t heads = (size_t)queryDims[rank - 2], keyHeads = (size_t)keyDims[rank - 2];
    const size_t depth = (size_t)queryDims[rank - 1], columns = (size_t)operands.value.view.dims[rank - 1];
    const aclDataType type = operands.query.view.type;
    std::vector<float> bias, mask, output(query.size() / depth * columns);
    if (operands.bias) bias = execution.loadFloats(*operands.bias);
    if (operands.mask) mask = execution.loadFloats(*operands.mask);
    // Rows that belong to no sequence are not written; their content stays.
    if (attributes.layout != "normal") output = execution.loadFloats(operands.output);
    const size_t square = (size_t)attributes.maxQueries;
    std::vector<float> sum(columns);
    for (size_t index = 0; index < batch; index++) {
        const HstuSequence &sequence = sequences[index];
        const size_t skipped = sequence.keys - sequence.queries;
        for (size_t head = 0; head < heads; head++) {
            const size_t keyHead = head * keyHeads / heads;
            for (size_t row = 0; row < sequence.queries; row++) {
                const float *q = &query[((sequence.firstQuery + row) * heads + head) * depth];
                float *result = &output[((sequence.firstQuery + row) * heads + head) * columns];
                if (attributes.isDeterministic) std::fill(sum.begin(), sum.end(), 0.0f);
                else std::copy(result, result + columns, sum.begin());
                for (size_t column = 0; column < sequence.keys; column++) {
                    const size_t place = ((index * heads + head) * square + skipped + row) * square + column;
                    float factor = 1;
                    if (attributes.maskType == 3) factor = mask[place];
                    if (attributes.maskType == 0 && !profile().has("hstu-mask")) {
                        factor = isVisible(
                            (int64_t)(skipped + row), (int64_t)column, (int64_t)sequence.keys, sequence.contexts, sequence.targets,
                            attributes.groupSize);
                    }
                    if (factor == 0) continue;
                    const float *k = &sequence.key[(column * keyHeads + keyHead) * depth];
                    float score = 0;
                    for (size_t place = 0; place < depth; place++) score += q[place] * k[place];
                    if (!bias.empty()) score += bias[place];
                    score *= attributes.alpha;
                    const float weight = rounded(score / (1 + std::exp(-score)) * attributes.siluScale * factor, type);
                    const float *v = &sequence.value[(column * keyHeads + keyHead) * columns];
                    for (size_t place = 0; place < columns; place++) sum[place] += weight * v[place];
                }
                std::copy(sum.begin(), sum.end(), result);
            }
        }
    }
    execution.store(operands.output, output);
}

/// Refuses extents that the chip's kernel does not support.
static void checkExtents(Planner &planner, const HstuOperands &operands, const HstuAttributes &attributes, int64_t batch) {
    const auto within = [&](const char *what, int64_t value, int64_t least, int64_t most, int64_t unit) {
        if (value >= least && value <= most && value % unit == 0) return;
        planner.invalid(format(
            "%s is %lld, it must be a multiple of %lld from %lld to %lld", what, (long long)value, (long long)unit, (long long)least,
            (long long)most));
    };
    const auto &query = operands.query.view.dims, &key = operands.key.view.dims, &value = operands.value.view.dims;
    const size_t rank = query.size();
    const bool isSmall = profile().is310P();
    within("the batch", batch, 1, 2048, 1);
    within("max_seqlen_q", attributes.maxQueries, isSmall ? 128 : 1, isSmall ? 4096 : 20480, isSmall ? 128 : 1);
    within("max_seqlen_k", attributes.maxKeys, isSmall ? 128 : 1, isSmall ? 4096 : 20480, isSmall ? 128 : 1);
    within("heads", query[rank - 2], 1, isSmall ? 8 : 16, 1);
    within("columns of the query", query[rank - 1], 16, isSmall ? 128 : 512, 16);
    within("columns of the value", value[rank - 1], 16, isSmall ? 128 : 512, 16);
    if (query[rank - 1] != key[rank - 1]) planner.invalid("q and k have different columns");
    if (key[rank - 2] != value[rank - 2]) planner.invalid("k and v have different heads");
    if (query[rank - 2] % key[rank - 2] != 0) planner.invalid("the heads of q are no multiple of k's");
    if (isSmall) {
        if (attributes.layout != "normal") planner.invalid("this chip has the layout normal alone");
        if (attributes.maskType != 3) planner.invalid("this chip takes mask_type 3 alone");
        if (operands.query.view.type != ACL_FLOAT16) planner.invalid("this chip takes float16 alone");
    }
}

static Operand requireContiguous(Planner &planner, const Operand &operand) {
    if (!operand.view.isContiguous()) planner.invalid(operand.view.role + " is not contiguous");
    return operand;
}

/// Phase 1 of every form.
static aclnnStatus planHstu(
    const char *name, const aclTensor *q, const aclTensor *k, const aclTensor *v, const aclTensor *mask, const aclTensor *attn_bias,
    const aclTensor *seq_offset_q, const aclTensor *seq_offset_k, const aclTensor *seq_offset_t, const aclTensor *kv_cache,
    const aclTensor *page_offsets, const aclTensor *page_ids, const aclTensor *last_page_len, const aclTensor *num_context,
    const aclTensor *num_target, int64_t mask_type, int64_t max_seqlen_q, int64_t max_seqlen_k, double silu_scale,
    const char *layout, int64_t target_group_size, int64_t is_delta_qk, double alpha, bool deterministic,
    const aclTensor *attn_output, uint64_t *workspaceSize, aclOpExecutor **executor) {
    return plan(name, workspaceSize, executor, [&](Planner &planner) {
        if (layout == nullptr) refuse(ACLNN_ERR_PARAM_NULLPTR, "layout is NULL");
        HstuAttributes attributes{
            mask_type, max_seqlen_q, max_seqlen_k, (float)silu_scale, layout, target_group_size, (float)alpha, deterministic};
        const std::string &form = attributes.layout;
        if (form != "jagged" && form != "normal" && form != "paged") planner.invalid(format("there is no layout '%s'", layout));
        if (mask_type != 0 && mask_type != 2 && mask_type != 3) planner.invalid(format("mask_type is %lld", (long long)mask_type));
        if (target_group_size != 0 && target_group_size != 1 && target_group_size != 3) planner.invalid("target_group_size is not 0, 1 or 3");
        if (is_delta_qk != 0 || max_seqlen_q != max_seqlen_k) planner.invalid("the emulator has no is_delta_qk");
        HstuOperands operands;
        const auto input = [&](const char *role, const aclTensor *tensor, Types types) {
            return requireContiguous(planner, planner.input(role, tensor, types));
        };
        const auto optional = [&](const char *role, const aclTensor *tensor, Types types, std::optional<Operand> &operand) {
            if (tensor != nullptr) operand = input(role, tensor, types);
        };
        operands.query = input("q", q, floats);
        operands.key = input("k", k, floats);
        operands.value = input("v", v, floats);
        const size_t rank = form == "normal" ? 4 : 3;
        for (const Operand *operand : {&operands.query, &operands.key, &operands.value}) {
            planner.requireRank(*operand, rank);
            planner.requireType(*operand, operands.query.view.type);
            if (operand != &operands.query && (form == "normal" || seq_offset_k == nullptr)) {
                auto dims = operand->view.dims;
                std::copy_n(operands.query.view.dims.begin(), rank - 2, dims.begin());
                planner.requireDims(*operand, dims);
            }
        }
        optional("seq_offset_q", seq_offset_q, integers, operands.queryOffsets);
        optional("seq_offset_k", seq_offset_k, integers, operands.keyOffsets);
        optional("seq_offset_t", seq_offset_t, integers, operands.targetOffsets);
        optional("kv_cache", kv_cache, floats, operands.cache);
        optional("page_offsets", page_offsets, integers, operands.pageOffsets);
        optional("page_ids", page_ids, integers, operands.pageIds);
        optional("last_page_len", last_page_len, integers, operands.lastPageLengths);
        optional("num_context", num_context, integers, operands.contexts);
        optional("num_target", num_target, integers, operands.targets);
        if (form == "normal" && (operands.queryOffsets || operands.keyOffsets)) planner.invalid("the layout normal has no offsets");
        if (form != "normal" && !operands.queryOffsets) refuse(ACLNN_ERR_PARAM_NULLPTR, "seq_offset_q is NULL");
        if ((form == "paged") != (operands.cache && operands.pageOffsets && operands.pageIds && operands.lastPageLengths && operands.targetOffsets && operands.keyOffsets)) {
            planner.invalid("the layout paged, and no other, has kv_cache, its pages, seq_offset_k and seq_offset_t");
        }
        const int64_t batch = form == "normal" ? operands.query.view.dims[0] : operands.queryOffsets->view.count() - 1;
        checkExtents(planner, operands, attributes, batch);
        for (const auto *offsets : {&operands.queryOffsets, &operands.keyOffsets, &operands.targetOffsets, &operands.pageOffsets}) {
            if (*offsets) planner.requireDims(**offsets, {batch + 1});
        }
        for (const auto *counts : {&operands.contexts, &operands.targets, &operands.lastPageLengths}) {
            if (*counts) planner.requireDims(**counts, {batch});
        }
        if (form == "normal" && operands.query.view.dims[1] != max_seqlen_q) planner.invalid("max_seqlen_q is not the query's extent");
        if (operands.cache) {
            const int64_t heads = operands.key.view.dims[1], columns = operands.key.view.dims[2];
            planner.requireRank(*operands.cache, 5);
            planner.requireType(*operands.cache, operands.query.view.type);
            const auto &dims = operands.cache->view.dims;
            planner.requireDims(*operands.cache, {dims[0], 2, dims[2], heads, columns});
            planner.requireDims(operands.value, operands.key.view.dims);
            if (dims[2] != 32 && dims[2] != 128 && dims[2] != 256) planner.invalid("a page has 32, 128 or 256 rows");
        }
        const int64_t heads = operands.query.view.dims[rank - 2];
        const std::vector<int64_t> dense = {batch, heads, max_seqlen_q, max_seqlen_k};
        if (mask_type == 3 && mask == nullptr) refuse(ACLNN_ERR_PARAM_NULLPTR, "mask is NULL");
        optional("mask", mask, floats, operands.mask);
        optional("attn_bias", attn_bias, floats, operands.bias);
        for (const auto *operand : {&operands.mask, &operands.bias}) {
            if (!*operand) continue;
            planner.requireDims(**operand, dense);
            planner.requireType(**operand, operands.query.view.type);
        }
        operands.output = requireContiguous(planner, planner.output("attn_output", attn_output, floats));
        auto dims = operands.query.view.dims;
        dims.back() = operands.value.view.dims.back();
        planner.requireDims(operands.output, dims);
        planner.requireType(operands.output, operands.query.view.type);
        planner.useWorkspace(1 << 16);
        planner.run([=](Execution &execution) { runHstu(execution, operands, attributes, (size_t)batch); });
    });
}

}  // namespace emulator

using namespace emulator;

aclnnStatus aclnnHstuDenseForwardDeterministicGetWorkspaceSize(
    const aclTensor *q, const aclTensor *k, const aclTensor *v, const aclTensor *mask, const aclTensor *attn_bias,
    const aclTensor *seq_offset_q, const aclTensor *seq_offset_k, const aclTensor *seq_offset_t, const aclTensor *kv_cache,
    const aclTensor *page_offsets, const aclTensor *page_ids, const aclTensor *last_page_len, const aclTensor *num_context,
    const aclTensor *num_target, int64_t mask_type, int64_t max_seqlen_q, int64_t max_seqlen_k, double silu_scale, char *layout,
    int64_t target_group_size, int64_t is_delta_qk, double alpha, bool deterministic, const aclTensor *attn_output,
    uint64_t *workspaceSize, aclOpExecutor **executor) {
    return planHstu(
        "aclnnHstuDenseForward", q, k, v, mask, attn_bias, seq_offset_q, seq_offset_k, seq_offset_t, kv_cache, page_offsets,
        page_ids, last_page_len, num_context, num_target, mask_type, max_seqlen_q, max_seqlen_k, silu_scale, layout,
        target_group_size, is_delta_qk, alpha, deterministic, attn_output, workspaceSize, executor);
}

aclnnStatus aclnnHstuJaggedForwardGetWorkspaceSize(
    const aclTensor *q, const aclTensor *k, const aclTensor *v, const aclTensor *mask, const aclTensor *attn_bias,
    const aclTensor *seq_offset_q, const aclTensor *seq_offset_k, const aclTensor *num_context, const aclTensor *num_target,
    int64_t mask_type, int64_t max_seqlen_q, int64_t max_seqlen_k, double silu_scale, int64_t target_group_size, double alpha,
    bool deterministic, const aclTensor *attn_output, uint64_t *workspaceSize, aclOpExecutor **executor) {
    return planHstu(
        "aclnnHstuJaggedForward", q, k, v, mask, attn_bias, seq_offset_q, seq_offset_k, nullptr, nullptr, nullptr, nullptr,
        nullptr, num_context, num_target, mask_type, max_seqlen_q, max_seqlen_k, silu_scale, "jagged", target_group_size, 0,
        alpha, deterministic, attn_output, workspaceSize, executor);
}
EMULATED_PHASE_2(HstuJaggedForward)

aclnnStatus aclnnHstuDenseForwardGetWorkspaceSize(
    const aclTensor *q, const aclTensor *k, const aclTensor *v, const aclTensor *mask, const aclTensor *attn_bias,
    const aclTensor *seq_offset_q, const aclTensor *seq_offset_k, const aclTensor *seq_offset_t, const aclTensor *kv_cache,
    const aclTensor *page_offsets, const aclTensor *page_ids, const aclTensor *last_page_len, const aclTensor *num_context,
    const aclTensor *num_target, int64_t mask_type, int64_t max_seqlen_q, int64_t max_seqlen_k, double silu_scale, char *layout,
    int64_t target_group_size, int64_t is_delta_qk, double alpha, const aclTensor *attn_output, uint64_t *workspaceSize,
    aclOpExecutor **executor) {
    return planHstu(
        "aclnnHstuDenseForward", q, k, v, mask, attn_bias, seq_offset_q, seq_offset_k, seq_offset_t, kv_cache, page_offsets,
        page_ids, last_page_len, num_context, num_target, mask_type, max_seqlen_q, max_seqlen_k, silu_scale, layout,
        target_group_size, is_delta_qk, alpha, false, attn_output, workspaceSize, executor);
}
EMULATED_PHASE_2(HstuDenseForward)
