// Gathering, scattering, the best of a row, joining. Refusals: ops-nn index/gather_v2/op_api/aclnn_gather_v2.cpp,
// index/scatter_update/op_api/aclnn_index_copy.cpp, index/gather_elements/op_api/aclnn_topk.cpp; Cat's are its document's.

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "executor.hpp"
#include "functions.hpp"
#include "memory.hpp"
#include "numbers.hpp"
#include "profile.hpp"

using namespace emulator;

/// The product of extents before and after an axis.
static std::pair<size_t, size_t> around(const std::vector<int64_t> &dims, size_t axis) {
    size_t before = 1, after = 1;
    for (size_t place = 0; place < axis; place++) before *= (size_t)dims[place];
    for (size_t place = axis + 1; place < dims.size(); place++) after *= (size_t)dims[place];
    return {before, after};
}

aclnnStatus aclnnGatherV2GetWorkspaceSize(
    const aclTensor *selfTensor, int64_t dim, const aclTensor *indexTensor, aclTensor *outTensor, uint64_t *workspaceSize,
    aclOpExecutor **executor) {
    return plan("aclnnGatherV2", workspaceSize, executor, [&](Planner &planner) {
        const Operand self = planner.input("self", selfTensor, anything), index = planner.input("index", indexTensor, integers);
        const Operand out = planner.output("out", outTensor, anything);
        planner.requireType(out, self.view.type);
        const size_t axis = planner.axis(dim, self);
        std::vector<int64_t> dims(self.view.dims.begin(), self.view.dims.begin() + (long)axis);
        dims.insert(dims.end(), index.view.dims.begin(), index.view.dims.end());
        dims.insert(dims.end(), self.view.dims.begin() + (long)axis + 1, self.view.dims.end());
        planner.requireDims(out, dims);
        const auto [before, after] = around(self.view.dims, axis);
        const int64_t extent = self.view.dims[axis];
        const bool isFloat = self.view.type == ACL_FLOAT || self.view.type == ACL_FLOAT16 || self.view.type == ACL_BF16;
        const auto gather = [=](Execution &execution, const auto &source, auto poison) {
            const std::vector<int64_t> rows = execution.loadIntegers(index);
            auto result = source;
            result.assign(before * rows.size() * after, poison);
            for (size_t place = 0; place < rows.size(); place++) {
                const int64_t row = rows[place];
                if (row < 0) {
                    throw MemoryFault{ACL_ERROR_RT_AICORE_EXCEPTION, format("index %lld is negative", (long long)row)};
                }
                if (row >= extent) {
                    // Real software returns what happens to lie there.
                    trace("gather past the end", format("%lld of %lld", (long long)row, (long long)extent));
                    fprintf(stderr, "AscendEmulator: aclnnGatherV2: index %lld of %lld\n", (long long)row, (long long)extent);
                    continue;
                }
                for (size_t outer = 0; outer < before; outer++) {
                    std::copy_n(
                        source.begin() + (long)((outer * (size_t)extent + (size_t)row) * after), after,
                        result.begin() + (long)((outer * rows.size() + place) * after));
                }
            }
            execution.store(out, result);
        };
        planner.run([=](Execution &execution) {
            if (isFloat) gather(execution, execution.loadFloats(self), std::numeric_limits<float>::quiet_NaN());
            else gather(execution, execution.loadIntegers(self), std::numeric_limits<int64_t>::min());
        });
    });
}
EMULATED_PHASE_2(GatherV2)

aclnnStatus aclnnInplaceIndexCopyGetWorkspaceSize(
    aclTensor *selfTensor, int64_t dim, const aclTensor *indexTensor, const aclTensor *sourceTensor,
    uint64_t *workspaceSize, aclOpExecutor **executor) {
    return plan("aclnnInplaceIndexCopy", workspaceSize, executor, [&](Planner &planner) {
        const Operand index = planner.input("index", indexTensor, integers), source = planner.input("source", sourceTensor, floats);
        const Operand self = planner.inplace("selfRef", selfTensor, floats);
        planner.requireType(source, self.view.type);
        planner.requireRank(index, 1);
        if (planner.axis(dim, self) != 0) planner.invalid("the emulator copies along the first dimension");
        std::vector<int64_t> dims = self.view.dims;
        dims[0] = index.view.dims[0];
        planner.requireDims(source, dims);
        planner.useWorkspace(4096);
        planner.run([=](Execution &execution) {
            const std::vector<int64_t> rows = execution.loadIntegers(index);
            const std::vector<float> from = execution.loadFloats(source);
            std::vector<float> to = execution.loadFloats(self);
            const size_t length = around(self.view.dims, 0).second;
            std::vector<bool> written((size_t)self.view.dims[0]);
            for (size_t place = 0; place < rows.size(); place++) {
                // Real software checks neither.
                if (rows[place] < 0 || rows[place] >= self.view.dims[0]) {
                    throw MemoryFault{ACL_ERROR_RT_AICORE_EXCEPTION, format("index %lld is no row", (long long)rows[place])};
                }
                if (written[(size_t)rows[place]]) {
                    throw MemoryFault{ACL_ERROR_RT_AICORE_EXCEPTION, format("row %lld is written twice, in no order", (long long)rows[place])};
                }
                written[(size_t)rows[place]] = true;
                std::copy_n(from.begin() + (long)(place * length), length, to.begin() + (long)((size_t)rows[place] * length));
            }
            execution.store(self, to);
        });
    });
}
EMULATED_PHASE_2(InplaceIndexCopy)

