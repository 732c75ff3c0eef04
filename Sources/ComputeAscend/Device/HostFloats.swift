// Reads the elements of a weight file's tensor as float32 and rounds them to a device's type.

internal import Compute

/// A host tensor whose shape and bytes agree, with elements that can be read as float32.
struct HostFloats {
    let count: Int
    private let dtype: DType
    private let base: UnsafeRawPointer

    /// - Throws: what `HostTensor.floats` throws.
    init(_ tensor: HostTensor, rank: Int, for use: String) throws(ComputeError) {
        (base, count) = try tensor.floats(rank: rank, for: use)
        dtype = tensor.dtype
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

/// Rounds values to half precision, to nearest with ties to even.
struct HalfRounding {
    let dtype: DType

    func bits(_ value: Float) -> UInt16 {
        if dtype == .float16 { return Float16(value).bitPattern }
        let bits = value.bitPattern
        if value.isNaN { return UInt16(truncatingIfNeeded: bits >> 16 | 0x40) }
        return UInt16(truncatingIfNeeded: (bits &+ 0x7fff &+ (bits >> 16 & 1)) >> 16)
    }

    /// The value rounded to half precision.
    func value(_ value: Float) -> Float {
        let bits = self.bits(value)
        return dtype == .float16 ? Float(Float16(bitPattern: bits)) : Float(bitPattern: UInt32(bits) << 16)
    }
}
