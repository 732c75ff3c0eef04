// Operands that phase 1 of each operator refuses, by the function of CANN's source that refuses them, and accepted
// ones.

#include "check.hpp"

static const std::pair<const char *, const char *> first{"ASCEND_EMULATOR_SOC", "Ascend910A"};
static const std::pair<const char *, const char *> inference{"ASCEND_EMULATOR_SOC", "Ascend310P3"};
static const std::pair<const char *, const char *> newest{"ASCEND_EMULATOR_SOC", "Ascend950PR_9579"};
static const std::pair<const char *, const char *> open{"ASCEND_EMULATOR_GENERATION", "9"};

/// A tensor in separate memory.
static aclTensor *of(aclDataType type, std::vector<int64_t> dims) { return tensor(std::move(dims), type, deviceMemory(4096)); }
static aclTensor *f32(std::vector<int64_t> dims) { return of(ACL_FLOAT, std::move(dims)); }
static aclTensor *f16(std::vector<int64_t> dims) { return of(ACL_FLOAT16, std::move(dims)); }
static aclTensor *i32(std::vector<int64_t> dims) { return of(ACL_INT32, std::move(dims)); }
static aclTensor *flags(std::vector<int64_t> dims) { return of(ACL_BOOL, std::move(dims)); }
static aclScalar *whole(int32_t value) { return acl.tensors.aclCreateScalar(&value, ACL_INT32); }
static aclIntArray *list(std::vector<int64_t> values) { return acl.tensors.aclCreateIntArray(values.data(), values.size()); }
static aclTensorList *tensors(std::vector<const aclTensor *> members) {
    return acl.tensors.aclCreateTensorList(members.data(), members.size());
}

static uint64_t size;
static aclOpExecutor *executor;
#define PLAN(operator_, ...) acl.operators.operator_.plan(__VA_ARGS__, &size, &executor)
/// The rule is in `function` of `file`.
#define BY(status, file, function, call) REFUSED(status, file ", " function, call)

// Arithmetic

CHECK(rules_OfAdd) {
    aclScalar *one = whole(1);
    BY(161001, "aclnn_add.cpp", "CheckInplace", PLAN(InplaceAdd, f32({4}), nullptr, one));
    BY(161001, "aclnn_add.cpp", "CheckNotNull", PLAN(InplaceAdd, f32({4}), f32({4}), nullptr));
    BY(161002, "aclnn_add.cpp", "CheckPromoteType", PLAN(InplaceAdd, i32({4}), i32({4}), scalar(1)));
    BY(161002, "aclnn_add.cpp", "CheckPromoteType", PLAN(InplaceAdd, i32({4}), f32({4}), one));
    BY(161002, "aclnn_add.cpp", "CheckInplace", PLAN(InplaceAdd, f32({4}), f32({3}), one));
    BY(161002, "aclnn_add.cpp", "CheckInplace", PLAN(InplaceAdd, f32({1}), f32({4}), one));
    OK(PLAN(InplaceAdd, f32({4}), f32({1}), one));
}

CHECK(rules_OfAdd_OnAChipWithoutBF16, .environment = {first}) {
    BY(161002, "aclnn_add.cpp", "CheckParams", PLAN(InplaceAdd, of(ACL_BF16, {4}), of(ACL_BF16, {4}), scalar(1)));
}

CHECK(rules_OfSub) {
    aclScalar *one = scalar(1);
    BY(161001, "aclnn_sub.cpp", "CheckNotNull", PLAN(Sub, f32({4}), f32({4}), nullptr, f32({4})));
    BY(161002, "aclnn_sub.cpp", "CheckPromoteType", PLAN(Sub, i32({4}), i32({4}), one, i32({4})));
    BY(161002, "aclnn_sub.cpp", "CheckPromoteType", PLAN(Sub, f32({4}), f32({4}), one, i32({4})));
    BY(161002, "aclnn_sub.cpp", "CheckShape", PLAN(Sub, f32({4}), f32({3}), one, f32({4})));
    BY(161002, "aclnn_sub.cpp", "CheckShape", PLAN(Sub, f32({4}), f32({4}), one, f32({2, 4})));
}

CHECK(rules_OfSub_OnAChipWithoutBF16, .environment = {inference}) {
    aclTensor *x = of(ACL_BF16, {4});
    BY(161002, "aclnn_sub.cpp", "CheckParams", PLAN(Sub, x, x, scalar(1), x));
}

