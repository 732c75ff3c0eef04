// What the import tests share: the folder of fixtures, temporary folders, and an import with fewer words.

import Foundation
import Models
import TestSupport

@testable import Importers

/// Tests/Fixtures/<name>.
func fixture(_ name: String, file: String = #filePath) -> String {
    let folder = file.split(separator: "/", omittingEmptySubsequences: false).dropLast(2).joined(separator: "/")
    return folder + "/Fixtures/" + name
}

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
    weights: String? = nil,
    format: String = "meta",
    name: String = "test",
    into folder: TemporaryDirectory
) throws -> ImportSummary {
    try importCheckpoint(
        format: format,
        checkpointPath: checkpointPath,
        describePath: describe,
        weights: weights,
        cataloguePath: catalogue,
        name: name,
        version: "1",
        outputDirectory: folder.path + "/bundle"
    )
}