aclnnStatus aclnnTopkGetWorkspaceSize(
    const aclTensor *selfTensor, int64_t k, int64_t dim, bool largest, bool sorted, aclTensor *valuesTensor,
    aclTensor *indicesTensor, uint64_t *workspaceSize, aclOpExecutor **executor) {
    return plan("aclnnTopk", workspaceSize, executor, [&](Planner &planner) {
        const Operand self = planner.input("self", selfTensor, floats);
        if (!sorted) planner.invalid("sorted must be true");
        if (!largest) planner.invalid("the emulator has the largest alone");
        const size_t axis = planner.axis(dim, self);
        if (axis + 1 != self.view.dims.size()) planner.invalid("the emulator selects along the last dimension");
        const size_t columns = (size_t)self.view.dims[axis];
        if (k < 0 || k > self.view.dims[axis]) planner.invalid(format("k is %lld of %zu", (long long)k, columns));
        const Operand values = planner.output("values", valuesTensor, floats), indices = planner.output("indices", indicesTensor, i64);
        std::vector<int64_t> dims = self.view.dims;
        dims[axis] = k;
        planner.requireDims(values, dims);
        planner.requireDims(indices, dims);
        planner.requireType(values, self.view.type);
        planner.useWorkspace((size_t)self.view.count() * 8);
        // The first generation ranks float32 as float16, and answers so (ops-nn aclnn_topk.cpp, TopkAdaptGeCastTensor), unless
        // an AI CPU does it (CheckCalcInAiCore).
        const bool isHalf = profile().chip == Chip::first && self.view.type == ACL_FLOAT && (self.view.count() <= 32768 || k >= 8);
        planner.run([=](Execution &execution) {
            std::vector<float> scores = execution.loadFloats(self);
            if (isHalf) for (float &score : scores) score = fromF16(toF16(score));
            std::vector<float> best;
            std::vector<int64_t> places;
            std::vector<int64_t> order(columns);
            for (size_t start = 0; columns > 0 && start < scores.size(); start += columns) {
                std::iota(order.begin(), order.end(), 0);
                // NaN counts as the largest. Among equals the later comes first: real software promises no order, and whoever
                // relies on one learns it here.
                const auto isBefore = [&](int64_t left, int64_t right) {
                    const float a = scores[start + (size_t)left], b = scores[start + (size_t)right];
                    if (std::isnan(a) != std::isnan(b)) return std::isnan(a);
                    return a != b && !std::isnan(a) ? a > b : left > right;
                };
                std::partial_sort(order.begin(), order.begin() + k, order.end(), isBefore);
                for (int64_t rank = 0; rank < k; rank++) {
                    best.push_back(scores[start + (size_t)order[(size_t)rank]]);
                    places.push_back(order[(size_t)rank]);
                }
            }
            execution.store(values, best);
            execution.store(indices, places);
        });
    });
}
EMULATED_PHASE_2(Topk)

aclnnStatus aclnnCatGetWorkspaceSize(
    const aclTensorList *tensors, int64_t dim, aclTensor *outTensor, uint64_t *workspaceSize, aclOpExecutor **executor) {
    return plan("aclnnCat", workspaceSize, executor, [&](Planner &planner) {
        std::vector<Operand> members;
        for (const aclTensor *member : planner.list("tensors", tensors).members) {
            members.push_back(planner.input("a member of tensors", member, floats));
        }
        if (members.empty()) planner.invalid("tensors is empty");
        const Operand out = planner.output("out", outTensor, floats);
        const size_t axis = planner.axis(dim, members[0]);
        std::vector<int64_t> dims = members[0].view.dims;
        dims[axis] = 0;
        for (const Operand &member : members) {
            planner.requireType(member, out.view.type);
            if (member.view.dims.size() != dims.size()) planner.invalid("the members' ranks differ");
            std::vector<int64_t> expected = dims;
            expected[axis] = member.view.dims[axis];
            planner.requireDims(member, expected);
            dims[axis] += member.view.dims[axis];
        }
        planner.requireDims(out, dims);
        const auto [before, after] = around(dims, axis);
        planner.run([=](Execution &execution) {
            std::vector<float> result((size_t)out.view.count());
            size_t begin = 0;
            for (const Operand &member : members) {
                const std::vector<float> values = execution.loadFloats(member);
                const size_t length = (size_t)member.view.dims[axis] * after;
                for (size_t outer = 0; outer < before; outer++) {
                    std::copy_n(
                        values.begin() + (long)(outer * length), length,
                        result.begin() + (long)(outer * (size_t)dims[axis] * after + begin));
                }
                begin += length;
            }
            execution.store(out, result);
        });
    });
}
EMULATED_PHASE_2(Cat)
