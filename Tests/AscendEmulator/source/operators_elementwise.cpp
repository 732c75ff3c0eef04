// Element-wise operators: arithmetic with numpy's broadcasting, and activations. Every rule carries the name of its
// function in the source; differing types, which real software promotes, are refused.

#include <cmath>

#include "elements.hpp"
#include "profile.hpp"

namespace emulator {

/// An operator of two tensors.
///
/// - Parameter outTypes: the source's list for the result; `anything` if it has none.
template <class F>
static aclnnStatus binary(
    const char *name, Rules rules, const aclTensor *selfTensor, const aclTensor *otherTensor, aclTensor *outTensor, Types types,
    Types outTypes, PLAN_ARGUMENTS, F f) {
    return plan(name, workspaceSize, executor, [&](Planner &planner) {
        planner.from(rules.source);
        planner.rule(rules.null).given({{"self", selfTensor}, {"other", otherTensor}, {"out", outTensor}});
        planner.rule(rules.types);
        const Operand self = planner.input("self", selfTensor, types), other = planner.input("other", otherTensor, types);
        const Operand out = planner.output("out", outTensor, outTypes);
        planner.rule(rules.promote).requireCast(self.view.type, out.view.type, "the result");
        planner.strict().requireType(other, self.view.type);
        planner.requireType(out, self.view.type);
        planner.rule(rules.shape);
        runPairs(planner, self, other, out, f);
    });
}

/// An operator of a tensor that is also written, and another.
template <class F>
static aclnnStatus binaryInplace(
    const char *name, Rules rules, aclTensor *selfTensor, const aclTensor *otherTensor, Types types, PLAN_ARGUMENTS, F f) {
    return plan(name, workspaceSize, executor, [&](Planner &planner) {
        planner.from(rules.source);
        planner.rule(rules.null).given({{"selfRef", selfTensor}, {"other", otherTensor}});
        planner.rule(rules.types);
        const Operand other = planner.input("other", otherTensor, types), self = planner.inplace("selfRef", selfTensor, types);
        planner.rule(rules.promote).requireCast(other.view.type, self.view.type, "other");
        planner.strict().requireType(other, self.view.type);
        planner.rule(rules.shape);
        runPairs(planner, self, other, self, f);
    });
}

/// An operator of one tensor.
template <class F>
static aclnnStatus unary(
    const char *name, Rules rules, const aclTensor *selfTensor, aclTensor *outTensor, Types types, Types outTypes, PLAN_ARGUMENTS,
    F f) {
    return plan(name, workspaceSize, executor, [&](Planner &planner) {
        planner.from(rules.source);
        planner.rule(rules.null).given({{"self", selfTensor}, {"out", outTensor}});
        planner.rule(rules.types);
        const Operand self = planner.input("self", selfTensor, types), out = planner.output("out", outTensor, outTypes);
        if (rules.promote == rules.types) planner.requireType(out, self.view.type);
        else planner.rule(rules.promote).requireCast(self.view.type, out.view.type, "self");
        planner.strict().requireType(out, self.view.type);
        planner.rule(rules.shape).requireDims(out, self.view.dims);
        runEach(planner, self, out, f);
    });
}

static float silu(float x) { return x / (1 + std::exp(-x)); }

}  // namespace emulator

using namespace emulator;

// Arithmetic

/// Checks that the scalar exists; its value, or 0.
static ScalarValue valueOf(const aclScalar *scalar) {
    static const aclScalar none{};
    return ScalarValue(scalar == nullptr ? none : *scalar);
}

/// CheckPromoteType of Add and Sub: the factor is converted to the result's type, and bool requires whole ones.
static void checkFactor(Planner &planner, const aclScalar *alpha, const aclTensor *self) {
    planner.given({{"alpha", alpha}});
    planner.scalar("alpha", alpha);
    if (self != nullptr) planner.rule("CheckPromoteType").requireCast(alpha->type, self->view.type, "alpha");
}

aclnnStatus aclnnInplaceAddGetWorkspaceSize(aclTensor *selfTensor, const aclTensor *otherTensor, const aclScalar *alpha, PLAN_ARGUMENTS) {
    return plan("aclnnInplaceAdd", workspaceSize, executor, [&](Planner &planner) {
        planner.from("ops-math math/add/op_api/aclnn_add.cpp");
        planner.rule("CheckInplace").given({{"selfRef", selfTensor}, {"other", otherTensor}});
        checkFactor(planner.rule("CheckNotNull"), alpha, selfTensor);
        planner.rule("CheckParams");
        const Operand other = planner.input("other", otherTensor, anything), self = planner.inplace("selfRef", selfTensor, anything);
        planner.rule("CheckPromoteType").requireCast(other.view.type, self.view.type, "other");
        planner.strict().requireType(other, self.view.type);
        planner.rule("CheckInplace");
        const ScalarValue factor(*alpha);
        runPairs(planner, self, other, self, [factor](auto x, auto y) { return x + factor.as(y) * y; });
    });
}
EMULATED_PHASE_2(InplaceAdd)

