// Inspects weights on the host: finds infinities and NaN, which make every answer nonsense, and reads single rows.

package import Compute

extension HostTensor {
    /// Whether no element is infinite or not a number. Integers are always finite.
    package var isFinite: Bool {
        switch dtype {
        // The magnitude bits of an infinity or NaN are at least those of the exponent alone. Finding the largest
        // magnitude takes no branches, so the loop runs at the speed of memory.
        case .float32: largest(of: UInt32.self, masked: 0x7FFF_FFFF) < 0x7F80_0000
        case .float16: largest(of: UInt16.self, masked: 0x7FFF) < 0x7C00
        case .bfloat16: largest(of: UInt16.self, masked: 0x7FFF) < 0x7F80
        case .int8, .uint8, .bool, .int32, .int64: true
        }
    }

    /// The elements of a tensor of a float type, as float32.
    var floats: [Float] {
        (0..<count).map { index in
            switch dtype {
            case .float16: Float(bytes.loadUnaligned(fromByteOffset: 2 * index, as: Float16.self))
            case .bfloat16:
                Float(bitPattern: UInt32(bytes.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self)) << 16)
            default: bytes.loadUnaligned(fromByteOffset: 4 * index, as: Float.self)
            }
        }
    }

    private func largest<Word: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
        of type: Word.Type,
        masked mask: Word
    ) -> Word {
        var largest: Word = 0
        for word in bytes.bindMemory(to: Word.self) { largest = max(largest, Word(littleEndian: word) & mask) }
        return largest
    }
}
