// A strided view of device memory, as operators see it.

internal import CAscend
internal import Compute

extension DType {
    var aclType: aclDataType {
        switch self {
        case .float32: ACL_FLOAT
        case .float16: ACL_FLOAT16
        case .bfloat16: ACL_BF16
        case .int8: ACL_INT8
        case .uint8: ACL_UINT8
        case .bool: ACL_BOOL
        case .int32: ACL_INT32
        case .int64: ACL_INT64
        }
    }
}

/// Elements of one type at an address, with extents and strides in elements, outermost first.
struct View {
    var address: DeviceAddress
    var dtype: DType
    var dims: [Int]
    var strides: [Int]
    /// Whether it is a matrix in FRACTAL_NZ.
    var isBlocked = false

    /// A contiguous view.
    init(_ address: DeviceAddress, _ dtype: DType, _ dims: [Int]) {
        self.address = address
        self.dtype = dtype
        self.dims = dims
        var strides = dims
        var next = 1
        for axis in dims.indices.reversed() {
            strides[axis] = next
            next *= dims[axis]
        }
        self.strides = strides
    }

    init(_ address: DeviceAddress, _ dtype: DType, _ dims: [Int], strides: [Int]) {
        self.init(address, dtype, dims)
        self.strides = strides
    }

    /// (rows, columns)
    init(_ tensor: Tensor) {
        self.init(tensor.address, tensor.dtype, [tensor.rows, tensor.columns], strides: [tensor.rowStride, 1])
    }

    var count: Int { dims.reduce(1, *) }
    var byteCount: Int { count * dtype.byteCount }

    var isContiguous: Bool {
        var expected = 1
        for axis in dims.indices.reversed() {
            if dims[axis] != 1, strides[axis] != expected { return false }
            expected *= dims[axis]
        }
        return true
    }

    /// The same contiguous elements in another shape.
    func shaped(_ dims: [Int]) -> View {
        precondition(isContiguous && dims.reduce(1, *) == count, "a view of other elements")
        return View(address, dtype, dims)
    }

    /// The axes in another order.
    func permuted(_ axes: [Int]) -> View {
        View(address, dtype, axes.map { dims[$0] }, strides: axes.map { strides[$0] })
    }

    /// A range of the first axis.
    func rows(_ range: Range<Int>) -> View {
        let moved = address.advanced(byBytes: range.lowerBound * strides[0] * dtype.byteCount)
        return View(moved, dtype, [range.count] + dims.dropFirst(), strides: strides)
    }

    /// A range of the last axis, whose elements are contiguous.
    func columns(_ range: Range<Int>) -> View {
        let moved = address.advanced(byBytes: range.lowerBound * dtype.byteCount)
        return View(moved, dtype, dims.dropLast() + [range.count], strides: strides)
    }

    /// Whether both views are of the same elements.
    func isSame(as other: View) -> Bool {
        address == other.address && dtype == other.dtype && dims == other.dims && strides == other.strides
    }
}