CHECK(rules_OfMul) {
    BY(161001, "aclnn_mul.cpp", "CheckMulNotNull", PLAN(Mul, f32({4}), nullptr, f32({4})));
    BY(161002, "aclnn_mul.cpp", "CheckMulPromoteType", PLAN(Mul, f32({4}), f32({4}), i32({4})));
    BY(161002, "aclnn_mul.cpp", "CheckMulShape", PLAN(Mul, f32({4}), f32({3}), f32({4})));
    BY(161001, "aclnn_mul.cpp", "CheckInplaceMulNotNull", PLAN(InplaceMul, nullptr, f32({4})));
    BY(161002, "aclnn_mul.cpp", "CheckInplaceMulPromoteType", PLAN(InplaceMul, i32({4}), f32({4})));
    BY(161002, "aclnn_mul.cpp", "CheckInplaceMulShape", PLAN(InplaceMul, f32({1}), f32({4})));
    BY(161001, "aclnn_mul.cpp", "CheckInplaceMulsNotNull", PLAN(InplaceMuls, f32({4}), nullptr));
}

CHECK(rules_OfMul_OnAChipWithoutBF16, .environment = {first}) {
    aclTensor *x = of(ACL_BF16, {4});
    BY(161002, "aclnn_mul.cpp", "CheckMulDtype", PLAN(Mul, x, x, x));
    BY(161002, "aclnn_mul.cpp", "CheckInplaceMulDtype", PLAN(InplaceMul, x, x));
    BY(161002, "aclnn_mul.cpp", "CheckInplaceMulsParams", PLAN(InplaceMuls, x, scalar(1)));
}

CHECK(rules_OfScalars_On950, .environment = {newest, open}) {
    BY(161002, "aclnn_mul.cpp", "CheckMulsPromoteDtype", PLAN(InplaceMuls, i32({4}), scalar(1)));
    BY(161002, "aclnn_div.cpp", "CheckPromoteTypeScalar", PLAN(Divs, i32({4}), scalar(1), i32({4})));
    BY(161002, "aclnn_clamp.cpp", "ClampPromoteType", PLAN(Clamp, i32({4}), scalar(0), scalar(1), i32({4})));
    OK(PLAN(Clamp, i32({4}), whole(0), whole(1), i32({4})));
}

CHECK(rules_OfDiv) {
    BY(161001, "aclnn_div.cpp", "CheckNotNull", PLAN(Div, f32({4}), f32({4}), nullptr));
    BY(161002, "aclnn_div.cpp", "CheckPromoteType", PLAN(Div, f32({4}), f32({4}), i32({4})));
    BY(161002, "aclnn_div.cpp", "CheckShape", PLAN(Div, f32({4, 4}), f32({4, 2}), f32({4, 4})));
    BY(161001, "aclnn_div.cpp", "CheckNotNullScalar", PLAN(Divs, f32({4}), nullptr, f32({4})));
    BY(161002, "aclnn_div.cpp", "CheckShapeScalar", PLAN(Divs, f32({4}), scalar(1), f32({3})));
    BY(161002, "aclnn_div.cpp", "CheckPromoteTypeScalar", PLAN(Divs, f32({4}), scalar(1), i32({4})));
    OK(PLAN(Div, f32({4, 4}), f32({4, 1}), f32({4, 4})));
}

CHECK(rules_OfDiv_OnAChipWithoutBF16, .environment = {first}) {
    aclTensor *x = of(ACL_BF16, {4});
    BY(161002, "aclnn_div.cpp", "CheckDtypeValid", PLAN(Div, x, x, x));
    BY(161002, "aclnn_div.cpp", "CheckDtypeValidScalar", PLAN(Divs, x, scalar(1), x));
}

CHECK(rules_OfClamp) {
    BY(161001, "aclnn_clamp.cpp", "CheckNotNull", PLAN(ClampMin, nullptr, scalar(0), f32({4})));
    REFUSED(161001, "a bound is NULL", PLAN(ClampMin, f32({4}), nullptr, f32({4})));
    BY(161002, "aclnn_clamp.cpp", "CheckDtypeValid", PLAN(ClampMin, flags({4}), scalar(0), flags({4})));
    BY(161002, "aclnn_clamp.cpp", "CheckShape", PLAN(ClampMin, f32({4}), scalar(0), f32({3})));
    BY(161002, "aclnn_clamp.cpp", "CheckSelfCanCastOut", PLAN(ClampMin, f32({4}), scalar(0), i32({4})));
    // Chips before 950 accept a bound of another kind.
    OK(PLAN(Clamp, i32({4}), scalar(0), scalar(1), i32({4})));
}

CHECK(rules_OfAbsAndLog) {
    BY(161001, "aclnn_abs.cpp", "CheckNotNull", PLAN(Abs, f32({4}), nullptr));
    BY(161002, "aclnn_abs.cpp", "CheckDtypeValid", PLAN(Abs, f32({4}), f16({4})));
    BY(161002, "aclnn_abs.cpp", "CheckShape", PLAN(Abs, f32({4}), f32({5})));
    BY(161001, "aclnn_log.cpp", "CheckNotNull2Tensor", PLAN(Log, nullptr, f32({4})));
    BY(161002, "aclnn_log.cpp", "CheckDtypeValid1In1Out", PLAN(Log, f32({4}), i32({4})));
    BY(161002, "aclnn_log.cpp", "CheckSameShape1In1Out", PLAN(Log, f32({4}), f32({5})));
}

