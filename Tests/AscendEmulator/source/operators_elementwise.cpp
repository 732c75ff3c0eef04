// Operators that take elements one by one: arithmetic with numpy's broadcasting, activations, comparisons, masks, moves.
// Refusals of Sub, Mul, Clamp, Log, GtTensor, EqScalar, LogicalOr, BitwiseAndTensor, InplaceMaskedFillScalar and InplaceCopy are those
// of ops-math, math/*/op_api/aclnn_*.cpp and conversion/{clip_by_value_v2,masked_fill,view_copy}/op_api/aclnn_*.cpp, but for types that
// differ, which real software promotes; those of the others are their documents'.

#include <algorithm>
#include <cmath>

#include "executor.hpp"
#include "functions.hpp"

namespace emulator {

static bool isFloat(aclDataType type) { return type == ACL_FLOAT || type == ACL_FLOAT16 || type == ACL_BF16; }

/// Calls `visit` with the places, in two broadcast operands, of every element of `dims`.
template <class Visit>
static void forEachPair(const View &left, const View &right, const std::vector<int64_t> &dims, Visit visit) {
    const std::vector<int64_t> a = broadcastStrides(left, dims), b = broadcastStrides(right, dims);
    std::vector<int64_t> index(dims.size(), 0);
    int64_t count = 1, x = 0, y = 0;
    for (int64_t extent : dims) count *= extent;
    for (int64_t element = 0; element < count; element++) {
        visit((size_t)element, (size_t)x, (size_t)y);
        for (size_t axis = dims.size(); axis-- > 0;) {
            x += a[axis];
            y += b[axis];
            if (++index[axis] < dims[axis]) break;
            x -= dims[axis] * a[axis];
            y -= dims[axis] * b[axis];
            index[axis] = 0;
        }
    }
}

/// `out = f(left, right)` over the broadcast shape, in floats or in integers as the operands are.
template <class F>
static void runPairs(Planner &planner, const Operand &left, const Operand &right, const Operand &out, F f) {
    const std::vector<int64_t> dims = planner.broadcast(left, right);
    planner.requireDims(out, dims);
    const auto apply = [=](Execution &execution, const auto &a, const auto &b) {
        auto result = a;
        result.resize((size_t)out.view.count());
        forEachPair(left.view, right.view, dims, [&](size_t element, size_t x, size_t y) { result[element] = f(a[x], b[y]); });
        execution.store(out, result);
    };
    if (isFloat(left.view.type)) {
        planner.run([=](Execution &execution) { apply(execution, execution.loadFloats(left), execution.loadFloats(right)); });
    } else {
        planner.run([=](Execution &execution) { apply(execution, execution.loadIntegers(left), execution.loadIntegers(right)); });
    }
}

/// An operator of two tensors of one type. Real software promotes; here types that differ are a mistake.
template <class F>
static aclnnStatus binary(
    const char *name, const aclTensor *selfTensor, const aclTensor *otherTensor, aclTensor *outTensor, Types types,
    uint64_t *workspaceSize, aclOpExecutor **executor, F f) {
    return plan(name, workspaceSize, executor, [&](Planner &planner) {
        const Operand self = planner.input("self", selfTensor, types), other = planner.input("other", otherTensor, types);
        const Operand out = planner.output("out", outTensor, types);
        planner.requireType(other, self.view.type);
        planner.requireType(out, self.view.type);
        runPairs(planner, self, other, out, f);
    });
}

template <class F>
static aclnnStatus binaryInplace(
    const char *name, aclTensor *selfTensor, const aclTensor *otherTensor, Types types, uint64_t *workspaceSize,
    aclOpExecutor **executor, F f) {
    return plan(name, workspaceSize, executor, [&](Planner &planner) {
        const Operand other = planner.input("other", otherTensor, types), self = planner.inplace("selfRef", selfTensor, types);
        planner.requireType(other, self.view.type);
        runPairs(planner, self, other, self, f);
    });
}

/// An operator of one tensor.
template <class F>
static aclnnStatus unary(
    const char *name, const aclTensor *selfTensor, aclTensor *outTensor, Types types, uint64_t *workspaceSize,
    aclOpExecutor **executor, F f) {
    return plan(name, workspaceSize, executor, [&](Planner &planner) {
        const Operand self = planner.input("self", selfTensor, types), out = planner.output("out", outTensor, types);
        planner.requireDims(out, self.view.dims);
        planner.requireType(out, self.view.type);
        const auto apply = [=](Execution &execution, auto values) {
            for (auto &value : values) value = f(value);
            execution.store(out, values);
        };
        if (isFloat(self.view.type)) {
            planner.run([=](Execution &execution) { apply(execution, execution.loadFloats(self)); });
        } else {
            planner.run([=](Execution &execution) { apply(execution, execution.loadIntegers(self)); });
        }
    });
}

/// A comparison: the result is bool.
template <class F>
static aclnnStatus comparison(
    const char *name, const aclTensor *selfTensor, const aclTensor *otherTensor, aclTensor *outTensor, Types types,
    uint64_t *workspaceSize, aclOpExecutor **executor, F f) {
    return plan(name, workspaceSize, executor, [&](Planner &planner) {
        const Operand self = planner.input("self", selfTensor, types), other = planner.input("other", otherTensor, types);
        const Operand out = planner.output("out", outTensor, boolean);
        planner.requireType(other, self.view.type);
        runPairs(planner, self, other, out, f);
    });
}

/// Both values of a scalar, as the operand's type has them.
struct ScalarValue {
    float real;
    int64_t integer;

