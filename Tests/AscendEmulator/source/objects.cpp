#include "objects.hpp"

#include <cstring>
#include <deque>
#include <map>
#include <mutex>

#include "calls.hpp"
#include "functions.hpp"
#include "numbers.hpp"

namespace emulator {

static constexpr size_t keptObjects = 100'000;

struct Objects {
    std::mutex mutex;
    std::map<const void *, std::string> live;
    std::deque<std::pair<const void *, void (*)(const void *)>> retired;
};

static Objects &objects() {
    static Objects *const made = new Objects;
    return *made;
}

size_t sizeOf(aclDataType type) {
    switch (type) {
    case ACL_INT64: return 8;
    case ACL_FLOAT: case ACL_INT32: return 4;
    case ACL_FLOAT16: case ACL_BF16: return 2;
    case ACL_INT8: case ACL_UINT8: case ACL_BOOL: return 1;
    }
    return 0;
}

const char *nameOf(aclDataType type) {
    switch (type) {
    case ACL_FLOAT: return "float32";
    case ACL_FLOAT16: return "float16";
    case ACL_BF16: return "bfloat16";
    case ACL_INT8: return "int8";
    case ACL_UINT8: return "uint8";
    case ACL_BOOL: return "bool";
    case ACL_INT32: return "int32";
    case ACL_INT64: return "int64";
    }
    return "unknown";
}

std::string described(const std::vector<int64_t> &dims) {
    std::string text = "[";
    for (size_t index = 0; index < dims.size(); index++) text += (index > 0 ? "," : "") + std::to_string(dims[index]);
    return text + "]";
}

int64_t View::count() const {
    int64_t product = 1;
    for (int64_t extent : dims) product *= extent;
    return product;
}

bool View::isContiguous() const {
    int64_t expected = 1;
    for (size_t axis = dims.size(); axis-- > 0;) {
        if (dims[axis] != 1 && strides[axis] != expected) return false;
        expected *= dims[axis];
    }
    return true;
}

std::pair<int64_t, int64_t> View::extent() const {
    if (count() == 0) return {0, -1};
    int64_t least = offset, greatest = offset;
    for (size_t axis = 0; axis < dims.size(); axis++) {
        const int64_t reach = (dims[axis] - 1) * strides[axis];
        (reach < 0 ? least : greatest) += reach;
    }
    return {least, greatest};
}

void requireAlive(const void *object, uint32_t marker, uint32_t expected, const char *kind, const char *use) {
    if (marker == expected) return;
    if (marker == deadMarker) breach("%s: the %s %p was destroyed before", use, kind, object);
    breach("%s: %p is no %s", use, object, kind);
}

void noteObject(const void *object, std::string kind) {
    std::lock_guard lock(objects().mutex);
    objects().live[object] = std::move(kind);
}

void retireObject(const void *object, void (*release)(const void *)) {
    Objects &all = objects();
    std::lock_guard lock(all.mutex);
    all.live.erase(object);
    all.retired.push_back({object, release});
    if (all.retired.size() > keptObjects) {
        all.retired.front().second(all.retired.front().first);
        all.retired.pop_front();
    }
}

std::string liveObjects() {
    std::lock_guard lock(objects().mutex);
    std::string text;
    for (const auto &[object, kind] : objects().live) {
        text += format("%s %p; ", kind.c_str(), object);
        if (text.size() > 1000) return text + "and more; ";
    }
    return text;
}

template <class Object>
static Object *made(Object *object, const char *kind) {
    noteObject(object, kind);
    return object;
}

template <class Object>
static aclnnStatus destroyed(const Object *object, const char *kind, const char *call) {
    trace(call, format("%p", object));
    if (object == nullptr) return 0;
    requireAlive(object, object->marker, Object::alive, kind, call);
    const_cast<Object *>(object)->marker = deadMarker;
    retireObject(object, [](const void *retired) { delete (const Object *)retired; });
    return 0;
}

}  // namespace emulator

using namespace emulator;

