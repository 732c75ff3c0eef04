// Operators over rows: norms, softmax, means. Every rule carries the name of its function in the source.

#include <algorithm>
#include <cmath>
#include <set>

#include "executor.hpp"
#include "functions.hpp"
#include "profile.hpp"

namespace emulator {

/// Calls `row` with every run of `columns` elements.
template <class Row>
static void forEachRow(std::vector<float> &values, size_t columns, Row row) {
    for (size_t start = 0; columns > 0 && start < values.size(); start += columns) row(values.data() + start);
}

/// Whether the view ends in the shape.
static bool endsIn(const Operand &operand, const std::vector<int64_t> &shape) {
    const auto &dims = operand.view.dims;
    return shape.size() <= dims.size() && std::equal(shape.rbegin(), shape.rend(), dims.rbegin());
}

static size_t product(const std::vector<int64_t> &shape) {
    size_t product = 1;
    for (int64_t extent : shape) product *= (size_t)extent;
    return product;
}

/// The single dimension of a reduction, and the shape of its result, by the rules of Norm and Mean.
static size_t reducedAxis(Planner &planner, const Operand &self, const aclIntArray *dims, bool keep, std::vector<int64_t> &result) {
    const std::vector<int64_t> axes = planner.integers("dims", dims);
    planner.rule("CheckDimValid");
    std::set<size_t> seen;
    for (int64_t axis : axes) {
        if (!seen.insert(planner.axis(axis, self)).second) planner.invalid(format("dimension %lld comes twice", (long long)axis));
    }
    planner.strict();
    if (axes.size() != 1) planner.invalid("the emulator reduces one dimension");
    const size_t axis = *seen.begin();
    result = self.view.dims;
    if (keep) result[axis] = 1;
    else result.erase(result.begin() + (long)axis);
    if (axis + 1 != self.view.dims.size()) planner.invalid("the emulator reduces the last dimension");
    return axis;
}

}  // namespace emulator

using namespace emulator;

aclnnStatus aclnnLayerNormGetWorkspaceSize(
    const aclTensor *inputTensor, const aclIntArray *normalizedShape, const aclTensor *weightTensor,
    const aclTensor *biasTensor, double epsilon, aclTensor *outTensor, aclTensor *meanTensor, aclTensor *rstdTensor,
    uint64_t *workspaceSize, aclOpExecutor **executor) {
    return plan("aclnnLayerNorm", workspaceSize, executor, [&](Planner &planner) {
        planner.from("ops-nn norm/layer_norm_v4/op_host/op_api/aclnn_layer_norm.cpp");
        planner.rule("CheckNotNull").given({{"input", inputTensor}, {"normalizedShape", normalizedShape}, {"out", outTensor}});
        const std::vector<int64_t> shape = planner.integers("normalizedShape", normalizedShape);
        planner.rule("CheckInputDtype");
        const Operand input = planner.input("input", inputTensor, floats);
        std::optional<Operand> weight, bias;
        if (weightTensor != nullptr) weight = planner.input("weight", weightTensor, floats);
        if (biasTensor != nullptr) bias = planner.input("bias", biasTensor, floats);
        for (const auto &vector : {weight, bias}) {
            if (vector && vector->view.type != ACL_FLOAT) planner.requireType(*vector, input.view.type);
        }
        if (weight && bias) planner.requireType(*bias, weight->view.type);
        const Operand out = planner.rule("CheckOutputDtype").output("out", outTensor, floats);
        planner.rule("CheckShape");
        if (shape.empty()) planner.invalid("normalizedShape is empty");
        for (const auto &vector : {weight, bias}) if (vector) planner.requireRank(*vector, shape.size());
        planner.requireDims(out, input.view.dims);
        planner.rule("CheckNormalizedShapeMatch");
        if (!endsIn(input, shape)) planner.invalid(format("input does not end in %s", described(shape).c_str()));
        for (const auto &vector : {weight, bias}) if (vector) planner.requireDims(*vector, shape);
        const size_t columns = product(shape);
        planner.strict().requireType(out, input.view.type);
        if (meanTensor != nullptr || rstdTensor != nullptr) planner.invalid("the emulator has no mean and rstd outputs");
        planner.useWorkspace(4096);
        planner.run([=](Execution &execution) {
            std::vector<float> values = execution.loadFloats(input), scale, shift;
            if (weight) scale = execution.loadFloats(*weight);
            if (bias) shift = execution.loadFloats(*bias);
            forEachRow(values, columns, [&](float *row) {
                float mean = 0, variance = 0;
                for (size_t index = 0; index < columns; index++) mean += row[index];
                mean /= (float)columns;
                for (size_t index = 0; index < columns; index++) variance += (row[index] - mean) * (row[index] - mean);
                const float factor = 1 / std::sqrt(variance / (float)columns + (float)epsilon);
                for (size_t index = 0; index < columns; index++) {
                    row[index] = (row[index] - mean) * factor * (scale.empty() ? 1 : scale[index])
                        + (shift.empty() ? 0 : shift[index]);
                }
            });
            execution.store(out, values);
        });
    });
}
EMULATED_PHASE_2(LayerNorm)

