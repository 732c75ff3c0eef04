// Gathering, scattering, the best of a row, joining. Every rule carries the name of its function in the source.

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
        planner.from("ops-nn index/gather_v2/op_api/aclnn_gather_v2.cpp");
        planner.rule("CheckNotNull").given({{"self", selfTensor}, {"index", indexTensor}, {"out", outTensor}});
        planner.rule("CheckDtypeValid");
        const Operand self = planner.input("self", selfTensor, anything), index = planner.input("index", indexTensor, integers);
        const Operand out = planner.output("out", outTensor, anything);
        planner.requireType(out, self.view.type);
        const size_t axis = planner.rule("CheckShape").axis(dim, self);
        std::vector<int64_t> dims(self.view.dims.begin(), self.view.dims.begin() + (long)axis);
        dims.insert(dims.end(), index.view.dims.begin(), index.view.dims.end());
        dims.insert(dims.end(), self.view.dims.begin() + (long)axis + 1, self.view.dims.end());
        planner.rule("CheckOutShape").requireDims(out, dims);
        const auto [before, after] = around(self.view.dims, axis);
        const int64_t extent = self.view.dims[axis];
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
                    // Real software returns the content at that place.
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
            if (isFloat(self.view.type)) gather(execution, execution.loadFloats(self), std::numeric_limits<float>::quiet_NaN());
            else gather(execution, execution.loadIntegers(self), std::numeric_limits<int64_t>::min());
        });
    });
}
EMULATED_PHASE_2(GatherV2)

aclnnStatus aclnnInplaceIndexCopyGetWorkspaceSize(
    aclTensor *selfTensor, int64_t dim, const aclTensor *indexTensor, const aclTensor *sourceTensor,
    uint64_t *workspaceSize, aclOpExecutor **executor) {
    return plan("aclnnInplaceIndexCopy", workspaceSize, executor, [&](Planner &planner) {
        planner.from("ops-nn index/scatter_update/op_api/aclnn_index_copy.cpp");
        planner.rule("CheckNotNull").given({{"selfRef", selfTensor}, {"index", indexTensor}, {"source", sourceTensor}});
        planner.rule("CheckDtypeValid");
        const Operand index = planner.input("index", indexTensor, integers), source = planner.input("source", sourceTensor, anything);
        const Operand self = planner.inplace("selfRef", selfTensor, anything);
        planner.requireType(source, self.view.type);
        planner.rule("CheckShape").requireRank(index, 1);
        planner.requireRank(source, self.view.dims.size());
        const size_t axis = planner.axis(dim, self);
        std::vector<int64_t> dims = self.view.dims;
        dims[axis] = source.view.dims[axis];
        planner.requireDims(source, dims);
        if (index.view.count() != dims[axis]) {
            planner.rule("CheckElementNum").invalid(format("%lld indices for %lld rows", (long long)index.view.count(), (long long)dims[axis]));
        }
        planner.strict();
        if (axis != 0) planner.invalid("the emulator copies along the first dimension");
        if (!isFloat(self.view.type)) planner.invalid("the emulator copies floats alone");
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
        planner.from("ops-nn index/gather_elements/op_api/aclnn_topk.cpp");
        planner.rule("CheckNotNull").given({{"self", selfTensor}, {"values", valuesTensor}, {"indices", indicesTensor}});
        planner.rule("CheckDtypeValid");
        const Operand self = planner.input("self", selfTensor, numbers | small);
        const size_t axis = planner.rule("CheckParamValid").axis(dim, self);
        const size_t columns = (size_t)self.view.dims[axis];
        if (k < 0 || k > self.view.dims[axis]) planner.invalid(format("k is %lld of %zu", (long long)k, columns));
        planner.rule("CheckDtypeValid");
        const Operand values = planner.output("values", valuesTensor, anything), indices = planner.output("indices", indicesTensor, i64);
        planner.requireType(values, self.view.type);
        // The source does not check the results' shapes.
        planner.strict();
        std::vector<int64_t> dims = self.view.dims;
        dims[axis] = k;
        planner.requireDims(values, dims);
        planner.requireDims(indices, dims);
        if (!sorted || !largest || axis + 1 != dims.size() || !isFloat(self.view.type)) {
            planner.invalid("the emulator has the largest floats of the last dimension, sorted");
        }
        planner.useWorkspace((size_t)self.view.count() * 8);
        // The first generation ranks float32 as float16, and returns such values (ops-nn aclnn_topk.cpp,
        // TopkAdaptGeCastTensor), unless an AI CPU computes it (CheckCalcInAiCore).
        const bool isHalf = profile().chip == Chip::first && self.view.type == ACL_FLOAT && (self.view.count() <= 32768 || k >= 8);
        planner.run([=](Execution &execution) {
            std::vector<float> scores = execution.loadFloats(self);
            if (isHalf) for (float &score : scores) score = fromF16(toF16(score));
            std::vector<float> best;
            std::vector<int64_t> places;
            std::vector<int64_t> order(columns);
            for (size_t start = 0; columns > 0 && start < scores.size(); start += columns) {
                std::iota(order.begin(), order.end(), 0);
                // NaN counts as the largest. Among equals the later comes first: real software guarantees no order, and
                // code that relies on one fails here.
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
        planner.from("ops-math conversion/concat_d/op_api/aclnn_cat.cpp");
        planner.rule("CheckNotNull").given({{"tensors", tensors}, {"y", outTensor}});
        const std::vector<const aclTensor *> list = planner.list("tensors", tensors).members;
        for (const aclTensor *member : list) planner.given({{"a member of tensors", member}});
        // For no tensors, or tensors of shape (0), the source computes nothing, and does not set the workspace size.
        if (list.empty()) planner.strict().invalid("tensors is empty");
        planner.rule("CheckDtypeValid");
        std::vector<Operand> members;
        for (const aclTensor *member : list) members.push_back(planner.input("a member of tensors", member, anything));
        const Operand out = planner.output("y", outTensor, anything);
        for (const Operand &member : members) planner.rule("CheckPromoteType").requireCast(member.view.type, out.view.type, "a member");
        const size_t axis = planner.rule("CheckShape").axis(dim, members[0]);
        std::vector<int64_t> dims = members[0].view.dims;
        dims[axis] = 0;
        for (const Operand &member : members) {
            if (member.view.dims.size() != dims.size()) planner.invalid("the members' ranks differ");
            std::vector<int64_t> expected = dims;
            expected[axis] = member.view.dims[axis];
            planner.requireDims(member, expected);
            dims[axis] += member.view.dims[axis];
        }
        planner.rule("CheckShapeAndScalarSame").requireDims(out, dims);
        planner.strict();
        for (const Operand &member : members) planner.requireType(member, out.view.type);
        if (!isFloat(out.view.type)) planner.invalid("the emulator joins floats alone");
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
