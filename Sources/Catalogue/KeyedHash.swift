// The hash of the catalogue's tables, computed for every id of every history.

/// A hash of short texts with a new key in each process, so that nobody can prepare colliding ids.
///
/// Each step multiplies sixteen bytes to 128 bits and folds them, as in wyhash (github.com/wangyi-fudan/wyhash). All
/// constants are secret here: with wyhash's public ones, some texts collide under every seed.
struct KeyedHash: Sendable {
    private let first = UInt64.random(in: .min ... .max)
    private let second = UInt64.random(in: .min ... .max)
    private let third = UInt64.random(in: .min ... .max)
    private let last = UInt64.random(in: .min ... .max)

    /// The process's hash. Loops should read it once: every use of a global checks whether it is initialised.
    static let shared = KeyedHash()

    private init() {}

    /// The hash of a text.
    func of(_ text: UnsafeBufferPointer<UInt8>) -> UInt32 {
        let count = text.count
        guard let start = UnsafeRawPointer(text.baseAddress), count > 0 else {
            return folded(last, first)
        }
        var state = third
        var offset = 0
        while count - offset > 16 {
            state = fold(word(start, offset) ^ first, word(start, offset + 8) ^ state)
            offset += 16
        }
        // The last one to sixteen bytes, as two words that may overlap. The length tells apart texts with the same
        // words.
        let low: UInt64
        let high: UInt64
        switch count - offset {
        case 8...: (low, high) = (word(start, offset), word(start, count - 8))
        case 4...: (low, high) = (half(start, offset), half(start, count - 4))
        default:
            let rest = count - offset
            low = UInt64(text[offset]) << 16 | UInt64(text[offset + rest / 2]) << 8 | UInt64(text[count - 1])
            high = 0
        }
        state = fold(low ^ second, high ^ state)
        return folded(state ^ last, UInt64(count) ^ first)
    }

    /// The hash of a number.
    func of(_ number: Int64) -> UInt32 {
        folded(UInt64(bitPattern: number) ^ first, second)
    }

    private func fold(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let product = a.multipliedFullWidth(by: b)
        return product.high ^ product.low
    }

    private func folded(_ a: UInt64, _ b: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: fold(a, b)) }

    private func word(_ start: UnsafeRawPointer, _ offset: Int) -> UInt64 {
        start.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
    }

    private func half(_ start: UnsafeRawPointer, _ offset: Int) -> UInt64 {
        UInt64(start.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }
}