CHECK(rules_OfAbsAndLog_OnAChipWithoutBF16, .environment = {inference}) {
    aclTensor *x = of(ACL_BF16, {4});
    BY(161002, "aclnn_abs.cpp", "CheckDtypeValid", PLAN(Abs, x, x));
    BY(161002, "aclnn_log.cpp", "CheckDtypeValid1In1Out", PLAN(Log, x, x));
}

// Activations

CHECK(rules_OfActivations) {
    BY(161001, "aclnn_silu.cpp", "CheckNotNull", PLAN(Silu, f32({4}), nullptr));
    BY(161002, "aclnn_silu.cpp", "CheckDtypeValidActivation", PLAN(Silu, i32({4}), i32({4})));
    BY(161002, "aclnn_silu.cpp", "CheckDtypeValidActivation", PLAN(Silu, f32({4}), f16({4})));
    BY(161002, "aclnn_silu.cpp", "CheckSameShapeNotlimit1In1Out", PLAN(Silu, f32({4}), f32({2, 2})));
    BY(161001, "aclnn_relu.cpp", "CheckNotNull", PLAN(Relu, nullptr, f32({4})));
    BY(161002, "aclnn_relu.cpp", "CheckDtypeValid", PLAN(Relu, flags({4}), flags({4})));
    BY(161002, "aclnn_relu.cpp", "CheckDtypeValid", PLAN(Relu, f32({4}), i32({4})));
    BY(161002, "aclnn_relu.cpp", "CheckShape", PLAN(Relu, f32({4}), f32({3})));
    OK(PLAN(Relu, i32({4}), i32({4})));
    BY(161001, "aclnn_gelu_v2.cpp", "CheckNotNull", PLAN(GeluV2, f32({4}), 1, nullptr));
    BY(161002, "aclnn_gelu_v2.cpp", "CheckDtypeValid", PLAN(GeluV2, i32({4}), 1, i32({4})));
    BY(161002, "aclnn_gelu_v2.cpp", "CheckDtypeValid", PLAN(GeluV2, f32({4}), 1, f16({4})));
    BY(161002, "aclnn_gelu_v2.cpp", "CheckShape", PLAN(GeluV2, f32({4}), 1, f32({3})));
    // Values other than 0 and 1 count as 0.
    OK(PLAN(GeluV2, f32({4}), 7, f32({4})));
}

CHECK(rules_OfActivations_OnAChipWithoutBF16, .environment = {first}) {
    aclTensor *x = of(ACL_BF16, {4});
    BY(161002, "aclnn_silu.cpp", "CheckDtypeValidActivation", PLAN(Silu, x, x));
    BY(161002, "aclnn_relu.cpp", "CheckDtypeValid", PLAN(Relu, x, x));
    BY(161002, "aclnn_gelu_v2.cpp", "CheckDtypeValid", PLAN(GeluV2, x, 1, x));
    REFUSED(561003, "no kernel", PLAN(SwiGlu, f32({4, 32}), -1, f32({4, 16})));
}

CHECK(rules_OfSwiGlu) {
    BY(161001, "swi_glu_def.cpp", "SwiGlu", PLAN(SwiGlu, f32({4, 8}), -1, nullptr));
    BY(161002, "swi_glu_def.cpp", "SwiGlu", PLAN(SwiGlu, i32({4, 8}), -1, i32({4, 4})));
    BY(161002, "swi_glu_def.cpp", "SwiGlu", PLAN(SwiGlu, f32({4, 8}), -1, f16({4, 4})));
    BY(561002, "swi_glu_tiling.cpp", "SetTotalShape", PLAN(SwiGlu, f32({4, 8}), 2, f32({4, 4})));
    BY(561002, "swi_glu_tiling.cpp", "SetTotalShape", PLAN(SwiGlu, f32({4, 7}), -1, f32({4, 3})));
    aclTensor *pieces = tensor({4, 8}, ACL_FLOAT, deviceMemory(4096), {16, 1}, 64);
    REFUSED(161002, "must be contiguous", PLAN(SwiGlu, pieces, -1, f32({4, 4})));
    OK(PLAN(SwiGlu, f32({4, 8}), -1, f32({4, 4})));
}

CHECK(rules_OfSwiGlu_On310P, .environment = {inference}) {
    BY(561002, "swi_glu_tiling.cpp", "CalcTiling", PLAN(SwiGlu, f32({4, 16}), -1, f32({4, 8})));
    BY(561002, "swi_glu_tiling.cpp", "CalcTiling", PLAN(SwiGlu, f16({4, 32}), -1, f16({4, 16})));
    OK(PLAN(SwiGlu, f32({4, 32}), -1, f32({4, 16})));
}

// Rows

