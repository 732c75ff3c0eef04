// Shared by the import tests: the folder of fixtures, temporary folders, and a shorter call for an import.

import Compute
import Files
import Foundation
import Models
import TestSupport

@testable import Importers

/// Tests/Fixtures/<name>.
func fixture(_ name: String, file: String = #filePath) -> String {
    let folder = file.split(separator: "/", omittingEmptySubsequences: false).dropLast(2).joined(separator: "/")
    return folder + "/Fixtures/" + name
}

/// SHA-256 in hexadecimal digits.
func sha256(of bytes: UnsafeRawBufferPointer) -> String? { SHA256Digest(of: bytes)?.hexadecimal }
func sha256(of file: InputFile) throws -> String { try SHA256Digest(of: file).hexadecimal }

/// SHA-256 of a tensor's elements as float32, whatever its stored type.
func widenedSHA256(_ tensor: HostTensor) -> String? {
    guard let dtype = TorchDType(rawValue: tensor.dtype.rawValue) else { return nil }
    let content = TensorContent(
        tensor.bytes,
        dtype: dtype,
        shape: tensor.shape,
        owner: tensor.owner ?? TorchDTypeOwner()
    )
    guard let floats = content.float32() else { return nil }
    return withExtendedLifetime((tensor, floats)) { sha256(of: floats.bytes) }
}

/// Owns nothing.
private final class TorchDTypeOwner {}

/// The description for the tiny checkpoints of `make_fixtures.py` and of `tinyCheckpoint`.
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
