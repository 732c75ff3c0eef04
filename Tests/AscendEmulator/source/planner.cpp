// Phase 1's checks: shapes, types, strides, alignment, and the chip's features.

#include <algorithm>
#include <unordered_set>

#include "device.hpp"
#include "executor.hpp"
#include "faults.hpp"
#include "memory.hpp"
#include "profile.hpp"

namespace emulator {

bool isFloat(aclDataType type) { return type == ACL_FLOAT || type == ACL_FLOAT16 || type == ACL_BF16; }

static Types setOf(aclDataType type) {
    switch (type) {
    case ACL_FLOAT: return f32;
    case ACL_FLOAT16: return f16;
    case ACL_BF16: return bf16;
    case ACL_INT32: return i32;
    case ACL_INT64: return i64;
    case ACL_UINT8: return u8;
    case ACL_INT8: return i8;
    case ACL_BOOL: return boolean;
    }
    return (Types)0;
}

/// Whether the call is generated from the operator's definition; the others are written by hand over inner operators.
static bool isGenerated(const std::string &name) {
    static const std::unordered_set<std::string> generated = {
        "aclnnRmsNorm", "aclnnSwiGlu", "aclnnHstuDenseForward", "aclnnHstuJaggedForward"};
    return generated.count(name) != 0;
}

/// Refuses like CANN if no kernel accepts the operands. A generated call passes the search's own status on (opbase
/// individual_op/indv_executor.cpp); in the others the inner operator returns NULL, which is all that phase 1 reports
/// (opbase kernel_workspace.cpp; ops-math abs/op_api/aclnn_abs.cpp).
[[noreturn]] static void refuseKernel(const char *name, const std::string &text) {
    throw Refusal{isGenerated(name) ? ACLNN_ERR_INNER_FIND_KERNEL : ACLNN_ERR_INNER_NULLPTR, text};
}

void Planner::deny(int32_t code, const std::string &text) {
    throw Refusal{code, function == nullptr ? text : format("%s (%s, %s)", text.c_str(), source, function)};
}

void Planner::untiled(const std::string &text) { deny(isGenerated(name) ? ACLNN_ERR_INNER_TILING : ACLNN_ERR_INNER_NULLPTR, text); }

void Planner::given(std::initializer_list<std::pair<const char *, const void *>> operands) {
    for (const auto &[role, operand] : operands) {
        if (operand == nullptr) deny(ACLNN_ERR_PARAM_NULLPTR, format("%s is NULL", role));
    }
}

void Planner::requireCast(aclDataType from, aclDataType to, const char *what) {
    if (isFloat(from) && !isFloat(to)) invalid(format("%s is %s, which cannot be cast to %s", what, nameOf(from), nameOf(to)));
}

/// All checks of a view before it is used. Only aclnnSilu accepts more than eight dimensions, and no caller needs them.
/// `size` bytes of memory at its data are checked to exist.
static void checkView(const View &view) {
    const char *role = view.role.c_str();
    if (view.dims.size() > 8) refuse(ACLNN_ERR_PARAM_INVALID, "%s has rank %zu, at most 8 are possible", role, view.dims.size());
    for (int64_t extent : view.dims) {
        if (extent < 0) refuse(ACLNN_ERR_PARAM_INVALID, "%s has shape %s", role, described(view.dims).c_str());
    }
    const auto [least, greatest] = view.extent();
    if (least < 0 || greatest >= view.storage) {
        refuse(
            ACLNN_ERR_PARAM_INVALID,
            "%s: shape %s with strides %s and offset %lld reaches elements %lld to %lld of a storage of %lld (strides count "
            "elements, not bytes)",
            role, described(view.dims).c_str(), described(view.strides).c_str(), (long long)view.offset, (long long)least,
            (long long)greatest, (long long)view.storage);
    }
    if (view.data == nullptr || view.count() == 0) return;
    if ((uintptr_t)view.data % 32 != 0) {
        refuse(ACLNN_ERR_PARAM_INVALID, "%s: the address %p is not aligned to 32 bytes", role, view.data);
    }
    Memory::check(view.data, (size_t)view.storage * sizeOf(view.type), ACLNN_ERR_PARAM_INVALID, role);
}

Operand Planner::operand(const char *role, const aclTensor *tensor, Types types, bool mayBeBlocked) {
    if (tensor == nullptr) refuse(ACLNN_ERR_PARAM_NULLPTR, "%s is NULL", role);
    requireAlive(tensor, tensor->marker, aclTensor::alive, "tensor", name);
    View view = tensor->view;
    view.role = role;
    // Composed operators compare types with a list per chip, generated ones with their definition's (opbase
    // indv_executor.cpp, CheckSocVersionAndParam): both return 161002.
    const bool isOfChip = view.type != ACL_BF16 || profile().isA2OrLater() || (types & onEveryChip) != 0;
    if ((setOf(view.type) & types) == 0 || !isOfChip) {
        invalid(format("%s cannot be %s on %s", role, nameOf(view.type), profile().soc.c_str()));
    }
    if (view.format != ACL_FORMAT_ND && !(mayBeBlocked && view.format == ACL_FORMAT_FRACTAL_NZ)) {
        refuse(ACLNN_ERR_PARAM_INVALID, "%s cannot be of format %d", role, (int)view.format);
    }
    if (view.format == ACL_FORMAT_ND) {
        checkView(view);
        if (view.count() > 0 && view.data != nullptr && Memory::overlapsBlocked(view.firstByte(), view.byteCount())) {
            refuse(ACLNN_ERR_PARAM_INVALID, "%s is described as ND, its memory holds FRACTAL_NZ", role);
        }
        if (!view.isContiguous()) {
            // The operand is made contiguous first, which needs memory and a copy by the operator.
            useWorkspace((size_t)view.count() * sizeOf(view.type));
            isRepeatable = false;
        }
    }
    views.push_back(view);
    return {views.size() - 1, view};
}

Operand Planner::weight(const char *role, const aclTensor *tensor, Types types) {
    Operand result = operand(role, tensor, types, true);
    const View &view = result.view;
    if (view.format == ACL_FORMAT_FRACTAL_NZ) {
        if (view.dims.size() != 2 || view.offset != 0 || !view.isContiguous()) {
            refuse(ACLNN_ERR_PARAM_INVALID, "%s: a FRACTAL_NZ matrix is contiguous and of rank 2", role);
        }
        // The tiling splits blocks by the storage's four dimensions (ops-nn matmul_v3_base_tiling.cpp:313-330,440).
        const std::vector<int64_t> blocks = {(view.dims[1] + 15) / 16, (view.dims[0] + 15) / 16, 16, 16};
        if (view.storageDims != blocks) {
            refuseKernel(name, format(
                "%s: the storage of a FRACTAL_NZ matrix is %s, not %s", role, described(blocks).c_str(),
                described(view.storageDims).c_str()));
        }
        const size_t rows = (size_t)(view.dims[0] + 15) / 16 * 16, columns = (size_t)(view.dims[1] + 15) / 16 * 16;
        if (Memory::blockedSize(view.data) != rows * columns * sizeOf(view.type)) {
            refuse(
                ACLNN_ERR_PARAM_INVALID, "%s is described as FRACTAL_NZ, aclnnTransMatmulWeight has not made it so at %p", role,
                view.data);
        }
    }
    return result;
}

/// Calls `visit` with the address of every unit of two bytes, or of every one-byte element, until it returns false.
template <class Visit>
static bool forEachAddress(const View &view, Visit visit) {
    std::vector<int64_t> index(view.dims.size(), 0);
    const size_t size = sizeOf(view.type), unit = size < 2 ? 1 : 2;
    for (int64_t element = 0; element < view.count(); element++) {
        int64_t place = view.offset;
        for (size_t axis = 0; axis < index.size(); axis++) place += index[axis] * view.strides[axis];
        for (size_t byte = 0; byte < size; byte += unit) {
            if (!visit((uintptr_t)view.data + (uintptr_t)place * size + byte)) return false;
        }
        for (size_t axis = index.size(); axis-- > 0;) {
            if (++index[axis] < view.dims[axis]) break;
            index[axis] = 0;
        }
    }
    return true;
}

/// Refuses unless the view shares no element with any input, or is exactly one of them: kernels read and write in no
/// particular order.
void Planner::requireSeparate(const View &output) {
    if (output.count() == 0 || output.data == nullptr) return;
    for (size_t axis = 0; axis < output.dims.size(); axis++) {
        if (output.dims[axis] > 1 && output.strides[axis] == 0) {
            refuse(ACLNN_ERR_PARAM_INVALID, "%s is written and has the stride 0", output.role.c_str());
        }
    }
    for (const View &input : views) {
        if (input.count() == 0 || input.data == nullptr) continue;
        const unsigned char *begin = output.firstByte(), *other = input.firstByte();
        if (begin >= other + input.byteCount() || other >= begin + output.byteCount()) continue;
        const bool isSame = input.data == output.data && input.offset == output.offset && input.dims == output.dims
            && input.strides == output.strides && input.type == output.type;
        if (isSame) continue;
        std::unordered_set<uintptr_t> written;
        forEachAddress(output, [&](uintptr_t address) { written.insert(address); return true; });
        if (!forEachAddress(input, [&](uintptr_t address) { return written.count(address) == 0; })) {
            refuse(
                ACLNN_ERR_PARAM_INVALID, "%s lies over a part of %s, which is read in no particular order",
                output.role.c_str(), input.role.c_str());
        }
    }
}

Operand Planner::output(const char *role, const aclTensor *tensor, Types types) {
    if (inputs == 0) inputs = views.size();
    if (tensor != nullptr) {
        requireAlive(tensor, tensor->marker, aclTensor::alive, "tensor", name);
        View view = tensor->view;
        view.role = role;
        if (view.format == ACL_FORMAT_ND) {
            checkView(view);
            requireSeparate(view);
        }
    }
    return operand(role, tensor, types, false);
}

Operand Planner::inplace(const char *role, const aclTensor *tensor, Types types) {
    Operand result = operand(role, tensor, types, false);
    std::vector<View> others = std::move(views);
    views.assign(others.begin(), others.end() - 1);
    requireSeparate(result.view);
    views = std::move(others);
    return result;
}

const aclScalar &Planner::scalar(const char *role, const aclScalar *scalar) {
    if (scalar == nullptr) refuse(ACLNN_ERR_PARAM_NULLPTR, "%s is NULL", role);
    requireAlive(scalar, scalar->marker, aclScalar::alive, "scalar", name);
    return *scalar;
}

std::vector<int64_t> Planner::integers(const char *role, const aclIntArray *array) {
    if (array == nullptr) refuse(ACLNN_ERR_PARAM_NULLPTR, "%s is NULL", role);
    requireAlive(array, array->marker, aclIntArray::alive, "array", name);
    return array->values;
}

const aclTensorList &Planner::list(const char *role, const aclTensorList *list) {
    if (list == nullptr) refuse(ACLNN_ERR_PARAM_NULLPTR, "%s is NULL", role);
    requireAlive(list, list->marker, aclTensorList::alive, "tensor list", name);
    return *list;
}

void Planner::requireRank(const Operand &operand, size_t rank) {
    if (operand.view.dims.size() == rank) return;
    invalid(format("%s has shape %s, its rank must be %zu", operand.view.role.c_str(), described(operand.view.dims).c_str(), rank));
}

void Planner::requireType(const Operand &operand, aclDataType type) {
    if (operand.view.type == type) return;
    invalid(format("%s is %s, it must be %s", operand.view.role.c_str(), nameOf(operand.view.type), nameOf(type)));
}

void Planner::requireDims(const Operand &operand, const std::vector<int64_t> &dims) {
    if (operand.view.dims == dims) return;
    invalid(format(
        "%s has shape %s, it must be %s", operand.view.role.c_str(), described(operand.view.dims).c_str(),
        described(dims).c_str()));
}

size_t Planner::axis(int64_t dim, const Operand &operand) {
    const int64_t rank = (int64_t)operand.view.dims.size();
    if (dim < -rank || dim >= rank) invalid(format("there is no dimension %lld", (long long)dim));
    return (size_t)(dim < 0 ? dim + rank : dim);
}

std::vector<int64_t> Planner::broadcast(const Operand &left, const Operand &right) {
    const auto &a = left.view.dims, &b = right.view.dims;
    std::vector<int64_t> result(std::max(a.size(), b.size()), 1);
    for (size_t place = 1; place <= result.size(); place++) {
        const int64_t x = place <= a.size() ? a[a.size() - place] : 1, y = place <= b.size() ? b[b.size() - place] : 1;
        if (x != y && x != 1 && y != 1) {
            invalid(format("shapes %s and %s do not broadcast", described(a).c_str(), described(b).c_str()));
        }
        result[result.size() - place] = x == 1 ? y : x;
    }
    return result;
}

std::vector<int64_t> broadcastStrides(const View &view, const std::vector<int64_t> &dims) {
    std::vector<int64_t> strides(dims.size(), 0);
    int64_t next = 1;
    for (size_t place = 1; place <= view.dims.size(); place++) {
        const int64_t extent = view.dims[view.dims.size() - place];
        if (extent != 1) strides[dims.size() - place] = next;
        next *= extent;
    }
    return strides;
}

/// Whether the chip lacks a kernel of the operator. If the documents of 8.1 and the sources of 9.x differ, each release
/// behaves as documented for it.
static bool lacks(const std::string &operatorName) {
    const bool isFirst = profile().chip == Chip::first;
    // ops-nn activation/swi_glu/op_host/swi_glu_def.cpp configures 310P, Atlas A2, A3 and 950.
    if (operatorName == "SwiGlu") return isFirst;
    // ops-nn norm/rms_norm/docs/aclnnRmsNorm.md omits the first generation; rms_norm_def.cpp of 9.x includes it.
    if (operatorName == "RmsNorm") return isFirst && profile().generation != 9;
    // Documents (design/ascend.md 3.3, 3.4). The sources of 9.x list LayerNorm for 310P: it is refused here, so that
    // the composed path runs.
    if (operatorName == "LayerNorm" || operatorName == "InplaceIndexCopy") return profile().is310P();
    return false;
}

static void requireSupport(const char *name) {
    const std::string operatorName = std::string(name).substr(5);
    if (lacks(operatorName) || profile().unsupported.count(operatorName) != 0) {
        refuseKernel(name, format("%s has no kernel of this operator", profile().soc.c_str()));
    }
    if (takePlanFault()) refuseKernel(name, "no kernel takes these operands, as injected");
}

aclnnStatus plan(
    const char *name, uint64_t *workspaceSize, aclOpExecutor **executor, const std::function<void(Planner &)> &prepare) {
    return call((std::string(name) + "GetWorkspaceSize").c_str(), "", [&]() -> aclnnStatus {
        if (workspaceSize == nullptr || executor == nullptr) refuse(ACLNN_ERR_PARAM_NULLPTR, "an out parameter is NULL");
        // Tiling queries the chip, so the thread needs a device.
        try {
            currentContext();
        } catch (const Refusal &refusal) {
            setLastError(refusal.code);
            throw Refusal{ACLNN_ERR_RUNTIME_ERROR, refusal.message + format(" (runtime error %d)", refusal.code)};
        }
        requireSupport(name);
        Planner planner(name);
        prepare(planner);
        auto *made = new aclOpExecutor;
        made->name = name;
        made->execution.name = name;
        made->execution.views = planner.views;
        made->workspace = planner.workspace;
        made->mayRepeat = planner.isRepeatable;
        made->body = std::move(planner.body);
        noteObject(made, std::string("executor of ") + name);
        *workspaceSize = planner.workspace;
        *executor = made;
        return 0;
    });
}

}  // namespace emulator