CHECK(rules_OfSoftmax) {
    BY(161001, "aclnn_softmax.cpp", "CheckNotNull", PLAN(Softmax, f32({4}), 0, nullptr));
    BY(161002, "aclnn_softmax.cpp", "CheckDtypeValid", PLAN(Softmax, i32({4}), 0, f32({4})));
    BY(161002, "aclnn_softmax.cpp", "CheckDtypeValid", PLAN(Softmax, f32({4}), 0, i32({4})));
    BY(161002, "aclnn_softmax.cpp", "CheckDim", PLAN(Softmax, f32({4}), 1, f32({4})));
    BY(161002, "aclnn_softmax.cpp", "CheckDim", PLAN(Softmax, f32({4}), -2, f32({4})));
    BY(161002, "aclnn_softmax.cpp", "CheckShape", PLAN(Softmax, f32({4}), 0, f32({2, 2})));
    OK(PLAN(Softmax, f32({4}), -1, f16({4})));
}

CHECK(rules_OfNormAndMean) {
    BY(161001, "aclnn_norm.cpp", "CheckNotNull", PLAN(Norm, f32({4, 8}), nullptr, list({-1}), true, f32({4, 1})));
    BY(161002, "aclnn_norm.cpp", "CheckDtypeValid", PLAN(Norm, i32({4, 8}), scalar(2), list({-1}), true, f32({4, 1})));
    BY(161002, "aclnn_norm.cpp", "CheckDimValid", PLAN(Norm, f32({4, 8}), scalar(2), list({2}), true, f32({4, 1})));
    BY(161002, "aclnn_norm.cpp", "CheckDimValid", PLAN(Norm, f32({4, 8}), scalar(2), list({1, -1}), true, f32({4, 1})));
    BY(161002, "aclnn_norm.cpp", "CheckShape", PLAN(Norm, f32({4, 8}), scalar(2), list({-1}), true, f32({4})));
    OK(PLAN(Norm, f32({4, 8}), scalar(2), list({-1}), false, f32({4})));
    BY(161001, "aclnn_mean.cpp", "CheckNotNull", PLAN(Mean, f32({4, 8}), nullptr, true, ACL_FLOAT, f32({4, 1})));
    BY(161002, "aclnn_mean.cpp", "CheckDtypeValid", PLAN(Mean, flags({4, 8}), list({-1}), true, ACL_FLOAT, f32({4, 1})));
    BY(161002, "aclnn_mean.cpp", "CheckDtypeValid", PLAN(Mean, f32({4, 8}), list({-1}), true, ACL_BOOL, f32({4, 1})));
    BY(161002, "aclnn_mean.cpp", "CheckPromoteType", PLAN(Mean, f32({4, 8}), list({-1}), true, ACL_INT32, i32({4, 1})));
    BY(161002, "aclnn_mean.cpp", "CheckPromoteType", PLAN(Mean, f32({4, 8}), list({-1}), true, ACL_FLOAT, i32({4, 1})));
    BY(161002, "aclnn_mean.cpp", "CheckDimValid", PLAN(Mean, f32({4, 8}), list({-3}), true, ACL_FLOAT, f32({4, 1})));
    BY(161002, "aclnn_mean.cpp", "CheckShapeAndScalarSame", PLAN(Mean, f32({4, 8}), list({-1}), true, ACL_FLOAT, f32({4, 8})));
}

CHECK(rules_OfLayerNorm) {
    const auto plan = [](aclTensor *x, aclIntArray *shape, aclTensor *weight, aclTensor *bias, aclTensor *out) {
        return PLAN(LayerNorm, x, shape, weight, bias, 1e-5, out, nullptr, nullptr);
    };
    BY(161001, "aclnn_layer_norm.cpp", "CheckNotNull", plan(f32({4, 8}), nullptr, nullptr, nullptr, f32({4, 8})));
    BY(161002, "aclnn_layer_norm.cpp", "CheckInputDtype", plan(i32({4, 8}), list({8}), nullptr, nullptr, f32({4, 8})));
    BY(161002, "aclnn_layer_norm.cpp", "CheckInputDtype", plan(f32({4, 8}), list({8}), f16({8}), nullptr, f32({4, 8})));
    BY(161002, "aclnn_layer_norm.cpp", "CheckInputDtype", plan(f16({4, 8}), list({8}), f16({8}), f32({8}), f16({4, 8})));
    BY(161002, "aclnn_layer_norm.cpp", "CheckOutputDtype", plan(f32({4, 8}), list({8}), nullptr, nullptr, i32({4, 8})));
    BY(161002, "aclnn_layer_norm.cpp", "CheckShape", plan(f32({4, 8}), list({}), nullptr, nullptr, f32({4, 8})));
    BY(161002, "aclnn_layer_norm.cpp", "CheckShape", plan(f32({4, 8}), list({8}), f32({1, 8}), nullptr, f32({4, 8})));
    BY(161002, "aclnn_layer_norm.cpp", "CheckShape", plan(f32({4, 8}), list({8}), nullptr, nullptr, f32({8, 4})));
    BY(161002, "aclnn_layer_norm.cpp", "CheckNormalizedShapeMatch", plan(f32({4, 8}), list({4}), nullptr, nullptr, f32({4, 8})));
    BY(161002, "aclnn_layer_norm.cpp", "CheckNormalizedShapeMatch", plan(f32({4, 8}), list({8}), nullptr, f32({4}), f32({4, 8})));
    OK(plan(f16({4, 8}), list({8}), f32({8}), f32({8}), f16({4, 8})));
    OK(plan(f32({4, 8}), list({4, 8}), nullptr, nullptr, f32({4, 8})));
}

