// The two phases of an operator call. Phase 1 checks the operands, copies the parts that it needs and makes an
// executor; phase 2 checks the workspace, uses up the executor and enqueues the work.

#pragma once

#include <atomic>
#include <functional>
#include <initializer_list>
#include <optional>

#include "calls.hpp"
#include "objects.hpp"

namespace emulator {

/// Element types as a set.
enum Types : uint32_t {
    f32 = 1, f16 = 2, bf16 = 4, i32 = 8, i64 = 16, u8 = 32, boolean = 64, i8 = 128,
    /// Includes bfloat16 on chips without it: a few lists of types are the same for all chips.
    onEveryChip = 256,
    floats = f32 | f16 | bf16,
    integers = i32 | i64,
    numbers = floats | integers,
    small = i8 | u8,
    anything = numbers | small | boolean,
};
bool isFloat(aclDataType type);
constexpr Types operator|(Types left, Types right) { return (Types)((uint32_t)left | (uint32_t)right); }

/// An operand of a planned call: its view in phase 1, and its place among all operands.
struct Operand {
    size_t index;
    View view;
};

/// A call while its task runs: reads and writes operands.
class Execution {
public:
    std::vector<View> views;
    std::string name;

    /// The elements in row-major order, widened.
    std::vector<float> loadFloats(const Operand &operand) const;
    std::vector<int64_t> loadIntegers(const Operand &operand) const;
    /// Writes the elements, rounded to the operand's type.
    void store(const Operand &operand, const std::vector<float> &values) const;
    void store(const Operand &operand, const std::vector<int64_t> &values) const;
    /// All bytes of a contiguous operand's storage.
    unsigned char *bytes(const Operand &operand, size_t size) const;
};

/// Phase 1 of one call. Rules of CANN's sources are checked under the name of the source's function, which a refusal
/// quotes; rules without a name are the emulator's own strictness, where real software promotes, is undefined or
/// continues.
class Planner {
public:
    Planner(const char *name) : name(name) {}

    /// The source of the rules: a repository and a path in it.
    void from(const char *source) { this->source = source; }
    /// The function of the source whose rules follow.
    Planner &rule(const char *function) {
        this->function = function;
        return *this;
    }
    /// The emulator's own rules follow.
    Planner &strict() { return rule(nullptr); }

    /// OP_CHECK_NULL: refuses with 161001.
    void given(std::initializer_list<std::pair<const char *, const void *>> operands);
    /// OP_CHECK_RESULT_DTYPE_CAST_FAILED: elements of one type may become those of another (opbase data_type_utils.h, CanCast).
    void requireCast(aclDataType from, aclDataType to, const char *what);

    /// Checks a tensor that is read. Refuses with 161001 or 161002.
    Operand input(const char *role, const aclTensor *tensor, Types types) { return operand(role, tensor, types, false); }
    /// Checks a tensor that is written, and that it does not overlap an input unless it is exactly the same view.
    Operand output(const char *role, const aclTensor *tensor, Types types);
    /// Checks a tensor that is read and written.
    Operand inplace(const char *role, const aclTensor *tensor, Types types);
    /// Checks a matrix that may be in FRACTAL_NZ.
    Operand weight(const char *role, const aclTensor *tensor, Types types);
    const aclScalar &scalar(const char *role, const aclScalar *scalar);
    std::vector<int64_t> integers(const char *role, const aclIntArray *array);
    const aclTensorList &list(const char *role, const aclTensorList *list);

    void requireRank(const Operand &operand, size_t rank);
    void requireType(const Operand &operand, aclDataType type);
    void requireDims(const Operand &operand, const std::vector<int64_t> &dims);
    /// An axis, negative ones counted from the end.
    size_t axis(int64_t dim, const Operand &operand);
    /// The broadcast shape of two operands, by numpy's rules.
    std::vector<int64_t> broadcast(const Operand &left, const Operand &right);
    /// Refuses with 161002.
    [[noreturn]] void invalid(const std::string &text) { deny(ACLNN_ERR_PARAM_INVALID, text); }
    /// Refuses like a failed tiling: a generated call passes its status on, 561002 (opbase indv_executor.cpp,
    /// NnopbaseExecutorDoTiling); in a composed one the inner operator returns NULL, 561103.
    [[noreturn]] void untiled(const std::string &text);

    /// Device memory that the call needs while it runs.
    void useWorkspace(size_t bytes) { workspace += bytes; }
    void run(std::function<void(Execution &)> body) { this->body = std::move(body); }

    const char *const name;
    std::vector<View> views;
    size_t inputs = 0;
    size_t workspace = 0;
    /// Whether aclSetAclOpExecutorRepeatable accepts it: not for operators that copy inside, nor for operands that are
    /// copied first.
    bool isRepeatable = true;
    std::function<void(Execution &)> body;

private:
    const char *source = nullptr, *function = nullptr;

    /// Refuses, and names the rule.
    [[noreturn]] void deny(int32_t code, const std::string &text);
    Operand operand(const char *role, const aclTensor *tensor, Types types, bool mayBeBlocked);
    void requireSeparate(const View &output);
};

/// Phase 1: `prepare` checks, and returns the work to run.
aclnnStatus plan(
    const char *name, uint64_t *workspaceSize, aclOpExecutor **executor, const std::function<void(Planner &)> &prepare);

/// Phase 2 of any operator.
aclnnStatus launch(
    const char *name, void *workspace, uint64_t workspaceSize, aclOpExecutor *executor, aclrtStream stream);

/// The strides in a view that is broadcast to `dims`.
std::vector<int64_t> broadcastStrides(const View &view, const std::vector<int64_t> &dims);

#define EMULATED_PHASE_2(operator_)                                                                                    \
    aclnnStatus aclnn##operator_(                                                                                      \
        void *workspace, uint64_t workspaceSize, aclOpExecutor *executor, aclrtStream stream) {                        \
        return emulator::launch("aclnn" #operator_, workspace, workspaceSize, executor, stream);                       \
    }

}  // namespace emulator

struct aclOpExecutor {
    static constexpr uint32_t alive = 0xe4ec0001;
    uint32_t marker = alive;
    std::string name;
    emulator::Execution execution;
    size_t workspace;
    bool mayRepeat, isRepeatable = false, wasLaunched = false;
    std::atomic<bool> isInUse{false};
    std::function<void(emulator::Execution &)> body;
};
