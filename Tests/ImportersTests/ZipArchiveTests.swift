// The zip reader: valid archives, and every kind of false value in one.

import Files
import Models
import TestSupport
import Testing

@testable import Importers

@Suite struct ZipArchiveTests {
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory()
    }

    private func open(_ bytes: [UInt8]) throws -> ZipArchive {
        try ZipArchive(InputFile(path: try folder.write("a.zip", bytes)))
    }

    private func message(_ bytes: [UInt8], reading name: String? = nil) -> String {
        do {
            let archive = try open(bytes)
            if let name, let entry = archive[name] { _ = try archive.read(entry) }
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    private func content(_ archive: ZipArchive, _ name: String) throws -> [UInt8] {
        let entry = try #require(archive[name])
        let content = try archive.read(entry)
        return withExtendedLifetime(content) { Array(content.bytes) }
    }

    @Test func storedAndDeflatedEntries_AreRead() throws {
        let long = [UInt8](repeating: 7, count: 1_000_000) + Array(0...255)
        let archive = try open(
            zip([
                ZipBuilderEntry("a/b", [1, 2, 3]), .deflated("a/c", long), ZipBuilderEntry("e", []), .deflated("f", []),
            ])
        )
        #expect(try content(archive, "a/b") == [1, 2, 3])
        #expect(try content(archive, "a/c") == long)
        #expect(try content(archive, "e") == [])
        #expect(try content(archive, "f") == [])
        #expect(archive["A/B"] == nil)
    }

    @Test func commentAndFolderEntry_AreFine() throws {
        let archive = try open(
            zip([ZipBuilderEntry("a/", []), ZipBuilderEntry("a/b", [1])], comment: Array("PK hello".utf8))
        )
        #expect(archive.entries.map(\.name) == ["a/", "a/b"])
    }

    @Test func everyTruncation_IsAnErrorNotACrash() throws {
        let bytes = zip([ZipBuilderEntry("a/b", [1, 2, 3]), .deflated("a/c", [5, 6, 7])])
        for count in 0..<bytes.count {
            #expect(message(Array(bytes[..<count])) != "no error")
        }
    }

    @Test(arguments: ["/a", "a//b", "../a", "a/../b", "a/.", "a\\b", "", "a\u{0}b", "a\nb", "a\u{7F}"])
    func nameThatIsNoPlainPath_IsRefused(name: String) {
        #expect(message(zip([ZipBuilderEntry(name, [1])])).contains("is not a plain path"))
    }

    /// A false value and the sentence about it.
    static let lies: [(String, @Sendable (inout ZipBuilderEntry) -> Void, String)] = [
        ("encrypted", { $0.flags = 1 }, "is encrypted"),
        ("strange flags", { $0.flags = 1 << 5 }, "flags that are not supported"),
        ("bzip2", { $0.method = 12 }, "compressed by method 12"),
        ("two stored sizes", { $0.size = 2 }, "states two different sizes"),
        ("stored beyond the end", { ($0.size, $0.compressedSize) = (500, 500) }, "extends past the end"),
        ("other local name", { $0.localName = "y" }, "headers of the entry \"x\" disagree"),
        ("other local method", { $0.localMethod = 8 }, "headers of the entry \"x\" disagree"),
        ("other local size", { $0.localSize = 9 }, "headers of the entry \"x\" disagree"),
        ("other place", { $0.localOffset = 1 }, "there is no entry where"),
        ("place beyond", { $0.localOffset = 0xFFFF_0000 }, "extends past the end of the archive"),
        ("zip64 without its field", { $0.localOffset = UInt32.max }, "lacks its zip64 field"),
        (
            "zip64 field cut short", { ($0.localOffset, $0.extra) = (UInt32.max, [1, 0, 4, 0, 1, 1, 1, 1]) },
            "past its end"
        ),
        (
            "zip64 offset beyond",
            { ($0.localOffset, $0.extra) = (UInt32.max, [1, 0, 8, 0] + [UInt8](repeating: 255, count: 8)) },
            "extends past the end of the archive"
        ),
        ("descriptor missing", { $0.flags = 8 }, "disagrees with its header"),
    ]

    @Test(arguments: lies.indices)
    func lie_IsRefusedWithOneSentence(index: Int) {
        let (name, change, expected) = Self.lies[index]
        var entry = ZipBuilderEntry("x", [1, 2, 3])
        change(&entry)
        let message = message(zip([entry]))
        #expect(message.contains(expected), "\(name): \(message)")
        #expect(message.hasPrefix(folder.path))
    }

    @Test func wrongChecksum_IsRefusedWhenTheEntryIsRead() {
        var entry = ZipBuilderEntry("x", [1, 2, 3])
        entry.crc32 = 5
        #expect(message(zip([entry])) == "no error")
        #expect(message(zip([entry]), reading: "x").contains("does not match its CRC-32"))
    }

    @Test func sameNameTwice_IsRefused() {
        #expect(message(zip([ZipBuilderEntry("x", [1]), ZipBuilderEntry("x", [2])])).contains("\"x\" appears twice"))
    }

    @Test func overlappingEntries_AreRefused() {
        var second = ZipBuilderEntry("x", [1])
        second.localOffset = 0
        second.name = "x"
        var first = ZipBuilderEntry("x", [1])
        first.name = "x"
        #expect(message(zip([first, second])).contains("overlap"))
    }

    @Test func entryThatReachesIntoTheDirectory_IsRefused() {
        var entry = ZipBuilderEntry("x", [1, 2, 3])
        (entry.size, entry.compressedSize) = (40, 40)
        #expect(message(zip([entry])).contains("extends past the end"))
    }

    @Test func endRecordThatLies_IsRefused() {
        let entry = ZipBuilderEntry("x", [1])
        #expect(message(zip([entry], entryCount: 2)).contains("damaged zip archive"))
        #expect(message(zip([entry], entryCount: 0)).contains("bytes after the last entry"))
        #expect(message(zip([entry], directoryOffset: 3)).contains("does not end where"))
        #expect(message(zip([entry], disk: 1)).contains("multi-part"))
        #expect(message(zip([entry], directoryOffset: UInt32.max)).contains("zip64 end record is missing"))
        #expect(message(zip([entry], beforeDirectory: [9, 9])) == "no error", "bytes between are nobody's")
    }

    @Test func bomb_IsRefusedBeforeAnythingIsAllocated() {
        var entry = ZipBuilderEntry.deflated("x", [UInt8](repeating: 0, count: 1000))
        entry.size = 0xFFFF_FFF0
        #expect(message(zip([entry])).contains("claims to inflate from"))
    }

    @Test func streamThatIsShorterOrLongerThanStated_IsRefused() {
        let content = [UInt8](repeating: 0, count: 1000)
        for size in [999, 1001, 0] as [UInt32] {
            var entry = ZipBuilderEntry.deflated("x", content)
            entry.size = size
            #expect(message(zip([entry]), reading: "x").contains("does not inflate to the \(size) bytes"))
        }
        var padded = ZipBuilderEntry.deflated("x", content)
        padded.stored?.append(0)
        #expect(message(zip([padded]), reading: "x").contains("does not inflate"))
        var cut = ZipBuilderEntry.deflated("x", content)
        cut.stored?.removeLast()
        #expect(message(zip([cut]), reading: "x").contains("does not inflate"))
        var damaged = ZipBuilderEntry.deflated("x", content)
        damaged.stored = [0xFF, 0xFF, 0xFF]
        #expect(message(zip([damaged]), reading: "x").contains("does not inflate"))
    }
}
