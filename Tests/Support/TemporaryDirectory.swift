// A temporary folder for each test that needs files.

internal import Foundation

/// A test's temporary folder, removed with its content.
package final class TemporaryDirectory: Sendable {
    package let path: String

    /// - Parameter inMemory: under /dev/shm if it exists, for tests that write thousands of files.
    package init(inMemory: Bool = false) throws {
        let parent =
            inMemory && FileManager.default.isWritableFile(atPath: "/dev/shm")
            ? "/dev/shm" : FileManager.default.temporaryDirectory.path
        path = parent + "/genrec-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }

    deinit {
        // A folder that remains in the system's temporary folder harms no later test.
        try? FileManager.default.removeItem(atPath: path)
    }

    /// Writes a file and returns its path.
    package func write(_ name: String, _ bytes: some Sequence<UInt8>) throws -> String {
        let path = self.path + "/" + name
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        return path
    }

    /// Names in the folder, or in a subfolder, sorted.
    package func names(in folder: String = "") throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path + "/" + folder).sorted()
    }
}

/// The bytes of a file.
package func contents(of path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: path))) }
