// The arena: alignment, reuse, growth between batches and none in steady state.

import Compute
import Testing

@testable import ComputeCPU

struct ArenaTests {
    @Test
    func handsOutAlignedMemoryThatDoesNotOverlap() throws {
        var arena = Arena()
        var previousEnd: UInt = 0
        for byteCount in [0, 1, 63, 64, 65, 1000] {
            let address = UInt(bitPattern: try arena.allocate(byteCount: byteCount))
            #expect(address % 64 == 0)
            #expect(address >= previousEnd)
            previousEnd = address + UInt(byteCount)
        }
    }

    @Test
    func usesTheSameMemoryAgain_AfterReset() throws {
        var arena = Arena()
        let first = try arena.allocate(byteCount: 100)
        arena.reset()
        #expect(try arena.allocate(byteCount: 200) == first)
    }

    @Test
    func becomesOnePiece_AfterABatchThatNeededSeveral() throws {
        var arena = Arena()
        for _ in 0..<5 { _ = try arena.allocate(byteCount: 3 << 20) }
        arena.reset()
        let reserved = arena.reservedBytes
        #expect(reserved >= 15 << 20)
        var addresses: [UnsafeMutableRawPointer] = []
        for _ in 0..<5 { addresses.append(try arena.allocate(byteCount: 3 << 20)) }
        #expect(arena.reservedBytes == reserved)
        for pair in zip(addresses, addresses.dropFirst()) { #expect(pair.1 - pair.0 == 3 << 20) }
    }

    @Test
    func takesBackWhatCameAfterAMark() throws {
        var arena = Arena()
        _ = try arena.allocate(byteCount: 10)
        let mark = arena.mark
        let scratch = try arena.allocate(byteCount: 10)
        _ = try arena.allocate(byteCount: 5 << 20)
        arena.release(to: mark)
        #expect(try arena.allocate(byteCount: 10) == scratch)
    }

    @Test
    func refuses_MoreThanThereIs() {
        var arena = Arena()
        #expect(throws: ComputeError(.outOfMemory, "")) { try arena.allocate(byteCount: .max) }
        #expect(throws: ComputeError(.outOfMemory, "")) { try arena.allocate(byteCount: .max - 64) }
    }
}
