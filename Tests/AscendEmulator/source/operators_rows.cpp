// Operators over rows: norms, softmax, sums. LayerNorm's refusals: ops-nn norm/layer_norm_v4/op_host/op_api/aclnn_layer_norm.cpp;
// those of the others are their documents' (design/ascend.md 3.3).

#include <algorithm>
#include <cmath>

#include "executor.hpp"
#include "functions.hpp"
#include "profile.hpp"

namespace emulator {

/// Calls `row` with every run of `columns` elements.
template <class Row>
static void forEachRow(std::vector<float> &values, size_t columns, Row row) {
    for (size_t start = 0; columns > 0 && start < values.size(); start += columns) row(values.data() + start);
}

/// The number of elements over which the last dimensions run; refuses unless the view ends in them.
static size_t trailing(Planner &planner, const Operand &operand, const std::vector<int64_t> &shape) {
    const auto &dims = operand.view.dims;
    if (shape.empty() || shape.size() > dims.size() || !std::equal(shape.rbegin(), shape.rend(), dims.rbegin())) {
        planner.invalid(format("%s has shape %s, which does not end in %s", operand.view.role.c_str(), described(dims).c_str(), described(shape).c_str()));
    }
    size_t product = 1;
    for (int64_t extent : shape) product *= (size_t)extent;
    return product;
}

/// The single dimension of a reduction, and the shape of its result.
static size_t reducedAxis(Planner &planner, const Operand &self, const aclIntArray *dims, bool keep, std::vector<int64_t> &result) {
    const std::vector<int64_t> axes = planner.integers("dims", dims);
    if (axes.size() != 1) planner.invalid("the emulator reduces one dimension");
    const size_t axis = planner.axis(axes[0], self);
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
        const Operand input = planner.input("input", inputTensor, floats);
        const std::vector<int64_t> shape = planner.integers("normalizedShape", normalizedShape);
        const size_t columns = trailing(planner, input, shape);
        std::optional<Operand> weight, bias;
        if (weightTensor != nullptr) planner.requireDims(*(weight = planner.input("weight", weightTensor, floats)), shape);
        if (biasTensor != nullptr) planner.requireDims(*(bias = planner.input("bias", biasTensor, floats)), shape);
        const Operand out = planner.output("out", outTensor, floats);
        planner.requireDims(out, input.view.dims);
        planner.requireType(out, input.view.type);
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
        const Operand x = planner.input("x", xTensor, floats), gamma = planner.input("gamma", gammaTensor, floats);
        const Operand y = planner.output("y", yTensor, floats), rstd = planner.output("rstd", rstdTensor, f32);
        const size_t columns = trailing(planner, x, gamma.view.dims);
        if (gamma.view.type != x.view.type && gamma.view.type != ACL_FLOAT) planner.invalid("gamma is of another type than x");
        if (profile().is310P() && columns * sizeOf(x.view.type) < 32) planner.invalid("this chip's last dimension has at least 32 bytes");
        planner.requireDims(y, x.view.dims);
        planner.requireType(y, x.view.type);
        std::vector<int64_t> leading = x.view.dims;
        for (size_t place = 1; place <= gamma.view.dims.size(); place++) leading[leading.size() - place] = 1;
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
        const Operand self = planner.input("self", selfTensor, floats);
        if (planner.scalar("p", p).real != 2) planner.invalid("the emulator has the Euclidean norm alone");
        std::vector<int64_t> result;
        const size_t columns = (size_t)self.view.dims[reducedAxis(planner, self, dims, keepDims, result)];
        const Operand out = planner.output("out", outTensor, floats);
        planner.requireDims(out, result);
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
        const Operand self = planner.input("self", selfTensor, floats);
        std::vector<int64_t> result;
        const size_t columns = (size_t)self.view.dims[reducedAxis(planner, self, dims, keepDims, result)];
        const Operand out = planner.output("out", outTensor, floats);
        planner.requireDims(out, result);
        planner.requireType(out, type);
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
        const Operand self = planner.input("self", selfTensor, floats), out = planner.output("out", outTensor, floats);
        const size_t axis = planner.axis(dim, self);
        if (axis + 1 != self.view.dims.size()) planner.invalid("the emulator has softmax over the last dimension");
        planner.requireDims(out, self.view.dims);
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
