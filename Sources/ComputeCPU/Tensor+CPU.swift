// Tensors as the CPU sees them: pointers, and the checks before they are followed.

internal import Compute

extension Tensor {
    /// The elements; checked before to be float32.
    var floats: UnsafeMutablePointer<Float> { pointer(to: Float.self) }
    /// The elements; checked before to be int32.
    var int32s: UnsafePointer<Int32> { UnsafePointer(pointer(to: Int32.self)) }
    /// The elements; checked before to be int64.
    var int64s: UnsafePointer<Int64> { UnsafePointer(pointer(to: Int64.self)) }

    private func pointer<Element>(to type: Element.Type) -> UnsafeMutablePointer<Element> {
        // Every tensor of a stream has an address: the arena never hands out null. A tensor made up elsewhere with
        // address 0 is a programmer's error.
        guard let raw = UnsafeMutableRawPointer(bitPattern: address.bits) else {
            preconditionFailure("a tensor without an address")
        }
        return raw.assumingMemoryBound(to: Element.self)
    }

    /// Throws unless the tensor has the dtype and a stride that holds a row.
    func require(_ dtype: DType, in operation: StaticString, as role: StaticString) throws(ComputeError) {
        guard self.dtype == dtype else {
            throw ComputeError(
                .invalidArgument,
                "\(operation): the \(role) is \(self.dtype.rawValue), it must be \(dtype.rawValue)"
            )
        }
        guard rows >= 0, columns >= 0, rowStride >= columns else {
            throw ComputeError(
                .invalidArgument,
                "\(operation): the \(role) is \(rows) × \(columns) with row stride \(rowStride), which is no tensor"
            )
        }
    }

    /// Throws unless the tensor is (rows, columns) of the dtype.
    func require(
        _ dtype: DType,
        rows: Int,
        columns: Int,
        in operation: StaticString,
        as role: StaticString
    ) throws(ComputeError) {
        try require(dtype, in: operation, as: role)
        guard self.rows == rows, self.columns == columns else {
            throw ComputeError(
                .invalidArgument,
                "\(operation): the \(role) is \(self.rows) × \(self.columns), it must be \(rows) × \(columns)"
            )
        }
    }
}

extension CPUStream {
    /// The weights as the class that this device made them, or a refusal.
    func own<Weights: CPUWeights>(
        _ weights: AnyObject,
        as type: Weights.Type,
        in operation: StaticString
    ) throws(ComputeError) -> Weights {
        try device.own(weights, as: type, in: operation)
    }
}