aclTensor *aclCreateTensor(
    const int64_t *viewDims, uint64_t viewDimsNum, aclDataType dataType, const int64_t *stride, int64_t offset,
    aclFormat format, const int64_t *storageDims, uint64_t storageDimsNum, void *tensorData) {
    trace("aclCreateTensor", emulator::format("%p", tensorData));
    if ((viewDims == nullptr && viewDimsNum > 0) || (storageDims == nullptr && storageDimsNum > 0)) return nullptr;
    auto *tensor = new aclTensor;
    View &view = tensor->view;
    view.type = dataType;
    view.dims.assign(viewDims, viewDims + viewDimsNum);
    view.format = format;
    view.offset = offset;
    view.data = tensorData;
    view.strides.resize(viewDimsNum);
    int64_t next = 1;
    for (size_t axis = viewDimsNum; axis-- > 0;) {
        view.strides[axis] = stride != nullptr ? stride[axis] : next;
        next *= view.dims[axis];
    }
    view.storage = 1;
    view.storageDims.assign(storageDims, storageDims + storageDimsNum);
    for (const int64_t extent : view.storageDims) view.storage *= extent;
    return made(tensor, "tensor");
}

aclScalar *aclCreateScalar(void *value, aclDataType dataType) {
    trace("aclCreateScalar", nameOf(dataType));
    if (value == nullptr) return nullptr;
    auto *scalar = new aclScalar;
    scalar->type = dataType;
    scalar->real = 0;
    scalar->integer = 0;
    // Read with the width of the type, as real software does: a narrower variable would be overread there.
    switch (dataType) {
    case ACL_FLOAT: { float real; memcpy(&real, value, 4); scalar->real = real; break; }
    case ACL_FLOAT16: { uint16_t half; memcpy(&half, value, 2); scalar->real = fromF16(half); break; }
    case ACL_BF16: { uint16_t half; memcpy(&half, value, 2); scalar->real = fromBF16(half); break; }
    case ACL_INT32: { int32_t integer; memcpy(&integer, value, 4); scalar->integer = integer; break; }
    case ACL_INT64: memcpy(&scalar->integer, value, 8); break;
    case ACL_INT8: { int8_t integer; memcpy(&integer, value, 1); scalar->integer = integer; break; }
    case ACL_UINT8: case ACL_BOOL: { uint8_t integer; memcpy(&integer, value, 1); scalar->integer = integer; break; }
    }
    const bool isReal = dataType == ACL_FLOAT || dataType == ACL_FLOAT16 || dataType == ACL_BF16;
    if (!isReal) scalar->real = (double)scalar->integer;
    else if (scalar->real > -1e18 && scalar->real < 1e18) scalar->integer = (int64_t)scalar->real;
    return made(scalar, "scalar");
}

aclIntArray *aclCreateIntArray(const int64_t *values, uint64_t count) {
    trace("aclCreateIntArray", format("%llu", (unsigned long long)count));
    if (values == nullptr && count > 0) return nullptr;
    auto *array = new aclIntArray;
    array->values.assign(values, values + count);
    return made(array, "array");
}

aclTensorList *aclCreateTensorList(const aclTensor *const *tensors, uint64_t count) {
    trace("aclCreateTensorList", format("%llu", (unsigned long long)count));
    if (tensors == nullptr && count > 0) return nullptr;
    auto *list = new aclTensorList;
    list->members.assign(tensors, tensors + count);
    for (const aclTensor *member : list->members) {
        requireAlive(member, member->marker, aclTensor::alive, "tensor", "aclCreateTensorList");
    }
    return made(list, "tensor list");
}

aclnnStatus aclDestroyTensor(const aclTensor *tensor) { return destroyed(tensor, "tensor", "aclDestroyTensor"); }
aclnnStatus aclDestroyScalar(const aclScalar *scalar) { return destroyed(scalar, "scalar", "aclDestroyScalar"); }
aclnnStatus aclDestroyIntArray(const aclIntArray *array) { return destroyed(array, "array", "aclDestroyIntArray"); }

aclnnStatus aclDestroyTensorList(const aclTensorList *list) {
    if (list != nullptr) {
        requireAlive(list, list->marker, aclTensorList::alive, "tensor list", "aclDestroyTensorList");
        for (const aclTensor *member : list->members) destroyed(member, "tensor", "aclDestroyTensorList");
    }
    return destroyed(list, "tensor list", "aclDestroyTensorList");
}
