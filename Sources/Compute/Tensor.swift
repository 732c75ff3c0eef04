// Tensors in device memory. Nothing here accesses an element, because the host cannot read an NPU's addresses.

/// An address in a device's memory. Only the device that created it may interpret it; on the CPU it is a pointer.
package struct DeviceAddress: Hashable {
    package let bits: UInt

    package init(bits: UInt) {
        self.bits = bits
    }

    /// The address `byteCount` bytes further on.
    package func advanced(byBytes byteCount: Int) -> DeviceAddress {
        DeviceAddress(bits: bits &+ UInt(bitPattern: byteCount))
    }
}

/// A matrix in device memory, `(rows, columns)`, whose rows are contiguous and `rowStride` elements apart.
///
/// A value, not an owner: memory belongs to the stream's arena (until its next `begin()`) or to a weight object.
/// Vectors are matrices of one row. Jagged batches are matrices whose rows are those of all sequences, back to back.
package struct Tensor {
    package let address: DeviceAddress
    package let dtype: DType
    package let rows: Int
    package let columns: Int
    /// Elements (not bytes) from one row's start to the next; at least `columns`.
    package let rowStride: Int

    package init(address: DeviceAddress, dtype: DType, rows: Int, columns: Int, rowStride: Int? = nil) {
        self.address = address
        self.dtype = dtype
        self.rows = rows
        self.columns = columns
        self.rowStride = rowStride ?? columns
    }

    /// The view of some rows, `(range.count, columns)`. `range` lies within `0..<rows`.
    package func rows(_ range: Range<Int>) -> Tensor {
        precondition(range.lowerBound >= 0 && range.upperBound <= rows, "row range outside the tensor")
        return Tensor(
            address: address.advanced(byBytes: range.lowerBound * rowStride * dtype.byteCount),
            dtype: dtype,
            rows: range.count,
            columns: columns,
            rowStride: rowStride
        )
    }

    /// The view of some columns of every row, `(rows, range.count)`. `range` lies within `0..<columns`.
    package func columns(_ range: Range<Int>) -> Tensor {
        precondition(range.lowerBound >= 0 && range.upperBound <= columns, "column range outside the tensor")
        return Tensor(
            address: address.advanced(byBytes: range.lowerBound * dtype.byteCount),
            dtype: dtype,
            rows: rows,
            columns: range.count,
            rowStride: rowStride
        )
    }
}