    ScalarValue(const aclScalar &scalar) : real((float)scalar.real), integer(scalar.integer) {}
    float as(float) const { return real; }
    int64_t as(int64_t) const { return integer; }
};

static float silu(float x) { return x / (1 + std::exp(-x)); }

}  // namespace emulator

using namespace emulator;

#define PLAN_ARGUMENTS uint64_t *workspaceSize, aclOpExecutor **executor

// Arithmetic

/// Whether the factor can be taken: not one in floating point for integers (opbase data_type_utils.h, CanCast; ops-math
/// aclnn_sub.cpp, CheckPromoteType).
static bool isFactor(const aclTensor *self, const aclScalar *alpha) {
    return alpha != nullptr && (self == nullptr || isFloat(self->view.type) || !isFloat(alpha->type));
}

static aclnnStatus refuseFactor(const char *name, const aclTensor *self, const aclScalar *alpha, PLAN_ARGUMENTS) {
    return plan(name, workspaceSize, executor, [&](Planner &planner) {
        planner.scalar("alpha", alpha);
        planner.invalid(format("alpha is %s, which cannot be cast to %s", nameOf(alpha->type), nameOf(self->view.type)));
    });
}

aclnnStatus aclnnInplaceAddGetWorkspaceSize(aclTensor *self, const aclTensor *other, const aclScalar *alpha, PLAN_ARGUMENTS) {
    if (!isFactor(self, alpha)) return refuseFactor("aclnnInplaceAdd", self, alpha, workspaceSize, executor);
    const ScalarValue factor(*alpha);
    return binaryInplace("aclnnInplaceAdd", self, other, numbers, workspaceSize, executor, [factor](auto x, auto y) {
        return x + factor.as(y) * y;
    });
}
EMULATED_PHASE_2(InplaceAdd)

aclnnStatus aclnnSubGetWorkspaceSize(
    const aclTensor *self, const aclTensor *other, const aclScalar *alpha, aclTensor *out, PLAN_ARGUMENTS) {
    if (!isFactor(self, alpha)) return refuseFactor("aclnnSub", self, alpha, workspaceSize, executor);
    const ScalarValue factor(*alpha);
    return binary("aclnnSub", self, other, out, numbers, workspaceSize, executor, [factor](auto x, auto y) {
        if constexpr (std::is_same_v<decltype(x), float>) return x - factor.as(y) * y;
        else return (int64_t)((uint64_t)x - (uint64_t)factor.as(y) * (uint64_t)y);
    });
}
EMULATED_PHASE_2(Sub)