aclnnStatus aclnnSubGetWorkspaceSize(
    const aclTensor *selfTensor, const aclTensor *otherTensor, const aclScalar *alpha, aclTensor *outTensor, PLAN_ARGUMENTS) {
    return plan("aclnnSub", workspaceSize, executor, [&](Planner &planner) {
        planner.from("ops-math math/sub/op_api/aclnn_sub.cpp");
        planner.rule("CheckNotNull").given({{"self", selfTensor}, {"other", otherTensor}, {"out", outTensor}});
        checkFactor(planner, alpha, selfTensor);
        planner.rule("CheckParams");
        const Operand self = planner.input("self", selfTensor, anything), other = planner.input("other", otherTensor, anything);
        const Operand out = planner.strict().output("out", outTensor, anything);
        planner.rule("CheckPromoteType").requireCast(self.view.type, out.view.type, "the result");
        planner.strict().requireType(other, self.view.type);
        planner.requireType(out, self.view.type);
        planner.rule("CheckShape");
        const ScalarValue factor(*alpha);
        runPairs(planner, self, other, out, [factor](auto x, auto y) {
            if constexpr (std::is_same_v<decltype(x), float>) return x - factor.as(y) * y;
            else return (int64_t)((uint64_t)x - (uint64_t)factor.as(y) * (uint64_t)y);
        });
    });
}
EMULATED_PHASE_2(Sub)

static const char *const mulSource = "ops-math math/mul/op_api/aclnn_mul.cpp";

aclnnStatus aclnnMulGetWorkspaceSize(const aclTensor *self, const aclTensor *other, aclTensor *out, PLAN_ARGUMENTS) {
    const Rules rules = {mulSource, "CheckMulNotNull", "CheckMulDtype", "CheckMulShape", "CheckMulPromoteType"};
    return binary("aclnnMul", rules, self, other, out, anything, anything, workspaceSize, executor, [](auto x, auto y) { return x * y; });
}
EMULATED_PHASE_2(Mul)

aclnnStatus aclnnInplaceMulGetWorkspaceSize(aclTensor *self, const aclTensor *other, PLAN_ARGUMENTS) {
    const Rules rules = {
        mulSource, "CheckInplaceMulNotNull", "CheckInplaceMulDtype", "CheckInplaceMulShape",
        "CheckInplaceMulPromoteType"};
    return binaryInplace("aclnnInplaceMul", rules, self, other, anything, workspaceSize, executor, [](auto x, auto y) { return x * y; });
}
EMULATED_PHASE_2(InplaceMul)

/// On 950 the result of a tensor and a scalar has the tensor's kind, or the scalar's if that is a float
/// (GetScalarDefaultDtype, CombineCategoriesWithComplex of the sources of Mul, Div and Clamp): whether that can be cast
/// to `out`.
static void check950Cast(Planner &planner, const aclScalar &scalar, const Operand &self, const Operand &out) {
    if (profile().chip != Chip::a5) return;
    planner.requireCast(isFloat(scalar.type) ? ACL_FLOAT : self.view.type, out.view.type, "what self and the scalar make");
}

aclnnStatus aclnnInplaceMulsGetWorkspaceSize(aclTensor *selfTensor, const aclScalar *other, PLAN_ARGUMENTS) {
    return plan("aclnnInplaceMuls", workspaceSize, executor, [&](Planner &planner) {
        planner.from(mulSource);
        planner.rule("CheckInplaceMulsNotNull").given({{"selfRef", selfTensor}, {"other", other}});
        const Operand self = planner.rule("CheckInplaceMulsParams").inplace("selfRef", selfTensor, anything);
        const ScalarValue factor(planner.scalar("other", other));
        check950Cast(planner.rule("CheckMulsPromoteDtype"), *other, self, self);
        if (!isFloat(self.view.type)) planner.strict().invalid("the emulator multiplies floats alone by a scalar");
        runEach(planner, self, self, [factor](auto x) { return x * factor.as(x); });
    });
}
EMULATED_PHASE_2(InplaceMuls)

static const char *const divSource = "ops-math math/div/op_api/aclnn_div.cpp";

