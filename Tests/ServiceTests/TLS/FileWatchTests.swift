// The moment when changed files are read again.

import Foundation
import Testing

@testable import Service

@Suite struct FileWatchTests {
    /// Whether each look reads the files, for a sequence of file states.
    private static func reads(_ states: [Int]) -> [Bool] {
        var watch = FileWatch(used: 0)
        return states.map { watch.shouldRead($0) }
    }

    @Test func change_IsReadOnce_WhenItHoldsStill() {
        #expect(Self.reads([0, 0, 0]) == [false, false, false])
        #expect(Self.reads([1, 1, 1, 1]) == [false, true, false, false])
        #expect(Self.reads([1, 2, 3, 3, 3]) == [false, false, false, true, false])
        // Reverted before it was read.
        #expect(Self.reads([1, 0, 0]) == [false, false, false])
        #expect(Self.reads([1, 1, 0, 0, 1, 1]) == [false, true, false, true, false, true])
    }

    @Test func change_HoldsStillForAsManyLooksAsAskedFor() {
        var watch = FileWatch(used: 0, steadyLooks: 3)
        #expect(
            [1, 1, 2, 2, 2, 2, 0, 0, 0].map { watch.shouldRead($0) } == [
                false, false, false, false, true, false, false, false, true,
            ]
        )
    }

    @Test func stateThatWasReadForAnotherReason_IsNotReadAgain() {
        var watch = FileWatch(used: 0)
        var reads = [watch.shouldRead(1)]
        watch.note(used: 1)
        for _ in 0..<3 { reads.append(watch.shouldRead(1)) }
        #expect(reads == [false, false, false, false])
    }

    @Test func fingerprint_TellsStatesOfAFileApart() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("genrec-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appendingPathComponent("file")
        func fingerprint() -> FileFingerprint? { FileFingerprint(path: file.path) }
        #expect(fingerprint() == nil)
        try Data("a".utf8).write(to: file)
        let first = try #require(fingerprint())
        #expect(fingerprint() == first)
        try Data("bc".utf8).write(to: file)
        let second = fingerprint()
        #expect(second != first)
        // Another file of the same size replaces it.
        try Data("de".utf8).write(to: file, options: .atomic)
        #expect(fingerprint() != second)
    }
}