aclnnStatus aclnnMulGetWorkspaceSize(const aclTensor *self, const aclTensor *other, aclTensor *out, PLAN_ARGUMENTS) {
    return binary("aclnnMul", self, other, out, numbers, workspaceSize, executor, [](auto x, auto y) { return x * y; });
}
EMULATED_PHASE_2(Mul)

aclnnStatus aclnnInplaceMulGetWorkspaceSize(aclTensor *self, const aclTensor *other, PLAN_ARGUMENTS) {
    return binaryInplace("aclnnInplaceMul", self, other, numbers, workspaceSize, executor, [](auto x, auto y) { return x * y; });
}
EMULATED_PHASE_2(InplaceMul)

aclnnStatus aclnnInplaceMulsGetWorkspaceSize(aclTensor *selfTensor, const aclScalar *other, PLAN_ARGUMENTS) {
    return plan("aclnnInplaceMuls", workspaceSize, executor, [&](Planner &planner) {
        const Operand self = planner.inplace("selfRef", selfTensor, floats);
        const ScalarValue factor(planner.scalar("other", other));
        planner.run([=](Execution &execution) {
            std::vector<float> values = execution.loadFloats(self);
            for (float &value : values) value *= factor.real;
            execution.store(self, values);
        });
    });
}
EMULATED_PHASE_2(InplaceMuls)

aclnnStatus aclnnDivGetWorkspaceSize(const aclTensor *self, const aclTensor *other, aclTensor *out, PLAN_ARGUMENTS) {
    return binary("aclnnDiv", self, other, out, floats, workspaceSize, executor, [](auto x, auto y) { return x / y; });
}
EMULATED_PHASE_2(Div)

/// An operator of a tensor and one or two scalars, which are checked before they are read.
template <class F>
static aclnnStatus withScalars(
    const char *name, const aclTensor *self, const aclScalar *first, const aclScalar *second, aclTensor *out, Types types,
    PLAN_ARGUMENTS, F f) {
    if (first == nullptr || second == nullptr) {
        return plan(name, workspaceSize, executor, [](Planner &planner) { planner.scalar("a scalar", nullptr); });
    }
    const ScalarValue one(*first), two(*second);
    return unary(name, self, out, types, workspaceSize, executor, [=](auto x) { return f(x, one.as(x), two.as(x)); });
}

aclnnStatus aclnnDivsGetWorkspaceSize(const aclTensor *self, const aclScalar *other, aclTensor *out, PLAN_ARGUMENTS) {
    return withScalars("aclnnDivs", self, other, other, out, floats, workspaceSize, executor, [](auto x, auto y, auto) { return x / y; });
}
EMULATED_PHASE_2(Divs)

aclnnStatus aclnnClampMinGetWorkspaceSize(const aclTensor *self, const aclScalar *minimum, aclTensor *out, PLAN_ARGUMENTS) {
    return withScalars("aclnnClampMin", self, minimum, minimum, out, numbers, workspaceSize, executor, [](auto x, auto least, auto) {
        return x < least ? least : x;
    });
}
EMULATED_PHASE_2(ClampMin)

aclnnStatus aclnnClampGetWorkspaceSize(
    const aclTensor *self, const aclScalar *minimum, const aclScalar *maximum, aclTensor *out, PLAN_ARGUMENTS) {
    return withScalars("aclnnClamp", self, minimum, maximum, out, numbers, workspaceSize, executor, [](auto x, auto least, auto most) {
        return x < least ? least : x > most ? most : x;
    });
}
EMULATED_PHASE_2(Clamp)

