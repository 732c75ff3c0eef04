// Blocks of weights: they share slabs, are counted, and return their pages.

import Compute
import Glibc
import Testing

@testable import ComputeCPU

struct WeightMemoryTests {
    private let account = MemoryAccount()
    private let space: WeightSpace

    init() { space = WeightSpace(account: account) }

    @Test
    func blocks_AreZeroAlignedAndApart() throws {
        // Blocks of all kinds: empty, small, larger than a page, larger than the rest of a slab, larger than a slab's
        // shares.
        let counts = [0, 1, 17, 1_000, 1_000_000] + Array(repeating: 900_000, count: 9) + [3_000_000]
        let blocks = try counts.map { try space.block(zeroedFloats: $0, for: "a test") }
        for (number, block) in blocks.enumerated() {
            #expect(UInt(bitPattern: block.base) % 64 == 0)
            #expect(block.byteCount == 4 * counts[number])
            let isZero = (0..<counts[number]).allSatisfy { block.floats[$0] == 0 }
            #expect(isZero, "block \(number)")
            for index in 0..<counts[number] { block.floats[index] = Float(number) }
        }
        for (number, block) in blocks.enumerated() {
            let holds = (0..<counts[number]).allSatisfy { block.floats[$0] == Float(number) }
            #expect(holds, "block \(number) was overwritten")
        }
        #expect(account.memory.weightBytes == 4 * counts.reduce(0, +))
        withExtendedLifetime(blocks) {}
    }

    @Test
    func block_ThatIsFreed_IsNoLongerResident() throws {
        let neighbour = try space.block(zeroedFloats: 16, for: "a test")
        neighbour.floats[0] = 1
        var block: WeightMemory? = try space.block(zeroedFloats: 1 << 18, for: "a test")
        let middle = try #require(block).base + (1 << 19)
        #expect(isResident(middle))
        block = nil
        #expect(!isResident(middle))
        #expect(neighbour.floats[0] == 1)
        #expect(account.memory.weightBytes == 64)
        withExtendedLifetime(neighbour) {}
    }

    @Test
    func block_BeyondAllMemory_IsRefused() {
        #expect(throws: ComputeError(.outOfMemory, "")) { try space.block(zeroedFloats: .max, for: "a test") }
        #expect(throws: ComputeError(.outOfMemory, "")) { try space.block(zeroedFloats: .max / 8, for: "a test") }
        #expect(account.memory.weightBytes == 0)
    }

    /// Whether the page at an address is resident. False for unmapped addresses.
    private func isResident(_ address: UnsafeMutableRawPointer) -> Bool {
        let page = UInt(getpagesize())
        var state: UInt8 = 0
        let start = UnsafeMutableRawPointer(bitPattern: UInt(bitPattern: address) / page * page)
        return mincore(start, Int(page), &state) == 0 && state & 1 == 1
    }
}
