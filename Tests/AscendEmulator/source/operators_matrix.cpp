// Matrix products: half-precision operands, sums in float32, one rounding at the end. The sum of an element has the
// same order whatever the number of rows. Every rule carries the name of its function in the source.

#include <algorithm>

#include "executor.hpp"
#include "functions.hpp"
#include "memory.hpp"
#include "numbers.hpp"
#include "profile.hpp"

namespace emulator {

/// out (m, n) = a (m, k) · b (k, n), row-major.
static void multiply(const float *a, const float *b, float *out, size_t m, size_t k, size_t n) {
    std::fill(out, out + m * n, 0.0f);
    for (size_t row = 0; row < m; row++) {
        for (size_t depth = 0; depth < k; depth++) {
            const float factor = a[row * k + depth];
            const float *from = b + depth * n;
            float *to = out + row * n;
            for (size_t column = 0; column < n; column++) to[column] += factor * from[column];
        }
    }
}

/// The operands of a product, with both sources' requirements for types and mode: BuildRule selects
/// Ascend910BMatMulRule for Atlas A2 and later, otherwise Ascend310AMatMulRule.
struct Product {
    Operand self, mat2, out;

    Product(
        Planner &planner, const aclTensor *selfTensor, const aclTensor *mat2Tensor, aclTensor *outTensor, int8_t mode,
        bool takesBlocked)
        : self(checked(planner).input("self", selfTensor, floats)),
          mat2(takesBlocked ? planner.weight("mat2", mat2Tensor, floats) : planner.input("mat2", mat2Tensor, floats)),
          out(planner.output("out", outTensor, floats)) {
        planner.rule(profile().isA2OrLater() ? "Ascend910BMatMulRule::CheckInput" : "Ascend310AMatMulRule::CheckInput");
        const bool isWide = self.view.type == ACL_FLOAT || mat2.view.type == ACL_FLOAT;
        if (!profile().isA2OrLater() && isWide && (mode == 0 || mode == 3)) {
            planner.invalid("this chip has no float32 product: cubeMathType must allow a lower precision");
        }
        // The sources look modes up in tables without a bounds check.
        planner.strict();
        if (mode < 0 || mode > 3) planner.invalid(format("there is no cubeMathType %d", mode));
        planner.requireType(mat2, self.view.type);
        if (out.view.type != self.view.type && out.view.type != ACL_FLOAT) planner.invalid(format("out is %s", nameOf(out.view.type)));
    }

private:
    static Planner &checked(Planner &planner) {
        planner.from("ops-nn matmul/common/op_host/op_api/matmul_util.cpp");
        return planner.rule("SocMatMulRuleBase::CheckInputTensorDtypeValid");
    }
};

/// float32 operands as the matrix unit reads them in this mode.
static void lowerPrecision(std::vector<float> &values, aclDataType type, int8_t mode) {
    if (type != ACL_FLOAT || mode == 0) return;
    for (float &value : values) {
        if (mode == 2 || !profile().isA2OrLater()) value = fromF16(toF16(value));
        else value = floatOf((bitsOf(value) + 0x800) & 0xfffff000);  // HF32: 11 bits of fraction
    }
}

/// The place of element (row, column) of a matrix of `rows` in FRACTAL_NZ: columns in groups of 16, within them rows in
/// groups of 16, 16 × 16 blocks in row-major order.
static size_t blockedPlace(size_t row, size_t column, size_t rows) {
    const size_t paddedRows = (rows + 15) / 16 * 16;
    return column / 16 * paddedRows * 16 + row * 16 + column % 16;
}

static std::vector<float> loadWeight(const Execution &execution, const Operand &operand) {
    const View &view = execution.views[operand.index];
    if (view.format == ACL_FORMAT_ND) return execution.loadFloats(operand);
    const size_t rows = (size_t)view.dims[0], columns = (size_t)view.dims[1];
    const auto *stored = (const uint16_t *)execution.bytes(operand, Memory::blockedSize(view.data));
    std::vector<float> values(rows * columns);
    for (size_t row = 0; row < rows; row++) {
        for (size_t column = 0; column < columns; column++) {
            const uint16_t bits = stored[blockedPlace(row, column, rows)];
            values[row * columns + column] = view.type == ACL_BF16 ? fromBF16(bits) : fromF16(bits);
        }
    }
    return values;
}

}  // namespace emulator

