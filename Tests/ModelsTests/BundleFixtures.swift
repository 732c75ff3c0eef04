// Shared by the bundle tests: temporary folders, a small configuration, and a bundle written from it.

import Catalogue
import Compute
import Foundation

@testable import Models

/// D 4, one layer, two heads, dqk 1, dv 2, N 6, `rows` item rows.
func tinyConfiguration(rows: Int = 7, concatUA: Bool = false, relativeBias: Bool = true) throws -> HSTUConfiguration {
    try HSTUConfiguration {
        $0.width = 4
        $0.layers = 1
        $0.heads = 2
        $0.attentionDimension = 1
        $0.linearDimension = 2
        $0.maxSequenceLength = 5
        $0.maxOutputLength = 1
        $0.concatUA = concatUA
        $0.relativeBias = relativeBias ? .positionAndTime : .none
        $0.outputNormalization = .l2
        $0.itemL2Norm = true
        $0.rows = rows
    }
}

func tinyBundleConfiguration(_ model: HSTUConfiguration, dtype: DType = .float32) throws -> BundleConfiguration {
    try BundleConfiguration(
        name: "tiny",
        version: "1",
        architecture: Architecture(model),
        dtype: dtype,
        provenance: Provenance(source: "test", file: "none.pt", sha256: String(repeating: "0", count: 64))
    )
}

/// Writes a bundle whose weights are all 0.5 and whose ids are row numbers.
@discardableResult
func writeTinyBundle(_ directory: String, model: HSTUConfiguration) throws -> BundleConfiguration {
    let configuration = try tinyBundleConfiguration(model)
    try BundleWriter.write(
        directory: directory,
        configuration: configuration,
        catalogue: Catalogue.numbered(rows: model.rows)
    ) { writer in
        for specification in model.tensorSpecifications {
            let values = [Float](repeating: 0.5, count: specification.count)
            try values.withUnsafeBytes { bytes in
                try writer.append(
                    HostTensor(name: specification.name, dtype: .float32, shape: specification.shape, bytes: bytes)
                )
            }
        }
    }
    return configuration
}

/// A safetensors file with this header and this many bytes of data.
func safetensors(_ header: String, data: Int) -> [UInt8] {
    let length = UInt64(header.utf8.count)
    return (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + Array(header.utf8)
        + (0..<data).map { UInt8(truncatingIfNeeded: $0) }
}
