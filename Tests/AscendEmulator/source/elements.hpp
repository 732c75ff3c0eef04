// Shared by element-wise operators: broadcasting, and scalars.

#pragma once

#include "executor.hpp"
#include "functions.hpp"

namespace emulator {

/// Calls `visit` with the places, in two broadcast operands, of every element of `dims`.
template <class Visit>
void forEachPair(const View &left, const View &right, const std::vector<int64_t> &dims, Visit visit) {
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

/// `out = f(left, right)` over the broadcast shape, which `out` must have, in floats or in integers like the operands.
template <class F>
void runPairs(Planner &planner, const Operand &left, const Operand &right, const Operand &out, F f) {
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

/// `out = f(self)`, in floats or in integers like `self`.
template <class F>
void runEach(Planner &planner, const Operand &self, const Operand &out, F f) {
    const auto apply = [=](Execution &execution, auto values) {
        for (auto &value : values) value = f(value);
        execution.store(out, values);
    };
    if (isFloat(self.view.type)) {
        planner.run([=](Execution &execution) { apply(execution, execution.loadFloats(self)); });
    } else {
        planner.run([=](Execution &execution) { apply(execution, execution.loadIntegers(self)); });
    }
}

/// The source of an operator's rules and the names of its functions.
struct Rules {
    const char *source, *null, *types, *shape, *promote = nullptr;
};

/// Both values of a scalar, in the operand's type.
struct ScalarValue {
    float real;
    int64_t integer;

    ScalarValue(const aclScalar &scalar) : real((float)scalar.real), integer(scalar.integer) {}
    float as(float) const { return real; }
    int64_t as(int64_t) const { return integer; }
};

}  // namespace emulator

#define PLAN_ARGUMENTS uint64_t *workspaceSize, aclOpExecutor **executor