static int planRms(aclTensor *x, aclTensor *gamma, aclTensor *y, aclTensor *rstd, double epsilon = 1e-6) {
    return PLAN(RmsNorm, x, gamma, epsilon, y, rstd);
}

CHECK(rules_OfRmsNorm) {
    BY(161001, "rms_norm_def.cpp", "RmsNorm", planRms(f32({4, 8}), nullptr, f32({4, 8}), f32({4, 1})));
    BY(161002, "rms_norm_def.cpp", "RmsNorm", planRms(i32({4, 8}), f32({8}), i32({4, 8}), f32({4, 1})));
    BY(161002, "rms_norm_def.cpp", "RmsNorm", planRms(f32({4, 8}), f16({8}), f32({4, 8}), f32({4, 1})));
    BY(161002, "rms_norm_def.cpp", "RmsNorm", planRms(f32({4, 8}), f32({8}), f16({4, 8}), f32({4, 1})));
    BY(161002, "rms_norm_def.cpp", "RmsNorm", planRms(f16({4, 8}), f16({8}), f16({4, 8}), f16({4, 1})));
    BY(561002, "rms_norm_tiling.cpp", "CheckInputShape4RmsNorm", planRms(f32({0, 8}), f32({8}), f32({0, 8}), f32({0, 1})));
    BY(561002, "rms_norm_tiling.cpp", "CheckInputShape4RmsNorm", planRms(f32({4, 8}), f32({4}), f32({4, 8}), f32({4, 1})));
    BY(561002, "rms_norm_tiling.cpp", "CheckInputShape4RmsNorm", planRms(f32({4, 8}), f32({8}), f32({8, 4}), f32({4, 1})));
    BY(561002, "rms_norm_tiling.cpp", "CheckInputShape4RmsNorm", planRms(f32({4, 8}), f32({8}), f32({4, 8}), f32({3, 1})));
    BY(561002, "rms_norm_tiling.cpp", "Tiling4RmsNorm", planRms(f32({4, 8}), f32({8}), f32({4, 8}), f32({4, 1}), -1));
    OK(planRms(f16({4, 8}), f32({8}), f16({4, 8}), f32({4, 1})));
}

CHECK(rules_OfRmsNorm_On310P, .environment = {inference}) {
    REFUSED(561002, "at least 32 bytes", planRms(f32({4, 7}), f32({7}), f32({4, 7}), f32({4, 1})));
    BY(161002, "rms_norm_def.cpp", "RmsNorm", planRms(f16({4, 16}), f32({16}), f16({4, 16}), f32({4, 1})));
    OK(planRms(f32({4, 8}), f32({8}), f32({4, 8}), f32({4, 1})));
}

CHECK(rmsNorm_OnTheFirstGeneration_IsTheNewersAlone, .environment = {first}) {
    REFUSED(561003, "no kernel", planRms(f32({4, 8}), f32({8}), f32({4, 8}), f32({4, 1})));
}

CHECK(rmsNorm_OnTheFirstGeneration_WithCANN9, .environment = {first, open}) {
    OK(planRms(f32({4, 8}), f32({8}), f32({4, 8}), f32({4, 1})));
}

// Products

CHECK(rules_OfMm) {
    BY(161001, "aclnn_mm.cpp", "CheckNotNull", PLAN(Mm, f16({4, 8}), nullptr, f32({4, 2}), 0));
    BY(161002, "matmul_util.cpp", "SocMatMulRuleBase::CheckInputTensorDtypeValid", PLAN(Mm, i32({4, 8}), i32({8, 2}), i32({4, 2}), 0));
    BY(161002, "matmul_util.cpp", "SocMatMulRuleBase::CheckInputTensorDtypeValid", PLAN(Mm, f16({4, 8}), f16({8, 2}), i32({4, 2}), 0));
    BY(161002, "aclnn_mm.cpp", "CheckShapeValid", PLAN(Mm, f16({1, 4, 8}), f16({8, 2}), f32({4, 2}), 0));
    BY(161002, "aclnn_mm.cpp", "CheckShapeValid", PLAN(Mm, f16({4, 8}), f16({7, 2}), f32({4, 2}), 0));
    BY(161002, "aclnn_mm.cpp", "CheckOutputShapeValid", PLAN(Mm, f16({4, 8}), f16({8, 2}), f32({4, 3}), 0));
    // For bfloat16, the lower precision is ignored with a warning (CheckCubeMathTypeForMm).
    OK(PLAN(Mm, of(ACL_BF16, {4, 8}), of(ACL_BF16, {8, 2}), f32({4, 2}), 2));
}