aclnnStatus aclnnAbsGetWorkspaceSize(const aclTensor *self, aclTensor *out, PLAN_ARGUMENTS) {
    return unary("aclnnAbs", self, out, floats, workspaceSize, executor, [](auto x) { return x < 0 ? -x : x; });
}
EMULATED_PHASE_2(Abs)

aclnnStatus aclnnLogGetWorkspaceSize(const aclTensor *self, aclTensor *out, PLAN_ARGUMENTS) {
    return unary("aclnnLog", self, out, floats, workspaceSize, executor, [](auto x) { return (float)std::log((double)x); });
}
EMULATED_PHASE_2(Log)

// Activations

aclnnStatus aclnnSiluGetWorkspaceSize(const aclTensor *self, aclTensor *out, PLAN_ARGUMENTS) {
    return unary("aclnnSilu", self, out, floats, workspaceSize, executor, [](auto x) { return silu((float)x); });
}
EMULATED_PHASE_2(Silu)

aclnnStatus aclnnReluGetWorkspaceSize(const aclTensor *self, aclTensor *out, PLAN_ARGUMENTS) {
    return unary("aclnnRelu", self, out, floats, workspaceSize, executor, [](auto x) { return x < 0 ? 0 : x; });
}
EMULATED_PHASE_2(Relu)

aclnnStatus aclnnGeluV2GetWorkspaceSize(const aclTensor *x, int64_t approximate, aclTensor *y, PLAN_ARGUMENTS) {
    return unary("aclnnGeluV2", x, y, floats, workspaceSize, executor, [approximate](auto value) {
        const float v = (float)value;
        if (approximate == 0) return 0.5f * v * (1 + std::erf(v * (float)M_SQRT1_2));
        return 0.5f * v * (1 + std::tanh(0.7978845608f * (v + 0.044715f * v * v * v)));
    });
}
EMULATED_PHASE_2(GeluV2)

