// The hash of the catalogue's tables: equal for equal texts, different for texts that differ slightly.

import Testing

@testable import Catalogue

@Suite struct KeyedHashTests {
    private func hash(_ text: [UInt8]) -> UInt32 { text.withUnsafeBufferPointer { KeyedHash.shared.of($0) } }

    @Test func everyByteAndTheLengthCount() {
        for length in 0..<80 {
            let text = (0..<length).map { UInt8(truncatingIfNeeded: 31 &* $0 &+ 7) }
            #expect(hash(text) == hash(Array(text)))
            var hashes: Set<UInt32> = [hash(text), hash(text + [0])]
            for index in text.indices {
                for bit in 0..<8 {
                    var other = text
                    other[index] ^= 1 << bit
                    hashes.insert(hash(other))
                }
            }
            // A collision among 640 random 32-bit numbers occurs in one process of 20 000.
            #expect(hashes.count >= 8 * length + 1)
        }
    }

    @Test(arguments: ["item-", "", "https://shop.example/products/00000000000000/"])
    func consecutiveIDsSpread(prefix: String) {
        let count = 100_000
        let hashes = (0..<count).map { hash(Array("\(prefix)\($0)".utf8)) }
        // Expected equal pairs: count² / 2³³ = 1.2.
        #expect(Set(hashes).count > count - 20)
        // The table uses the lower bits: no slot of 2¹⁸ gets many more than the expected 0.4.
        var loads: [UInt32: Int] = [:]
        for hash in hashes { loads[hash & 0x3FFFF, default: 0] += 1 }
        #expect((loads.values.max() ?? 0) < 12)
    }

    @Test func numbersSpread() {
        let hashes = (0..<100_000).map { KeyedHash.shared.of(Int64($0) << 20) }
        #expect(Set(hashes).count > 99_980)
    }
}