aclnnStatus aclnnDivGetWorkspaceSize(const aclTensor *self, const aclTensor *other, aclTensor *out, PLAN_ARGUMENTS) {
    const Rules rules = {divSource, "CheckNotNull", "CheckDtypeValid", "CheckShape", "CheckPromoteType"};
    return binary("aclnnDiv", rules, self, other, out, anything, anything, workspaceSize, executor, [](auto x, auto y) {
        return y == 0 && !std::is_floating_point_v<decltype(y)> ? x : x / y;
    });
}
EMULATED_PHASE_2(Div)

aclnnStatus aclnnDivsGetWorkspaceSize(const aclTensor *selfTensor, const aclScalar *other, aclTensor *outTensor, PLAN_ARGUMENTS) {
    return plan("aclnnDivs", workspaceSize, executor, [&](Planner &planner) {
        planner.from(divSource);
        planner.rule("CheckNotNullScalar").given({{"self", selfTensor}, {"other", other}, {"out", outTensor}});
        planner.rule("CheckDtypeValidScalar");
        const Operand self = planner.input("self", selfTensor, anything);
        const ScalarValue divisor(planner.scalar("other", other));
        const Operand out = planner.strict().output("out", outTensor, anything);
        planner.rule("CheckShapeScalar").requireDims(out, self.view.dims);
        planner.rule("CheckPromoteTypeScalar").requireCast(self.view.type, out.view.type, "self");
        check950Cast(planner, *other, self, out);
        planner.strict().requireType(out, self.view.type);
        if (!isFloat(self.view.type)) planner.invalid("the emulator divides floats alone by a scalar");
        runEach(planner, self, out, [divisor](auto x) { return x / (decltype(x))divisor.real; });
    });
}
EMULATED_PHASE_2(Divs)

/// aclnnClampCommon.
template <class F>
static aclnnStatus clamp(
    const char *name, const aclTensor *selfTensor, std::initializer_list<const aclScalar *> bounds, aclTensor *outTensor,
    PLAN_ARGUMENTS, F f) {
    return plan(name, workspaceSize, executor, [&](Planner &planner) {
        planner.from("ops-math conversion/clip_by_value_v2/op_api/aclnn_clamp.cpp");
        planner.rule("CheckNotNull").given({{"self", selfTensor}, {"out", outTensor}});
        planner.rule("CheckDtypeValid");
        const Types types = numbers | small;
        const Operand self = planner.input("self", selfTensor, types), out = planner.output("out", outTensor, types);
        planner.rule("CheckShape").requireDims(out, self.view.dims);
        for (const aclScalar *bound : bounds) {
            planner.scalar("a bound", bound);
            check950Cast(planner.rule("ClampPromoteType"), *bound, self, out);
        }
        planner.rule("CheckSelfCanCastOut").requireCast(self.view.type, out.view.type, "self");
        planner.strict().requireType(out, self.view.type);
        runEach(planner, self, out, f);
    });
}

aclnnStatus aclnnClampMinGetWorkspaceSize(const aclTensor *self, const aclScalar *minimum, aclTensor *out, PLAN_ARGUMENTS) {
    const ScalarValue least = valueOf(minimum);
    return clamp("aclnnClampMin", self, {minimum}, out, workspaceSize, executor, [=](auto x) { return x < least.as(x) ? least.as(x) : x; });
}
EMULATED_PHASE_2(ClampMin)

/// The source accepts one bound as missing; the emulator requires both.
aclnnStatus aclnnClampGetWorkspaceSize(
    const aclTensor *self, const aclScalar *minimum, const aclScalar *maximum, aclTensor *out, PLAN_ARGUMENTS) {
    const ScalarValue least = valueOf(minimum), most = valueOf(maximum);
    return clamp("aclnnClamp", self, {minimum, maximum}, out, workspaceSize, executor, [=](auto x) {
        return x < least.as(x) ? least.as(x) : x > most.as(x) ? most.as(x) : x;
    });
}
EMULATED_PHASE_2(Clamp)

aclnnStatus aclnnAbsGetWorkspaceSize(const aclTensor *self, aclTensor *out, PLAN_ARGUMENTS) {
    const Rules rules = {
        "ops-math math/abs/op_api/aclnn_abs.cpp", "CheckNotNull", "CheckDtypeValid", "CheckShape",
        "CheckDtypeValid"};
    return unary("aclnnAbs", rules, self, out, anything, anything, workspaceSize, executor, [](auto x) { return x < 0 ? -x : x; });
}
EMULATED_PHASE_2(Abs)

aclnnStatus aclnnLogGetWorkspaceSize(const aclTensor *self, aclTensor *out, PLAN_ARGUMENTS) {
    const Rules rules = {
        "ops-math math/log/op_api/aclnn_log.cpp", "CheckNotNull2Tensor", "CheckDtypeValid1In1Out", "CheckSameShape1In1Out",
        "CheckPromoteType"};
    return unary("aclnnLog", rules, self, out, anything, floats, workspaceSize, executor, [](auto x) { return (float)std::log((double)x); });
}
EMULATED_PHASE_2(Log)

