// Text files in their common forms.

import Files
import TestSupport
import Testing

@Suite struct TextFileTests {
    private func read(_ bytes: [UInt8]) throws -> String {
        let folder = try TemporaryDirectory()
        return String(decoding: try TextFile.contents(of: folder.write("f", bytes)), as: UTF8.self)
    }

    @Test func plain_Compressed_AndMarked_AreTheSame() throws {
        let text = Array("a\tb\n".utf8)
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        for bytes in [text, mark + text, try gzip(text), try gzip(mark + text)] {
            #expect(try read(bytes) == "a\tb\n")
        }
        #expect(try read([]) == "")
        #expect(try read(gzip([])) == "")
    }

    @Test func membersOfAGzipFile_FollowEachOther_AndPaddingIsPassedOver() throws {
        let long = Array(repeating: UInt8(ascii: "x"), count: 1_000_000)
        let bytes = try gzip(long) + gzip(Array("y".utf8)) + [0, 0, 0]
        #expect(try read(bytes) == String(decoding: long, as: UTF8.self) + "y")
    }

    @Test func damagedGzip_IsRefused() throws {
        let good = try gzip(Array((0..<20_000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 3) }))
        for length in [10, good.count / 2, good.count - 9, good.count - 1] {
            #expect(throws: FileError(.malformed, "")) { try read(Array(good[..<length])) }
        }
        for index in [12, good.count / 2, good.count - 6] {
            var bytes = good
            bytes[index] ^= 0x55
            #expect(throws: FileError(.malformed, "")) { try read(bytes) }
        }
        #expect(throws: FileError(.malformed, "")) { try read(good + Array("tail".utf8)) }
    }

    @Test func otherEncodings_AreNamed() throws {
        for mark: [UInt8] in [[0xFF, 0xFE], [0xFE, 0xFF]] {
            #expect(throws: FileError(.malformed, "")) { try read(mark + [0x61, 0x00]) }
        }
    }

    @Test(
        arguments: [
            ([], nil), ([0x61], nil), ([0xC3, 0xA9], nil), ([0x61, 0xE9, 0x62], 1), ([0xE2, 0x82, 0xAC, 0x80], 3),
            ([0x61, 0xE2, 0x82], 1), ([0xED, 0xA0, 0x80], 0),
        ] as [([UInt8], Int?)]
    )
    func firstByteThatIsNotUTF8_IsFound(bytes: [UInt8], offset: Int?) {
        #expect(bytes.withUnsafeBufferPointer { TextFile.firstInvalidByte($0) } == offset)
    }
}