CHECK(rules_OfMm_OnAChipWithoutFloat32, .environment = {first}) {
    for (int8_t mode : {0, 3}) {
        BY(161002, "matmul_util.cpp", "Ascend310AMatMulRule::CheckInput", PLAN(Mm, f32({4, 8}), f32({8, 2}), f32({4, 2}), mode));
    }
    BY(161002, "matmul_util.cpp", "SocMatMulRuleBase::CheckInputTensorDtypeValid",
       PLAN(Mm, of(ACL_BF16, {4, 8}), of(ACL_BF16, {8, 2}), f32({4, 2}), 0));
    OK(PLAN(Mm, f16({4, 8}), f16({8, 2}), f32({4, 2}), 0));
}

CHECK(rules_OfBatchMatMul) {
    BY(161001, "aclnn_batch_matmul.cpp", "CheckNotNull", PLAN(BatchMatMul, nullptr, f16({2, 8, 3}), f32({2, 4, 3}), 0));
    BY(161002, "matmul_util.cpp", "SocMatMulRuleBase::CheckInputTensorDtypeValid", PLAN(BatchMatMul, i32({2, 4, 8}), i32({2, 8, 3}), i32({2, 4, 3}), 0));
    BY(161002, "aclnn_batch_matmul.cpp", "CheckShape", PLAN(BatchMatMul, f16({4, 8}), f16({2, 8, 3}), f32({2, 4, 3}), 0));
    BY(161002, "aclnn_batch_matmul.cpp", "CheckShape", PLAN(BatchMatMul, f16({2, 4, 8}), f16({2, 7, 3}), f32({2, 4, 3}), 0));
    BY(161002, "aclnn_batch_matmul.cpp", "CheckShape", PLAN(BatchMatMul, f16({2, 4, 8}), f16({3, 8, 3}), f32({3, 4, 3}), 0));
    BY(161002, "aclnn_batch_matmul.cpp", "CheckShape", PLAN(BatchMatMul, f16({2, 4, 8}), f16({2, 8, 3}), f32({2, 4, 4}), 0));
    OK(PLAN(BatchMatMul, f16({1, 4, 8}), f16({2, 8, 3}), f32({2, 4, 3}), 0));
}

CHECK(rules_OfBlockedWeights) {
    uint64_t elements;
    BY(161001, "aclnn_trans_matmul_weight.cpp", "CheckNotNull", PLAN(TransMatmulWeight, nullptr));
    BY(161002, "aclnn_trans_matmul_weight.cpp", "CheckDtypeValid", PLAN(TransMatmulWeight, f32({8, 2})));
    BY(161002, "aclnn_trans_matmul_weight.cpp", "CheckShapeDim", PLAN(TransMatmulWeight, f16({8})));
    REFUSED(161001, "NULL", acl.operators.aclnnCalculateMatmulWeightSizeV2(nullptr, ACL_FLOAT16, &elements));
    REFUSED(161002, "CheckShapeDimV2", acl.operators.aclnnCalculateMatmulWeightSizeV2(list({8}), ACL_FLOAT16, &elements));
    REFUSED(161002, "CheckNonZeroShape", acl.operators.aclnnCalculateMatmulWeightSizeV2(list({8, 0}), ACL_FLOAT16, &elements));
}

CHECK(rules_OfBlockedWeights_OnTheFirstGeneration, .environment = {first}) {
    uint64_t elements;
    // Phase 1 of the operator does not query the chip; the function that returns the size does.
    OK(PLAN(TransMatmulWeight, f16({8, 2})));
    REFUSED(361001, "CheckSocValid", acl.operators.aclnnCalculateMatmulWeightSizeV2(list({8, 2}), ACL_FLOAT16, &elements));
    BY(161002, "aclnn_trans_matmul_weight.cpp", "CheckDtypeValid", PLAN(TransMatmulWeight, of(ACL_BF16, {8, 2})));
}

// Gathering, joining

CHECK(rules_OfGatherV2) {
    BY(161001, "aclnn_gather_v2.cpp", "CheckNotNull", PLAN(GatherV2, f32({4, 8}), 0, nullptr, f32({2, 8})));
    BY(161002, "aclnn_gather_v2.cpp", "CheckDtypeValid", PLAN(GatherV2, f32({4, 8}), 0, i32({2}), f16({2, 8})));
    BY(161002, "aclnn_gather_v2.cpp", "CheckDtypeValid", PLAN(GatherV2, f32({4, 8}), 0, f32({2}), f32({2, 8})));
    BY(161002, "aclnn_gather_v2.cpp", "CheckShape", PLAN(GatherV2, f32({4, 8}), 2, i32({2}), f32({2, 8})));
    BY(161002, "aclnn_gather_v2.cpp", "CheckOutShape", PLAN(GatherV2, f32({4, 8}), 0, i32({2}), f32({3, 8})));
    OK(PLAN(GatherV2, f32({4, 8}), 1, i32({2}), f32({4, 2})));
}

