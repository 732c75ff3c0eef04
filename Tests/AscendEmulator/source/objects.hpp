// Operands: the objects of aclCreateTensor and its relatives. A destroyed object is kept for a while with its marker
// changed, so that its use, or a second destruction, is reported instead of being undefined.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "CAscendTypes.h"

namespace emulator {

constexpr uint32_t deadMarker = 0xdeadacce;

size_t sizeOf(aclDataType type);
const char *nameOf(aclDataType type);
std::string described(const std::vector<int64_t> &dims);

/// A strided view of device memory; strides and offset count elements.
struct View {
    std::string role;
    aclDataType type = ACL_FLOAT;
    std::vector<int64_t> dims, strides;
    int64_t offset = 0;
    aclFormat format = ACL_FORMAT_ND;
    /// Elements of the storage that starts at `data`.
    int64_t storage = 0;
    std::vector<int64_t> storageDims;
    void *data = nullptr;

    int64_t count() const;
    bool isContiguous() const;
    /// The first and the last element that the view touches, counted from `data`; (0, -1): none.
    std::pair<int64_t, int64_t> extent() const;
    /// The address of the view's first element, and the bytes from there to the end of its last.
    unsigned char *firstByte() const { return (unsigned char *)data + (size_t)extent().first * sizeOf(type); }
    size_t byteCount() const {
        const auto [least, greatest] = extent();
        return (size_t)(greatest - least + 1) * sizeOf(type);
    }
};

/// Aborts unless the object is alive.
void requireAlive(const void *object, uint32_t marker, uint32_t expected, const char *kind, const char *use);

/// A line for each operand or executor that was never destroyed.
std::string liveObjects();

/// Records that an object was created, and that it was destroyed.
void noteObject(const void *object, std::string kind);
/// `release` really frees the object, some time later.
void retireObject(const void *object, void (*release)(const void *));

}  // namespace emulator

struct aclTensor {
    static constexpr uint32_t alive = 0x7e450001;
    uint32_t marker = alive;
    emulator::View view;
};

struct aclScalar {
    static constexpr uint32_t alive = 0x5ca1a401;
    uint32_t marker = alive;
    aclDataType type;
    double real;
    int64_t integer;
};

struct aclIntArray {
    static constexpr uint32_t alive = 0x147a4401;
    uint32_t marker = alive;
    std::vector<int64_t> values;
};

struct aclTensorList {
    static constexpr uint32_t alive = 0x11570001;
    uint32_t marker = alive;
    std::vector<const aclTensor *> members;
};
