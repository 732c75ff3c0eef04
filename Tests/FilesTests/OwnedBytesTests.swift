// Private memory, from the heap and from the system.

import Files
import Testing

@Suite struct OwnedBytesTests {
    private struct Failure: Error {}

    @Test(arguments: [0, 1, 4096, 1 << 20, (3 << 20) + 5])
    func bytes_AreWhatWasFilledIn(count: Int) throws {
        let content = try #require(
            OwnedBytes(count: count) { memory in
                for index in memory.indices { memory[index] = UInt8(truncatingIfNeeded: index) }
            }
        )
        content.withBytes { bytes in
            #expect(bytes.count == count)
            #expect(UInt(bitPattern: bytes.baseAddress).isMultiple(of: 64))
            #expect(bytes.enumerated().allSatisfy { $1 == UInt8(truncatingIfNeeded: $0) })
        }
    }

    @Test func moreThanThereIs_IsNil() {
        #expect(OwnedBytes(count: 1 << 60) { _ in } == nil)
    }

    @Test(arguments: [1, 1 << 20])
    func fillingThatFails_Throws(count: Int) {
        #expect(throws: Failure.self) { _ = try OwnedBytes(count: count) { _ throws(Failure) in throw Failure() } }
    }
}