CHECK(rules_OfIndexCopy) {
    BY(161001, "aclnn_index_copy.cpp", "CheckNotNull", PLAN(InplaceIndexCopy, f16({4, 8}), 0, i32({2}), nullptr));
    BY(161002, "aclnn_index_copy.cpp", "CheckDtypeValid", PLAN(InplaceIndexCopy, f16({4, 8}), 0, f16({2}), f16({2, 8})));
    BY(161002, "aclnn_index_copy.cpp", "CheckDtypeValid", PLAN(InplaceIndexCopy, f16({4, 8}), 0, i32({2}), f32({2, 8})));
    BY(161002, "aclnn_index_copy.cpp", "CheckShape", PLAN(InplaceIndexCopy, f16({4, 8}), 0, i32({1, 2}), f16({2, 8})));
    BY(161002, "aclnn_index_copy.cpp", "CheckShape", PLAN(InplaceIndexCopy, f16({4, 8}), 2, i32({2}), f16({2, 8})));
    BY(161002, "aclnn_index_copy.cpp", "CheckShape", PLAN(InplaceIndexCopy, f16({4, 8}), 0, i32({2}), f16({2, 7})));
    BY(161002, "aclnn_index_copy.cpp", "CheckElementNum", PLAN(InplaceIndexCopy, f16({4, 8}), 0, i32({3}), f16({2, 8})));
}

CHECK(rules_OfTopk) {
    aclTensor *places = of(ACL_INT64, {4, 2});
    BY(161001, "aclnn_topk.cpp", "CheckNotNull", PLAN(Topk, f32({4, 8}), 2, -1, true, true, f32({4, 2}), nullptr));
    BY(161002, "aclnn_topk.cpp", "CheckParamValid", PLAN(Topk, f32({4, 8}), 2, 2, true, true, f32({4, 2}), places));
    BY(161002, "aclnn_topk.cpp", "CheckParamValid", PLAN(Topk, f32({4, 8}), 9, -1, true, true, f32({4, 2}), places));
    BY(161002, "aclnn_topk.cpp", "CheckDtypeValid", PLAN(Topk, flags({4, 8}), 2, -1, true, true, flags({4, 2}), places));
    BY(161002, "aclnn_topk.cpp", "CheckDtypeValid", PLAN(Topk, f32({4, 8}), 2, -1, true, true, f16({4, 2}), places));
    BY(161002, "aclnn_topk.cpp", "CheckDtypeValid", PLAN(Topk, f32({4, 8}), 2, -1, true, true, f32({4, 2}), i32({4, 2})));
    OK(PLAN(Topk, f32({4, 8}), 2, -1, true, true, f32({4, 2}), places));
}

CHECK(rules_OfCat) {
    BY(161001, "aclnn_cat.cpp", "CheckNotNull", PLAN(Cat, nullptr, 0, f32({4})));
    BY(161001, "aclnn_cat.cpp", "CheckNotNull", PLAN(Cat, tensors({f32({4}), f32({4})}), 0, nullptr));
    BY(161002, "aclnn_cat.cpp", "CheckPromoteType", PLAN(Cat, tensors({f32({4}), f32({4})}), 0, i32({8})));
    BY(161002, "aclnn_cat.cpp", "CheckShape", PLAN(Cat, tensors({f32({4}), f32({4})}), 1, f32({8})));
    BY(161002, "aclnn_cat.cpp", "CheckShape", PLAN(Cat, tensors({f32({4, 2}), f32({8})}), 0, f32({8, 2})));
    BY(161002, "aclnn_cat.cpp", "CheckShape", PLAN(Cat, tensors({f32({4, 2}), f32({4, 3})}), 0, f32({8, 2})));
    BY(161002, "aclnn_cat.cpp", "CheckShapeAndScalarSame", PLAN(Cat, tensors({f32({4, 2}), f32({4, 3})}), 1, f32({4, 6})));
    OK(PLAN(Cat, tensors({f32({4, 2}), f32({4, 3})}), 1, f32({4, 5})));
}

CHECK(rules_OfCat_OnAChipWithoutBF16, .environment = {first}) {
    BY(161002, "aclnn_cat.cpp", "CheckDtypeValid", PLAN(Cat, tensors({of(ACL_BF16, {4})}), 0, of(ACL_BF16, {4})));
}

// Masks and moves

