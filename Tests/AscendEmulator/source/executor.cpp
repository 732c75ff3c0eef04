// Phase 2, a task's view of its operands, and executors that run more than once.

#include "executor.hpp"

#include <cmath>

#include "capture.hpp"
#include "device.hpp"
#include "faults.hpp"
#include "functions.hpp"
#include "numbers.hpp"

namespace emulator {

/// Calls `visit` with the place of every element of the view, in row-major order.
template <class Visit>
static void forEachPlace(const View &view, Visit visit) {
    const int64_t count = view.count();
    if (view.isContiguous()) {
        for (int64_t element = 0; element < count; element++) visit(element, view.offset + element);
        return;
    }
    std::vector<int64_t> index(view.dims.size(), 0);
    int64_t place = view.offset;
    for (int64_t element = 0; element < count; element++) {
        visit(element, place);
        for (size_t axis = index.size(); axis-- > 0;) {
            place += view.strides[axis];
            if (++index[axis] < view.dims[axis]) break;
            place -= view.dims[axis] * view.strides[axis];
            index[axis] = 0;
        }
    }
}

/// The bytes at the view's data, checked to exist from its first to its last element.
static unsigned char *base(const View &view) {
    if (view.count() == 0) return nullptr;
    unsigned char *first = Memory::access(view.firstByte(), view.byteCount(), view.role);
    return first - (size_t)view.extent().first * sizeOf(view.type);
}

template <class Value>
static std::vector<Value> load(const View &view) {
    std::vector<Value> values((size_t)view.count());
    const unsigned char *bytes = base(view);
    switch (view.type) {
#define LOAD(type_, Stored, expression)                                                                                \
    case type_: {                                                                                                      \
        const auto *stored = (const Stored *)bytes;                                                                    \
        forEachPlace(view, [&](int64_t element, int64_t place) {                                                       \
            const Stored value = stored[place];                                                                        \
            values[(size_t)element] = (Value)(expression);                                                             \
        });                                                                                                            \
        break;                                                                                                         \
    }
        LOAD(ACL_FLOAT, float, value)
        LOAD(ACL_FLOAT16, uint16_t, fromF16(value))
        LOAD(ACL_BF16, uint16_t, fromBF16(value))
        LOAD(ACL_INT32, int32_t, value)
        LOAD(ACL_INT64, int64_t, value)
        LOAD(ACL_INT8, int8_t, value)
        LOAD(ACL_UINT8, uint8_t, value)
        LOAD(ACL_BOOL, uint8_t, value != 0)
#undef LOAD
    }
    return values;
}

/// Converts like kernels: toward zero, and to the nearest representable value; NaN becomes 0.
template <class Stored>
static Stored toInteger(float value) {
    if (std::isnan(value)) return 0;
    if (value <= (float)std::numeric_limits<Stored>::min()) return std::numeric_limits<Stored>::min();
    if (value >= (float)std::numeric_limits<Stored>::max()) return std::numeric_limits<Stored>::max();
    return (Stored)value;
}
template <class Stored>
static Stored toInteger(int64_t value) { return (Stored)value; }

template <class Value>
static void save(const View &view, const std::vector<Value> &values) {
    if (values.size() != (size_t)view.count()) breach("%s: %zu values for %lld elements", view.role.c_str(), values.size(), (long long)view.count());
    unsigned char *bytes = base(view);
    switch (view.type) {
#define SAVE(type_, Stored, expression)                                                                                \
    case type_: {                                                                                                      \
        auto *stored = (Stored *)bytes;                                                                                \
        forEachPlace(view, [&](int64_t element, int64_t place) {                                                       \
            const Value value = values[(size_t)element];                                                               \
            stored[place] = (Stored)(expression);                                                                      \
        });                                                                                                            \
        break;                                                                                                         \
    }
        SAVE(ACL_FLOAT, float, value)
        SAVE(ACL_FLOAT16, uint16_t, toF16((float)value))
        SAVE(ACL_BF16, uint16_t, toBF16((float)value))
        SAVE(ACL_INT32, int32_t, toInteger<int32_t>(value))
        SAVE(ACL_INT64, int64_t, toInteger<int64_t>(value))
        SAVE(ACL_INT8, int8_t, toInteger<int8_t>(value))
        SAVE(ACL_UINT8, uint8_t, toInteger<uint8_t>(value))
        SAVE(ACL_BOOL, uint8_t, value != 0)
#undef SAVE
    }
}

std::vector<float> Execution::loadFloats(const Operand &operand) const { return load<float>(views[operand.index]); }
std::vector<int64_t> Execution::loadIntegers(const Operand &operand) const { return load<int64_t>(views[operand.index]); }
void Execution::store(const Operand &operand, const std::vector<float> &values) const { save(views[operand.index], values); }
void Execution::store(const Operand &operand, const std::vector<int64_t> &values) const { save(views[operand.index], values); }

unsigned char *Execution::bytes(const Operand &operand, size_t size) const {
    return Memory::access(views[operand.index].data, size, views[operand.index].role);
}

/// Runs the call with its whole workspace overwritten, and checks that nothing else has written to it meanwhile; a held
/// call waits in between.
static void runWithWorkspace(
    aclOpExecutor &executor, void *workspace, uint64_t number, bool isHeld, const std::atomic<bool> &isReset) {
    const size_t size = executor.workspace;
    const auto run = [&] {
        if (isHeld) {
            Stream &stream = *Stream::current();
            stream.isHeld = true;
            const bool isReleased = waitForRelease(isReset, stream.isAborting);
            stream.isHeld = false;
            if (!isReleased) return;
        }
        executor.body(executor.execution);
    };
    if (size == 0) return run();
    const unsigned char pattern = (unsigned char)(0x80 | (number * 37 & 0x7f));
    const auto bytes = [&] { return Memory::access(workspace, size, "the workspace"); };
    memset(bytes(), pattern, size);
    run();
    const unsigned char *after = bytes();
    for (size_t index = 0; index < size; index++) {
        if (after[index] != pattern) {
            throw MemoryFault{
                ACL_ERROR_RT_AICORE_EXCEPTION,
                format("byte %zu of the workspace %p was overwritten while the operator ran", index, workspace)};
        }
    }
}

static void retire(aclOpExecutor *executor) {
    executor->marker = deadMarker;
    executor->body = nullptr;
    retireObject(executor, [](const void *retired) { delete (const aclOpExecutor *)retired; });
}

/// Refuses a workspace that the call cannot use.
static void checkWorkspace(const aclOpExecutor &executor, void *workspace, uint64_t size) {
    if (executor.workspace == 0) return;
    if (workspace == nullptr) refuse(ACLNN_ERR_PARAM_NULLPTR, "the workspace is NULL, %zu bytes are needed", executor.workspace);
    if (size < executor.workspace) {
        refuse(ACLNN_ERR_PARAM_NULLPTR, "the workspace has %llu bytes, %zu are needed", (unsigned long long)size, executor.workspace);
    }
    if ((uintptr_t)workspace % 32 != 0) refuse(ACLNN_ERR_PARAM_INVALID, "the workspace %p is not aligned to 32 bytes", workspace);
    Memory::check(workspace, size, ACLNN_ERR_PARAM_INVALID, "the workspace");
    for (const View &view : executor.execution.views) {
        if (view.count() == 0 || view.data == nullptr) continue;
        const unsigned char *begin = view.firstByte();
        if (begin < (unsigned char *)workspace + executor.workspace && (unsigned char *)workspace < begin + view.byteCount()) {
            refuse(ACLNN_ERR_PARAM_INVALID, "the workspace lies over %s", view.role.c_str());
        }
    }
}

aclnnStatus launch(
    const char *name, void *workspace, uint64_t workspaceSize, aclOpExecutor *executor, aclrtStream streamHandle) {
    return call(name, format("%p %llu %p", workspace, (unsigned long long)workspaceSize, streamHandle), [&]() -> aclnnStatus {
        if (executor == nullptr) refuse(ACLNN_ERR_PARAM_NULLPTR, "the executor is NULL");
        requireAlive(executor, executor->marker, aclOpExecutor::alive, "executor (an executor runs once)", name);
        if (executor->isInUse.exchange(true)) breach("%s: two threads use the executor %p", name, (void *)executor);
        if (executor->name != name) breach("%s: the executor was made for %s", name, executor->name.c_str());
        // Used up in any case, unless it may run again.
        struct Use {
            aclOpExecutor *executor;
            ~Use() {
                executor->isInUse = false;
                executor->wasLaunched = true;
                if (!executor->isRepeatable) retire(executor);
            }
        } use{executor};
        checkWorkspace(*executor, workspace, workspaceSize);
        for (const View &view : executor->execution.views) {
            if (view.data == nullptr && view.count() > 0) refuse(ACLNN_ERR_PARAM_NULLPTR, "%s has no memory", view.role.c_str());
        }
        std::shared_ptr<Stream> stream;
        try {
            stream = requireStream(streamHandle);
        } catch (const Refusal &refusal) {
            setLastError(refusal.code);
            throw Refusal{ACLNN_ERR_RUNTIME_ERROR, refusal.message + format(" (runtime error %d)", refusal.code)};
        }
        auto task = std::make_shared<aclOpExecutor>();
        task->name = name;
        task->execution = executor->execution;
        task->workspace = executor->workspace;
        task->body = executor->body;
        Device *device = stream->context->device;
        const auto make = [task, workspace, device]() -> std::function<void()> {
            trace("launch", task->name);
            static std::atomic<uint64_t> launches{0};
            const uint64_t number = launches++;
            const FaultKind fault = takeLaunchFault();
            return [task, workspace, number, fault, device] {
                if (device->failure != 0 || device->isAborting) return;
                switch (fault) {
                case FaultKind::none: case FaultKind::hold: break;
                case FaultKind::aicore:
                    throw MemoryFault{ACL_ERROR_RT_AICORE_EXCEPTION, "an AI core exception, as injected"};
                case FaultKind::gone: device->isGone = true; [[fallthrough]];
                case FaultKind::lost: throw MemoryFault{ACL_ERROR_RT_LOST_HEARTBEAT, "the device is lost, as injected"};
                }
                runWithWorkspace(*task, workspace, number, fault == FaultKind::hold, device->isAborting);
            };
        };
        if (const auto capture = captureOf(stream.get())) capture->tasks.push_back({name, make});
        else stream->enqueue(name, make());
        return 0;
    });
}

}  // namespace emulator

