// Comparisons, masks, and moves between types and strides. Every rule carries the name of its function in the source;
// differing types, which real software promotes, are refused.

#include "elements.hpp"
#include "profile.hpp"

namespace emulator {

/// A comparison of two tensors. The result is bool, which the sources cast to any type: the emulator accepts only bool.
template <class F>
static aclnnStatus comparison(
    const char *name, Rules rules, const aclTensor *selfTensor, const aclTensor *otherTensor, aclTensor *outTensor, Types types,
    PLAN_ARGUMENTS, F f) {
    return plan(name, workspaceSize, executor, [&](Planner &planner) {
        planner.from(rules.source);
        planner.rule(rules.null).given({{"self", selfTensor}, {"other", otherTensor}, {"out", outTensor}});
        planner.rule(rules.types);
        const Operand self = planner.input("self", selfTensor, types), other = planner.input("other", otherTensor, types);
        const Operand out = planner.output("out", outTensor, anything);
        planner.strict().requireType(other, self.view.type);
        planner.requireType(out, ACL_BOOL);
        planner.rule(rules.shape);
        runPairs(planner, self, other, out, f);
    });
}

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

}  // namespace emulator

using namespace emulator;

aclnnStatus aclnnGtTensorGetWorkspaceSize(const aclTensor *self, const aclTensor *other, aclTensor *out, PLAN_ARGUMENTS) {
    const Rules rules = {
        "ops-math math/greater/op_api/aclnn_gt_tensor.cpp", "CheckNotNull", "CheckDtypeValid", "CheckShape"};
    return comparison("aclnnGtTensor", rules, self, other, out, anything, workspaceSize, executor, [](auto x, auto y) { return x > y; });
}
EMULATED_PHASE_2(GtTensor)

aclnnStatus aclnnNeTensorGetWorkspaceSize(const aclTensor *self, const aclTensor *other, aclTensor *out, PLAN_ARGUMENTS) {
    const Rules rules = {
        "ops-math math/not_equal/op_api/aclnn_ne_tensor.cpp", "CheckNotNull", "CheckDtypeValid", "CheckOutShape"};
    return comparison("aclnnNeTensor", rules, self, other, out, anything, workspaceSize, executor, [](auto x, auto y) { return x != y; });
}
EMULATED_PHASE_2(NeTensor)

aclnnStatus aclnnLogicalOrGetWorkspaceSize(const aclTensor *self, const aclTensor *other, aclTensor *out, PLAN_ARGUMENTS) {
    const Rules rules = {
        "ops-math math/logical_or/op_api/aclnn_logical_or.cpp", "CheckNotNull", "CheckDtypeValid", "CheckShape"};
    return comparison("aclnnLogicalOr", rules, self, other, out, anything, workspaceSize, executor, [](auto x, auto y) {
        return x != 0 || y != 0;
    });
}
EMULATED_PHASE_2(LogicalOr)

aclnnStatus aclnnEqScalarGetWorkspaceSize(const aclTensor *selfTensor, const aclScalar *other, aclTensor *outTensor, PLAN_ARGUMENTS) {
    return plan("aclnnEqScalar", workspaceSize, executor, [&](Planner &planner) {
        planner.from("ops-math math/equal/op_api/aclnn_eq_scalar.cpp");
        planner.rule("CheckNotNull").given({{"self", selfTensor}, {"other", other}, {"out", outTensor}});
        planner.rule("CheckDtypeValid");
        // The list of 310P is that of Atlas A2 (GetInputDtypeSupportList, default).
        const Types types = profile().is310P() ? anything | onEveryChip : anything;
        const Operand self = planner.input("self", selfTensor, types), out = planner.output("out", outTensor, types);
        const ScalarValue value(planner.scalar("other", other));
        planner.strict().requireType(out, ACL_BOOL);
        planner.rule("CheckShape").requireDims(out, self.view.dims);
        planner.run([=](Execution &execution) {
            std::vector<float> values = execution.loadFloats(self);
            const float sought = isFloat(self.view.type) ? value.real : (float)value.integer;
            for (float &element : values) element = element == sought;
            execution.store(out, values);
        });
    });
}
EMULATED_PHASE_2(EqScalar)