aclnnStatus aclnnRmsNormGetWorkspaceSize(
    const aclTensor *xTensor, const aclTensor *gammaTensor, double epsilon, const aclTensor *yTensor,
    const aclTensor *rstdTensor, uint64_t *workspaceSize, aclOpExecutor **executor) {
    return plan("aclnnRmsNorm", workspaceSize, executor, [&](Planner &planner) {
        // Generated: the definition's types, and its tiling's requirements.
        planner.from("ops-nn norm/rms_norm/op_host/rms_norm_def.cpp");
        planner.rule("RmsNorm").given({{"x", xTensor}, {"gamma", gammaTensor}, {"y", yTensor}, {"rstd", rstdTensor}});
        const Operand x = planner.input("x", xTensor, floats), gamma = planner.input("gamma", gammaTensor, floats);
        const Operand y = planner.output("y", yTensor, floats), rstd = planner.output("rstd", rstdTensor, f32);
        // Only Atlas A2 and later support a float32 gamma with half-precision x.
        if (gamma.view.type != ACL_FLOAT || !profile().isA2OrLater()) planner.requireType(gamma, x.view.type);
        planner.requireType(y, x.view.type);
        planner.from("ops-nn norm/rms_norm/op_host/rms_norm_tiling.cpp");
        planner.rule("CheckInputShape4RmsNorm");
        const std::vector<int64_t> &shape = gamma.view.dims;
        for (const Operand *operand : {&x, &gamma, &y, &rstd}) {
            if (operand->view.dims.empty() || operand->view.count() == 0) planner.untiled(operand->view.role + " is empty");
        }
        if (!endsIn(x, shape)) planner.untiled(format("x does not end in %s, gamma's shape", described(shape).c_str()));
        if (y.view.dims != x.view.dims) planner.untiled("x and y have different shapes");
        if (rstd.view.dims.size() > x.view.dims.size()) planner.untiled("rstd has more dimensions than x");
        for (size_t place = 0; place < rstd.view.dims.size(); place++) {
            const int64_t extent = rstd.view.dims[place];
            if (extent != 1 && extent != x.view.dims[place]) planner.untiled(format("rstd has shape %s", described(rstd.view.dims).c_str()));
        }
        if (epsilon < 0) planner.rule("Tiling4RmsNorm").untiled("epsilon is negative");
        // Its document, under constraints.
        planner.strict();
        const size_t columns = product(shape);
        if (profile().is310P() && (size_t)shape.back() * sizeOf(x.view.type) < 32) planner.untiled("this chip's last dimension has at least 32 bytes");
        // The kernel writes one number per row, whatever the tiling accepts.
        std::vector<int64_t> leading = x.view.dims;
        for (size_t place = 1; place <= shape.size(); place++) leading[leading.size() - place] = 1;
        planner.requireDims(rstd, leading);
        planner.useWorkspace(4096);
        planner.run([=](Execution &execution) {
            std::vector<float> values = execution.loadFloats(x), factors;
            const std::vector<float> scale = execution.loadFloats(gamma);
            forEachRow(values, columns, [&](float *row) {
                float squares = 0;
                for (size_t index = 0; index < columns; index++) squares += row[index] * row[index];
                factors.push_back(1 / std::sqrt(squares / (float)columns + (float)epsilon));
                for (size_t index = 0; index < columns; index++) row[index] *= factors.back() * scale[index];
            });
            execution.store(y, values);
            execution.store(rstd, factors);
        });
    });
}
EMULATED_PHASE_2(RmsNorm)