using namespace emulator;

aclnnStatus aclnnMmGetWorkspaceSize(
    const aclTensor *selfTensor, const aclTensor *mat2Tensor, aclTensor *outTensor, int8_t mode, uint64_t *workspaceSize,
    aclOpExecutor **executor) {
    return plan("aclnnMm", workspaceSize, executor, [&](Planner &planner) {
        static const char *const source = "ops-nn matmul/mat_mul_v3/op_host/op_api/aclnn_mm.cpp";
        planner.from(source);
        planner.rule("CheckNotNull").given({{"out", outTensor}, {"self", selfTensor}, {"mat2", mat2Tensor}});
        const Product product(planner, selfTensor, mat2Tensor, outTensor, mode, true);
        const Operand self = product.self, mat2 = product.mat2, out = product.out;
        planner.from(source);
        planner.rule("CheckShapeValid").requireRank(mat2, 2);
        planner.requireRank(self, 2);
        const size_t m = (size_t)self.view.dims[0], k = (size_t)self.view.dims[1], n = (size_t)mat2.view.dims[1];
        planner.requireDims(mat2, {(int64_t)k, (int64_t)n});
        planner.rule("CheckOutputShapeValid").requireDims(out, {(int64_t)m, (int64_t)n});
        if (m * n > 0) planner.useWorkspace(16384);
        const bool isHalf = mat2.view.format == ACL_FORMAT_FRACTAL_NZ && mat2.view.type == ACL_FLOAT16 && profile().generation == 9;
        planner.run([=](Execution &execution) {
            std::vector<float> a = execution.loadFloats(self), b = loadWeight(execution, mat2), result(m * n);
            lowerPrecision(a, self.view.type, mode);
            lowerPrecision(b, self.view.type, mode);
            multiply(a.data(), b.data(), result.data(), m, k, n);
            // 9.x gives the product the type of a weight in FRACTAL_NZ and widens it (ops-nn matmul_util.cpp:834-839);
            // the behaviour of 8.1 is not public.
            if (isHalf) for (float &value : result) value = fromF16(toF16(value));
            execution.store(out, result);
        });
    });
}
EMULATED_PHASE_2(Mm)

aclnnStatus aclnnBatchMatMulGetWorkspaceSize(
    const aclTensor *selfTensor, const aclTensor *mat2Tensor, aclTensor *outTensor, int8_t mode, uint64_t *workspaceSize,
    aclOpExecutor **executor) {
    return plan("aclnnBatchMatMul", workspaceSize, executor, [&](Planner &planner) {
        static const char *const source = "ops-nn matmul/batch_mat_mul_v3/op_host/op_api/aclnn_batch_matmul.cpp";
        planner.from(source);
        planner.rule("CheckNotNull").given({{"self", selfTensor}, {"mat2", mat2Tensor}, {"out", outTensor}});
        const Product product(planner, selfTensor, mat2Tensor, outTensor, mode, false);
        const Operand self = product.self, mat2 = product.mat2, out = product.out;
        planner.from(source);
        planner.rule("CheckShape").requireRank(self, 3);
        planner.requireRank(mat2, 3);
        const int64_t one = self.view.dims[0], other = mat2.view.dims[0];
        if (one != other && one != 1 && other != 1) planner.invalid("self and mat2 have different batches");
        const size_t batch = (size_t)std::max(one, other);
        const size_t m = (size_t)self.view.dims[1], k = (size_t)self.view.dims[2], n = (size_t)mat2.view.dims[2];
        planner.requireDims(mat2, {other, (int64_t)k, (int64_t)n});
        planner.requireDims(out, {(int64_t)batch, (int64_t)m, (int64_t)n});
        if (batch * m * n > 0) planner.useWorkspace(16384);
        // 9.x supports float32 results of half-precision operands only on Atlas A2 and later, and widens others (ops-nn
        // matmul/common/op_host/op_api, NeedEnableFp32Output); the behaviour of 8.1 is not public.
        const bool isHalf = !profile().isA2OrLater() && self.view.type == ACL_FLOAT16 && profile().generation == 9;
        planner.run([=](Execution &execution) {
            std::vector<float> a = execution.loadFloats(self), b = execution.loadFloats(mat2), result(batch * m * n);
            lowerPrecision(a, self.view.type, mode);
            lowerPrecision(b, self.view.type, mode);
            for (size_t index = 0; index < batch; index++) {
                multiply(
                    a.data() + (one == 1 ? 0 : index * m * k), b.data() + (other == 1 ? 0 : index * k * n),
                    result.data() + index * m * n, m, k, n);
            }
            if (isHalf) for (float &value : result) value = fromF16(toF16(value));
            execution.store(out, result);
        });
    });
}
EMULATED_PHASE_2(BatchMatMul)