using namespace emulator;

aclnnStatus aclSetAclOpExecutorRepeatable(aclOpExecutor *executor) {
    return call("aclSetAclOpExecutorRepeatable", "", [&]() -> aclnnStatus {
        if (executor == nullptr) refuse(ACLNN_ERR_INNER_NULLPTR, "the executor is NULL");
        requireAlive(executor, executor->marker, aclOpExecutor::alive, "executor", "aclSetAclOpExecutorRepeatable");
        if (!executor->mayRepeat) refuse(ACLNN_ERR_INNER, "%s copies inside and cannot run twice", executor->name.c_str());
        executor->isRepeatable = true;
        return 0;
    });
}

aclnnStatus aclSetTensorAddr(aclOpExecutor *executor, const size_t index, aclTensor *tensor, void *address) {
    return call("aclSetTensorAddr", format("%zu %p", index, address), [&]() -> aclnnStatus {
        if (executor == nullptr || tensor == nullptr) refuse(ACLNN_ERR_INNER_NULLPTR, "the executor or the tensor is NULL");
        requireAlive(executor, executor->marker, aclOpExecutor::alive, "executor", "aclSetTensorAddr");
        requireAlive(tensor, tensor->marker, aclTensor::alive, "tensor", "aclSetTensorAddr");
        if (index >= executor->execution.views.size()) {
            refuse(ACLNN_ERR_PARAM_INVALID, "there is no tensor %zu of %zu", index, executor->execution.views.size());
        }
        if ((uintptr_t)address % 32 != 0) refuse(ACLNN_ERR_PARAM_INVALID, "%p is not aligned to 32 bytes", address);
        View &view = executor->execution.views[index];
        Memory::check(address, (size_t)view.storage * sizeOf(view.type), ACLNN_ERR_PARAM_INVALID, view.role);
        view.data = address;
        return 0;
    });
}

aclnnStatus aclDestroyAclOpExecutor(aclOpExecutor *executor) {
    return call("aclDestroyAclOpExecutor", "", [&]() -> aclnnStatus {
        if (executor == nullptr) return 0;
        requireAlive(executor, executor->marker, aclOpExecutor::alive, "executor", "aclDestroyAclOpExecutor");
        if (!executor->isRepeatable) refuse(ACLNN_ERR_INNER, "an executor that runs once is destroyed by running");
        retire(executor);
        return 0;
    });
}