aclnnStatus aclnnNormGetWorkspaceSize(
    const aclTensor *selfTensor, const aclScalar *p, const aclIntArray *dims, bool keepDims, aclTensor *outTensor,
    uint64_t *workspaceSize, aclOpExecutor **executor) {
    return plan("aclnnNorm", workspaceSize, executor, [&](Planner &planner) {
        planner.from("ops-nn norm/lp_norm_v2/op_api/aclnn_norm.cpp");
        planner.rule("CheckNotNull").given({{"self", selfTensor}, {"pScalar", p}, {"dim", dims}, {"out", outTensor}});
        // One list for all chips; the result may have another float type.
        planner.rule("CheckDtypeValid");
        const Operand self = planner.input("self", selfTensor, floats | onEveryChip);
        const Operand out = planner.output("out", outTensor, floats | onEveryChip);
        std::vector<int64_t> result;
        const size_t columns = (size_t)self.view.dims[reducedAxis(planner, self, dims, keepDims, result)];
        planner.rule("CheckShape").requireDims(out, result);
        if (planner.scalar("pScalar", p).real != 2) planner.strict().invalid("the emulator has the Euclidean norm alone");
        planner.useWorkspace(4096);
        planner.run([=](Execution &execution) {
            std::vector<float> values = execution.loadFloats(self), norms;
            forEachRow(values, columns, [&](float *row) {
                float squares = 0;
                for (size_t index = 0; index < columns; index++) squares += row[index] * row[index];
                norms.push_back(std::sqrt(squares));
            });
            execution.store(out, norms);
        });
    });
}
EMULATED_PHASE_2(Norm)

aclnnStatus aclnnMeanGetWorkspaceSize(
    const aclTensor *selfTensor, const aclIntArray *dims, bool keepDims, aclDataType type, aclTensor *outTensor,
    uint64_t *workspaceSize, aclOpExecutor **executor) {
    return plan("aclnnMean", workspaceSize, executor, [&](Planner &planner) {
        planner.from("ops-math math/reduce_mean/op_api/aclnn_mean.cpp");
        planner.rule("CheckNotNull").given({{"self", selfTensor}, {"dim", dims}, {"out", outTensor}});
        planner.rule("CheckDtypeValid");
        if (type == ACL_BOOL || (type == ACL_BF16 && !profile().isA2OrLater())) planner.invalid(format("dtype is %s", nameOf(type)));
        const Operand self = planner.input("self", selfTensor, numbers | small), out = planner.output("out", outTensor, numbers | small);
        planner.rule("CheckPromoteType").requireCast(self.view.type, type, "self");
        planner.requireCast(type, out.view.type, "dtype");
        std::vector<int64_t> result;
        const size_t columns = (size_t)self.view.dims[reducedAxis(planner, self, dims, keepDims, result)];
        // After the inner operator, and with the same status.
        planner.rule("CheckShapeAndScalarSame").requireDims(out, result);
        planner.strict().requireType(out, type);
        if (!isFloat(self.view.type)) planner.invalid("the emulator has the mean of floats alone");
        planner.useWorkspace(4096);
        planner.run([=](Execution &execution) {
            std::vector<float> values = execution.loadFloats(self), means;
            forEachRow(values, columns, [&](float *row) {
                float sum = 0;
                for (size_t index = 0; index < columns; index++) sum += row[index];
                means.push_back(sum / (float)columns);
            });
            execution.store(out, means);
        });
    });
}
EMULATED_PHASE_2(Mean)

aclnnStatus aclnnSoftmaxGetWorkspaceSize(
    const aclTensor *selfTensor, int64_t dim, aclTensor *outTensor, uint64_t *workspaceSize, aclOpExecutor **executor) {
    return plan("aclnnSoftmax", workspaceSize, executor, [&](Planner &planner) {
        planner.from("ops-nn activation/softmax_v2/op_api/aclnn_softmax.cpp");
        planner.rule("CheckNotNull").given({{"self", selfTensor}, {"out", outTensor}});
        // The result may have another float type.
        planner.rule("CheckDtypeValid");
        const Operand self = planner.input("self", selfTensor, floats), out = planner.output("out", outTensor, floats);
        const size_t axis = planner.rule("CheckDim").axis(dim, self);
        planner.rule("CheckShape").requireDims(out, self.view.dims);
        if (axis + 1 != self.view.dims.size()) planner.strict().invalid("the emulator has softmax over the last dimension");
        const size_t columns = (size_t)self.view.dims[axis];
        planner.useWorkspace(4096);
        planner.run([=](Execution &execution) {
            std::vector<float> values = execution.loadFloats(self);
            forEachRow(values, columns, [&](float *row) {
                const float most = *std::max_element(row, row + columns);
                float sum = 0;
                for (size_t index = 0; index < columns; index++) sum += row[index] = std::exp(row[index] - most);
                for (size_t index = 0; index < columns; index++) row[index] /= sum;
            });
            execution.store(out, values);
        });
    });
}
EMULATED_PHASE_2(Softmax)
