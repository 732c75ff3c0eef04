// What the import tests share: the folder of fixtures, temporary folders, and an import with fewer words.

import Foundation
import Models

@testable import Importers

/// Tests/Fixtures/<name>.
func fixture(_ name: String, file: String = #filePath) -> String {
    let folder = file.split(separator: "/", omittingEmptySubsequences: false).dropLast(2).joined(separator: "/")
    return folder + "/Fixtures/" + name
}

/// A folder of its own for a test, removed with everything in it.
final class TemporaryDirectory {
    let path: String

    /// - Parameter inMemory: in the system's memory file system, where there is one: for tests that write thousands of
    ///   files.
    init(inMemory: Bool = false) throws {
        let memory = "/dev/shm"
        let isMemory = inMemory && FileManager.default.isWritableFile(atPath: memory)
        let parent = isMemory ? memory : FileManager.default.temporaryDirectory.path
        path = parent + "/genrec-import-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }

    deinit {
        // A folder that stays behind in the system's temporary folder harms no later test.
        try? FileManager.default.removeItem(atPath: path)
    }

    /// Writes a file and answers its path.
    func write(_ name: String, _ bytes: some Sequence<UInt8>) throws -> String {
        let path = self.path + "/" + name
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        return path
    }

    /// Names in the folder, sorted.
    func names() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: path).sorted() }
}

func contents(of path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: path))) }

/// The description that fits the tiny checkpoints of `make_fixtures.py` and of `tinyCheckpoint`.
let tinyDescription = """
    {"architecture": "hstu", "source": "meta-generative-recommenders", "max_sequence_length": 5,
     "max_output_length": 1, "d": 4, "blocks": 1, "heads": 2, "dqk": 1, "dv": 2}
    """

/// Imports a checkpoint into `bundle` of a temporary folder.
@discardableResult
func runImport(
    _ checkpointPath: String,
    describe: String?,
    catalogue: String? = nil,
    format: String = "meta",
    name: String = "test",
    into folder: TemporaryDirectory
) throws -> ImportSummary {
    try importCheckpoint(
        format: format,
        checkpointPath: checkpointPath,
        describePath: describe,
        cataloguePath: catalogue,
        name: name,
        version: "1",
        outputDirectory: folder.path + "/bundle"
    )
}