// Activations

aclnnStatus aclnnSiluGetWorkspaceSize(const aclTensor *self, aclTensor *out, PLAN_ARGUMENTS) {
    const Rules rules = {
        "ops-nn activation/swish/op_api/aclnn_silu.cpp", "CheckNotNull", "CheckDtypeValidActivation", "CheckSameShapeNotlimit1In1Out",
        "CheckDtypeValidActivation"};
    return unary("aclnnSilu", rules, self, out, floats, floats, workspaceSize, executor, [](auto x) { return silu((float)x); });
}
EMULATED_PHASE_2(Silu)

aclnnStatus aclnnReluGetWorkspaceSize(const aclTensor *self, aclTensor *out, PLAN_ARGUMENTS) {
    const Rules rules = {
        "ops-nn activation/relu/op_api/aclnn_relu.cpp", "CheckNotNull", "CheckDtypeValid", "CheckShape",
        "CheckDtypeValid"};
    return unary("aclnnRelu", rules, self, out, numbers | small, anything, workspaceSize, executor, [](auto x) { return x < 0 ? 0 : x; });
}
EMULATED_PHASE_2(Relu)

/// Every approximation except 1 means none (GetApproximateStr).
aclnnStatus aclnnGeluV2GetWorkspaceSize(const aclTensor *x, int64_t approximate, aclTensor *y, PLAN_ARGUMENTS) {
    const Rules rules = {
        "ops-nn activation/gelu_v2/op_api/aclnn_gelu_v2.cpp", "CheckNotNull", "CheckDtypeValid", "CheckShape",
        "CheckDtypeValid"};
    return unary("aclnnGeluV2", rules, x, y, floats, anything, workspaceSize, executor, [approximate](auto value) {
        const float v = (float)value;
        if (approximate != 1) return 0.5f * v * (1 + std::erf(v * (float)M_SQRT1_2));
        return 0.5f * v * (1 + std::tanh(0.7978845608f * (v + 0.044715f * v * v * v)));
    });
}
EMULATED_PHASE_2(GeluV2)

/// Generated: the definition's types, and its tiling's requirements.
aclnnStatus aclnnSwiGluGetWorkspaceSize(const aclTensor *xTensor, int64_t dim, const aclTensor *outTensor, PLAN_ARGUMENTS) {
    return plan("aclnnSwiGlu", workspaceSize, executor, [&](Planner &planner) {
        planner.from("ops-nn activation/swi_glu/op_host/swi_glu_def.cpp");
        planner.rule("SwiGlu").given({{"x", xTensor}, {"out", outTensor}});
        const Operand x = planner.input("x", xTensor, floats), out = planner.output("out", outTensor, floats);
        planner.requireType(out, x.view.type);
        // Its document accepts no non-contiguous operand; the definition of 9.x makes x contiguous, and the behaviour
        // of 8.1 is not public.
        planner.strict();
        if (!x.view.isContiguous() || !out.view.isContiguous()) planner.invalid("x and out must be contiguous");
        planner.from("ops-nn activation/swi_glu/op_host/swi_glu_tiling.cpp");
        planner.rule("SetTotalShape");
        std::vector<int64_t> dims = x.view.dims;
        const int64_t rank = (int64_t)dims.size();
        if (dim < -rank || dim >= rank) planner.untiled(format("there is no dimension %lld", (long long)dim));
        const size_t axis = (size_t)(dim < 0 ? dim + rank : dim);
        int64_t columns = 1;
        for (size_t place = axis; place < dims.size(); place++) columns *= dims[place];
        if (columns % 2 != 0) planner.untiled(format("x has shape %s, which cannot be halved", described(dims).c_str()));
        if (profile().is310P() && columns / 2 * (int64_t)sizeOf(x.view.type) % 64 != 0) {
            planner.rule("CalcTiling").untiled("a half of a row is no multiple of 64 bytes, which this chip asks for");
        }
        planner.strict();
        if (axis + 1 != dims.size()) planner.invalid("the emulator halves the last dimension alone");
        const size_t half = (size_t)(dims[axis] /= 2);
        planner.requireDims(out, dims);
        planner.run([=](Execution &execution) {
            const std::vector<float> values = execution.loadFloats(x);
            std::vector<float> result((size_t)out.view.count());
            for (size_t element = 0; element < result.size(); element++) {
                const size_t place = element / half * 2 * half + element % half;
                result[element] = silu(values[place]) * values[place + half];
            }
            execution.store(out, result);
        });
    });
}
EMULATED_PHASE_2(SwiGlu)