aclnnStatus aclnnBitwiseAndTensorGetWorkspaceSize(
    const aclTensor *selfTensor, const aclTensor *otherTensor, aclTensor *outTensor, PLAN_ARGUMENTS) {
    return plan("aclnnBitwiseAndTensor", workspaceSize, executor, [&](Planner &planner) {
        planner.from("ops-math math/bitwise_and/op_api/aclnn_bitwise_and_tensor.cpp");
        planner.rule("CheckNotNull").given({{"self", selfTensor}, {"other", otherTensor}, {"out", outTensor}});
        planner.rule("CheckDtypeValid");
        const Types types = integers | small | boolean;
        const Operand self = planner.input("self", selfTensor, types), other = planner.input("other", otherTensor, types);
        const Operand out = planner.strict().output("out", outTensor, anything);
        planner.requireType(other, self.view.type);
        planner.requireType(out, self.view.type);
        planner.rule("CheckShape");
        runPairs(planner, self, other, out, [](auto x, auto y) { return (decltype(x))((int64_t)x & (int64_t)y); });
    });
}
EMULATED_PHASE_2(BitwiseAndTensor)

aclnnStatus aclnnInplaceMaskedFillScalarGetWorkspaceSize(
    aclTensor *selfTensor, const aclTensor *maskTensor, const aclScalar *value, PLAN_ARGUMENTS) {
    return plan("aclnnInplaceMaskedFillScalar", workspaceSize, executor, [&](Planner &planner) {
        planner.from("ops-math conversion/masked_fill/op_api/aclnn_masked_fill_scalar.cpp");
        planner.rule("CheckNotNull").given({{"selfRef", selfTensor}, {"mask", maskTensor}, {"value", value}});
        planner.rule("CheckDtypeValid");
        const Operand mask = planner.input("mask", maskTensor, boolean);
        const Operand self = planner.inplace("selfRef", selfTensor, numbers | i8 | boolean);
        const ScalarValue fill(planner.scalar("value", value));
        planner.rule("CheckShape").requireDims(self, planner.broadcast(self, mask));
        if (!isFloat(self.view.type)) planner.strict().invalid("the emulator fills floats alone");
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

/// Between pairs of types that the cores lack, the source leaves the work to an AI CPU (cast.cpp, Cast), and so refuses
/// none.
aclnnStatus aclnnCastGetWorkspaceSize(const aclTensor *selfTensor, aclDataType type, aclTensor *outTensor, PLAN_ARGUMENTS) {
    return plan("aclnnCast", workspaceSize, executor, [&](Planner &planner) {
        planner.from("ops-math math/cast/op_api/aclnn_cast.cpp");
        planner.rule("CheckNotNull").given({{"self", selfTensor}, {"out", outTensor}});
        planner.rule("CheckDtypeValid");
        if (type == ACL_BF16 && !profile().isA2OrLater()) planner.invalid(format("dtype cannot be bfloat16 on %s", profile().soc.c_str()));
        const Operand self = planner.input("self", selfTensor, anything), out = planner.strict().output("out", outTensor, anything);
        planner.requireType(out, type);
        planner.rule("CheckShape").requireDims(out, self.view.dims);
        runMove(planner, self, out);
    });
}
EMULATED_PHASE_2(Cast)

aclnnStatus aclnnInplaceCopyGetWorkspaceSize(aclTensor *selfTensor, const aclTensor *sourceTensor, PLAN_ARGUMENTS) {
    return plan("aclnnInplaceCopy", workspaceSize, executor, [&](Planner &planner) {
        planner.from("ops-math conversion/view_copy/op_api/aclnn_copy.cpp");
        planner.rule("CheckNotNull").given({{"selfRef", selfTensor}, {"src", sourceTensor}});
        // One list for all chips.
        planner.rule("CheckDtypeValid");
        const Operand source = planner.input("src", sourceTensor, anything | onEveryChip);
        const Operand self = planner.inplace("selfRef", selfTensor, anything | onEveryChip);
        planner.rule("CheckShape");
        runMove(planner, source, self);
        // It copies inside.
        planner.isRepeatable = false;
    });
}
EMULATED_PHASE_2(InplaceCopy)