aclnnStatus aclnnCalculateMatmulWeightSizeV2(const aclIntArray *shape, aclDataType dataType, uint64_t *elements) {
    return call("aclnnCalculateMatmulWeightSizeV2", "", [&]() -> aclnnStatus {
        // ops-math conversion/trans_data/op_api/aclnn_trans_matmul_weight.cpp; phase 1 of the operator itself does not
        // query the chip.
        if (profile().chip == Chip::first) {
            refuse(ACLNN_ERR_RUNTIME_ERROR, "%s has no such weights (CheckSocValid)", profile().soc.c_str());
        }
        if (shape == nullptr || elements == nullptr) refuse(ACLNN_ERR_PARAM_NULLPTR, "an argument is NULL");
        requireAlive(shape, shape->marker, aclIntArray::alive, "array", "aclnnCalculateMatmulWeightSizeV2");
        const size_t rank = shape->values.size();
        if (rank < 2 || rank > 6) refuse(ACLNN_ERR_PARAM_INVALID, "the shape has rank %zu (CheckShapeDimV2)", rank);
        for (int64_t extent : shape->values) {
            if (extent == 0) refuse(ACLNN_ERR_PARAM_INVALID, "the shape has a zero (CheckNonZeroShape)");
        }
        if (rank != 2) refuse(ACLNN_ERR_PARAM_INVALID, "the emulator has weights of rank 2");
        if (dataType != ACL_FLOAT16 && dataType != ACL_BF16) refuse(ACLNN_ERR_PARAM_INVALID, "the emulator has no weight of %s", nameOf(dataType));
        *elements = (uint64_t)((shape->values[0] + 15) / 16 * 16 * ((shape->values[1] + 15) / 16 * 16));
        return 0;
    });
}

aclnnStatus aclnnTransMatmulWeightGetWorkspaceSize(aclTensor *weightTensor, uint64_t *workspaceSize, aclOpExecutor **executor) {
    return plan("aclnnTransMatmulWeight", workspaceSize, executor, [&](Planner &planner) {
        planner.from("ops-math conversion/trans_data/op_api/aclnn_trans_matmul_weight.cpp");
        planner.rule("CheckNotNull").given({{"mmWeightRef", weightTensor}});
        // int8, which has other blocks and which the source supports for 310P and later, is not emulated.
        const Operand weight = planner.rule("CheckDtypeValid").inplace("mmWeightRef", weightTensor, f16 | bf16);
        planner.rule("CheckShapeDim").requireRank(weight, 2);
        planner.strict();
        if (!weight.view.isContiguous() || weight.view.offset != 0) planner.invalid("mmWeightRef is not contiguous");
        const size_t rows = (size_t)weight.view.dims[0], columns = (size_t)weight.view.dims[1];
        const size_t taken = (rows + 15) / 16 * 16 * ((columns + 15) / 16 * 16) * 2;
        Memory::check(weight.view.data, taken, ACLNN_ERR_PARAM_INVALID, "mmWeightRef in FRACTAL_NZ");
        // From here on the memory counts as blocked: calls enqueued later refer to its future layout.
        Memory::markBlocked(weight.view.data, taken);
        planner.useWorkspace(taken);
        planner.run([=](Execution &execution) {
            auto *stored = (uint16_t *)execution.bytes(weight, taken);
            const std::vector<uint16_t> before(stored, stored + rows * columns);
            std::fill(stored, stored + taken / 2, (uint16_t)0);
            for (size_t row = 0; row < rows; row++) {
                for (size_t column = 0; column < columns; column++) {
                    stored[blockedPlace(row, column, rows)] = before[row * columns + column];
                }
            }
        });
    });
}
EMULATED_PHASE_2(TransMatmulWeight)
