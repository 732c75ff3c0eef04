// The elements of a weight file's tensor, read as float32 and rounded to what a device stores.

internal import Compute

/// A host tensor whose shape and bytes have been found to agree, with elements that can be read as float32.
struct HostFloats {
    let count: Int
    private let dtype: DType
    private let base: UnsafeRawPointer

    /// - Throws: `ComputeError.invalidArgument` for another rank than asked for, a type that is no floating-point one, or
    ///   bytes that are not those of the shape.
    init(_ tensor: HostTensor, rank: Int, for use: String) throws(ComputeError) {
        switch tensor.dtype {
        case .float32, .float16, .bfloat16: dtype = tensor.dtype
        case .int8, .uint8, .bool, .int32, .int64:
            throw ComputeError(.invalidArgument, "\(tensor.name): \(use) cannot be made from \(tensor.dtype.rawValue)")
        }
        guard tensor.shape.count == rank else {
            throw ComputeError(.invalidArgument, "\(tensor.name): \(use) has rank \(rank), this is \(tensor.shape)")
        }
        var bytes = tensor.dtype.byteCount
        for extent in tensor.shape {
            let (product, overflow) = bytes.multipliedReportingOverflow(by: extent)
            guard extent > 0, !overflow else {
                throw ComputeError(.invalidArgument, "\(tensor.name): \(use) cannot be of shape \(tensor.shape)")
            }
            bytes = product
        }
        guard bytes == tensor.bytes.count, let base = tensor.bytes.baseAddress else {
            throw ComputeError(
                .invalidArgument,
                "\(tensor.name): \(tensor.bytes.count) bytes for \(tensor.shape) of \(tensor.dtype.rawValue)"
            )
        }
        count = bytes / tensor.dtype.byteCount
        self.base = base
    }

    subscript(index: Int) -> Float {
        switch dtype {
        case .float16: Float(base.loadUnaligned(fromByteOffset: 2 * index, as: Float16.self))
        case .bfloat16:
            Float(bitPattern: UInt32(base.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self)) << 16)
        default: base.loadUnaligned(fromByteOffset: 4 * index, as: Float.self)
        }
    }
}

/// The bits of a value in half precision, to nearest, ties to even.
struct HalfRounding {
    let dtype: DType

    func bits(_ value: Float) -> UInt16 {
        if dtype == .float16 { return Float16(value).bitPattern }
        let bits = value.bitPattern
        if value.isNaN { return UInt16(truncatingIfNeeded: bits >> 16 | 0x40) }
        return UInt16(truncatingIfNeeded: (bits &+ 0x7fff &+ (bits >> 16 & 1)) >> 16)
    }
}