CHECK(rules_OfComparisons) {
    BY(161001, "aclnn_gt_tensor.cpp", "CheckNotNull", PLAN(GtTensor, i32({4}), i32({4}), nullptr));
    BY(161002, "aclnn_gt_tensor.cpp", "CheckShape", PLAN(GtTensor, i32({4}), i32({3}), flags({4})));
    BY(161001, "aclnn_ne_tensor.cpp", "CheckNotNull", PLAN(NeTensor, nullptr, f32({4}), flags({4})));
    BY(161002, "aclnn_ne_tensor.cpp", "CheckOutShape", PLAN(NeTensor, f32({4}), f32({4}), flags({3})));
    BY(161001, "aclnn_eq_scalar.cpp", "CheckNotNull", PLAN(EqScalar, f32({4}), nullptr, flags({4})));
    BY(161002, "aclnn_eq_scalar.cpp", "CheckShape", PLAN(EqScalar, f32({4}), scalar(0), flags({3})));
    BY(161001, "aclnn_logical_or.cpp", "CheckNotNull", PLAN(LogicalOr, flags({4}), nullptr, flags({4})));
    BY(161002, "aclnn_logical_or.cpp", "CheckShape", PLAN(LogicalOr, flags({4}), flags({4}), flags({2, 4})));
    BY(161001, "aclnn_bitwise_and_tensor.cpp", "CheckNotNull", PLAN(BitwiseAndTensor, i32({4}), i32({4}), nullptr));
    BY(161002, "aclnn_bitwise_and_tensor.cpp", "CheckDtypeValid", PLAN(BitwiseAndTensor, f32({4}), f32({4}), f32({4})));
    BY(161002, "aclnn_bitwise_and_tensor.cpp", "CheckShape", PLAN(BitwiseAndTensor, i32({4}), i32({3}), i32({4})));
}

CHECK(rules_OfComparisons_OnAChipWithoutBF16, .environment = {first}) {
    aclTensor *x = of(ACL_BF16, {4});
    BY(161002, "aclnn_gt_tensor.cpp", "CheckDtypeValid", PLAN(GtTensor, x, x, flags({4})));
    BY(161002, "aclnn_ne_tensor.cpp", "CheckDtypeValid", PLAN(NeTensor, x, x, flags({4})));
    BY(161002, "aclnn_eq_scalar.cpp", "CheckDtypeValid", PLAN(EqScalar, x, scalar(0), flags({4})));
    BY(161002, "aclnn_logical_or.cpp", "CheckDtypeValid", PLAN(LogicalOr, x, x, flags({4})));
}

CHECK(rules_OfMaskedFill) {
    BY(161001, "aclnn_masked_fill_scalar.cpp", "CheckNotNull", PLAN(InplaceMaskedFillScalar, f32({4}), flags({4}), nullptr));
    BY(161002, "aclnn_masked_fill_scalar.cpp", "CheckDtypeValid", PLAN(InplaceMaskedFillScalar, f32({4}), i32({4}), scalar(0)));
    BY(161002, "aclnn_masked_fill_scalar.cpp", "CheckDtypeValid", PLAN(InplaceMaskedFillScalar, of(ACL_UINT8, {4}), flags({4}), scalar(0)));
    BY(161002, "aclnn_masked_fill_scalar.cpp", "CheckShape", PLAN(InplaceMaskedFillScalar, f32({4}), flags({3}), scalar(0)));
    BY(161002, "aclnn_masked_fill_scalar.cpp", "CheckShape", PLAN(InplaceMaskedFillScalar, f32({1}), flags({4}), scalar(0)));
}

CHECK(rules_OfCastAndCopy) {
    BY(161001, "aclnn_cast.cpp", "CheckNotNull", PLAN(Cast, f32({4}), ACL_FLOAT16, nullptr));
    BY(161002, "aclnn_cast.cpp", "CheckShape", PLAN(Cast, f32({4}), ACL_FLOAT16, f16({3})));
    REFUSED(161002, "it must be float16", PLAN(Cast, f32({4}), ACL_FLOAT16, i32({4})));
    BY(161001, "aclnn_copy.cpp", "CheckNotNull", PLAN(InplaceCopy, f32({4}), nullptr));
    BY(161002, "aclnn_copy.cpp", "CheckShape", PLAN(InplaceCopy, f32({1}), f32({4})));
    OK(PLAN(InplaceCopy, f16({2, 4}), f32({4})));
}

CHECK(rules_OfCastAndCopy_OnAChipWithoutBF16, .environment = {first}) {
    BY(161002, "aclnn_cast.cpp", "CheckDtypeValid", PLAN(Cast, f32({4}), ACL_BF16, of(ACL_BF16, {4})));
    BY(161002, "aclnn_cast.cpp", "CheckDtypeValid", PLAN(Cast, of(ACL_BF16, {4}), ACL_FLOAT, f32({4})));
    // Their lists of types are the same for all chips.
    OK(PLAN(InplaceCopy, of(ACL_BF16, {4}), of(ACL_BF16, {4})));
    OK(PLAN(Norm, of(ACL_BF16, {4, 8}), scalar(2), list({-1}), true, of(ACL_BF16, {4, 1})));
}