aclnnStatus aclnnSwiGluGetWorkspaceSize(const aclTensor *xTensor, int64_t dim, const aclTensor *outTensor, PLAN_ARGUMENTS) {
    return plan("aclnnSwiGlu", workspaceSize, executor, [&](Planner &planner) {
        const Operand x = planner.input("x", xTensor, floats), out = planner.output("out", outTensor, floats);
        const size_t axis = planner.axis(dim, x);
        if (axis + 1 != x.view.dims.size() || x.view.dims[axis] % 2 != 0) planner.invalid("the last dimension must be even");
        std::vector<int64_t> dims = x.view.dims;
        const size_t half = (size_t)(dims[axis] /= 2);
        planner.requireDims(out, dims);
        planner.requireType(out, x.view.type);
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

// Comparisons and masks

aclnnStatus aclnnGtTensorGetWorkspaceSize(const aclTensor *self, const aclTensor *other, aclTensor *out, PLAN_ARGUMENTS) {
    return comparison("aclnnGtTensor", self, other, out, numbers, workspaceSize, executor, [](auto x, auto y) { return x > y; });
}
EMULATED_PHASE_2(GtTensor)

aclnnStatus aclnnNeTensorGetWorkspaceSize(const aclTensor *self, const aclTensor *other, aclTensor *out, PLAN_ARGUMENTS) {
    return comparison("aclnnNeTensor", self, other, out, numbers, workspaceSize, executor, [](auto x, auto y) { return x != y; });
}
EMULATED_PHASE_2(NeTensor)

aclnnStatus aclnnEqScalarGetWorkspaceSize(const aclTensor *selfTensor, const aclScalar *other, aclTensor *outTensor, PLAN_ARGUMENTS) {
    return plan("aclnnEqScalar", workspaceSize, executor, [&](Planner &planner) {
        const Operand self = planner.input("self", selfTensor, numbers | u8), out = planner.output("out", outTensor, boolean);
        const ScalarValue value(planner.scalar("other", other));
        planner.requireDims(out, self.view.dims);
        planner.run([=](Execution &execution) {
            std::vector<float> values = execution.loadFloats(self);
            for (float &element : values) element = element == value.real;
            execution.store(out, values);
        });
    });
}
EMULATED_PHASE_2(EqScalar)

aclnnStatus aclnnLogicalOrGetWorkspaceSize(const aclTensor *self, const aclTensor *other, aclTensor *out, PLAN_ARGUMENTS) {
    return comparison("aclnnLogicalOr", self, other, out, boolean, workspaceSize, executor, [](auto x, auto y) { return x != 0 || y != 0; });
}
EMULATED_PHASE_2(LogicalOr)

aclnnStatus aclnnBitwiseAndTensorGetWorkspaceSize(const aclTensor *self, const aclTensor *other, aclTensor *out, PLAN_ARGUMENTS) {
    return binary("aclnnBitwiseAndTensor", self, other, out, integers | u8 | boolean, workspaceSize, executor, [](auto x, auto y) {
        return (decltype(x))((int64_t)x & (int64_t)y);
    });
}
EMULATED_PHASE_2(BitwiseAndTensor)

aclnnStatus aclnnInplaceMaskedFillScalarGetWorkspaceSize(
    aclTensor *selfTensor, const aclTensor *maskTensor, const aclScalar *value, PLAN_ARGUMENTS) {
    return plan("aclnnInplaceMaskedFillScalar", workspaceSize, executor, [&](Planner &planner) {
        const Operand mask = planner.input("mask", maskTensor, boolean), self = planner.inplace("selfRef", selfTensor, floats);
        const ScalarValue fill(planner.scalar("value", value));
        planner.requireDims(self, planner.broadcast(self, mask));
        planner.run([=](Execution &execution) {
            std::vector<float> values = execution.loadFloats(self);
            const std::vector<float> masked = execution.loadFloats(mask);
            forEachPair(self.view, mask.view, self.view.dims, [&](size_t element, size_t, size_t place) {
                if (masked[place] != 0) values[element] = fill.real;
            });
            execution.store(self, values);
        });
    });
}
EMULATED_PHASE_2(InplaceMaskedFillScalar)

// Moves

/// `to = from` in the type of `to`, broadcast.
static void runMove(Planner &planner, const Operand &from, const Operand &to) {
    planner.requireDims(to, planner.broadcast(to, from));
    const auto apply = [=](Execution &execution, const auto &values) {
        auto result = values;
        result.resize((size_t)to.view.count());
        forEachPair(to.view, from.view, to.view.dims, [&](size_t element, size_t, size_t place) { result[element] = values[place]; });
        execution.store(to, result);
    };
    if (isFloat(from.view.type)) planner.run([=](Execution &execution) { apply(execution, execution.loadFloats(from)); });
    else planner.run([=](Execution &execution) { apply(execution, execution.loadIntegers(from)); });
}

aclnnStatus aclnnCastGetWorkspaceSize(const aclTensor *selfTensor, aclDataType type, aclTensor *outTensor, PLAN_ARGUMENTS) {
    return plan("aclnnCast", workspaceSize, executor, [&](Planner &planner) {
        const Operand self = planner.input("self", selfTensor, anything), out = planner.output("out", outTensor, anything);
        planner.requireType(out, type);
        planner.requireDims(out, self.view.dims);
        runMove(planner, self, out);
    });
}
EMULATED_PHASE_2(Cast)

aclnnStatus aclnnInplaceCopyGetWorkspaceSize(aclTensor *selfTensor, const aclTensor *sourceTensor, PLAN_ARGUMENTS) {
    return plan("aclnnInplaceCopy", workspaceSize, executor, [&](Planner &planner) {
        const Operand source = planner.input("source", sourceTensor, anything), self = planner.inplace("selfRef", selfTensor, anything);
        runMove(planner, source, self);
        // It copies inside.
        planner.isRepeatable = false;
    });
}
EMULATED_PHASE_2(InplaceCopy)
