// `genrec import`: turns a checkpoint, a description and a catalogue into a bundle.

internal import Catalogue
import Compute
internal import Files
internal import JSON
package import Models

/// The result of an import.
package struct ImportSummary: Sendable {
    /// As in the bundle's `config.json`.
    package let configuration: BundleConfiguration
    /// Items of the catalogue.
    package let itemCount: Int
    /// Tensors of the checkpoint that are known but not needed, by their names there.
    package let ignoredTensors: [String]
    /// Where the checkpoint holds the weights; nil: it holds nothing else.
    package let origin: WeightsOrigin?
    /// Facts of a model with semantic ids.
    package let semanticIDs: SemanticIDSummary?
}

/// The checkpoint formats: the values of `--from`.
package let checkpointFormats = ImporterRegistry.importers.map(\.format)

/// Imports a checkpoint. Weights keep their dtype if all are float32, all float16 or all bfloat16; otherwise they are
/// stored as float32. (`--dtype` of the server chooses the dtype of the computation.)
///
/// - Parameters:
///   - format: the checkpoint's format, the value of `--from`.
///   - checkpointPath: the file, or a Hugging Face directory. The bundle's provenance names the weights file, or the
///     index of the shards.
///   - describePath: JSON with what the checkpoint does not say; nil if it says everything.
///   - weights: selects one of several models in one file, by a name that the error lists; nil: there is only one.
///   - cataloguePath: `catalogue.jsonl` for the checkpoint's item table; nil: ids are the row numbers.
///   - name: the bundle's name, 1 to 128 bytes of printable text.
///   - version: the bundle's version, likewise.
///   - outputDirectory: the bundle's directory; absent or empty. Its parent exists.
///   - progress: called after each tensor with the written and total bytes of the weights.
/// - Throws: `ImportError` or `FileError`, one sentence each; nothing is left behind.
package func importCheckpoint(
    format: String,
    checkpointPath: String,
    describePath: String?,
    weights: String? = nil,
    cataloguePath: String?,
    name: String,
    version: String,
    outputDirectory: String,
    progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
) throws -> ImportSummary {
    let importer = try ImporterRegistry.importer(of: format)
    try BundleWriter.checkOutput(outputDirectory)
    let description = try describePath.map { path throws(ImportError) in try ImportDescription(path: path) }
    let model = try importer.open(
        path: checkpointPath,
        description: description ?? .nothing,
        weights: weights
    )
    let configuration = try bundleConfiguration(
        name: name,
        version: version,
        architecture: model.architecture,
        semanticIDs: model.semanticIDs?.configuration,
        dtype: model.dtype,
        provenance: try Provenance(
            source: importer.format,
            file: model.file.path.split(separator: "/").last.map(String.init) ?? model.file.path,
            sha256: SHA256Digest(of: model.file).hexadecimal
        )
    )
    let rows = model.architecture.configuration.rows
    guard model.semanticIDs == nil || cataloguePath == nil else {
        throw ImportError(.badDescription, "with semantic_ids the index is the catalogue: leave out --catalogue")
    }
    let catalogue =
        if let items = model.semanticIDs {
            items.catalogue
        } else if let cataloguePath {
            try Catalogue.load(path: cataloguePath, rowCount: rows)
        } else {
            Catalogue.numbered(rows: rows)
        }
    try BundleWriter.write(directory: outputDirectory, configuration: configuration, catalogue: catalogue) { writer in
        let specifications = model.architecture.configuration.tensorSpecifications
        func byteCount(_ shape: [Int]) -> Int { shape.reduce(model.dtype.byteCount, *) }
        let total = specifications.reduce(0) { $0 + byteCount($1.shape) }
        var done = 0
        // Only one tensor at a time is in memory.
        for specification in specifications {
            let content = try model.read(specification)
            try withExtendedLifetime(content) {
                let tensor = HostTensor(
                    name: specification.name,
                    dtype: model.dtype,
                    shape: specification.shape,
                    bytes: content.bytes
                )
                guard tensor.isFinite else {
                    throw ImportError(
                        .malformed,
                        "\(checkpointPath): the tensor that becomes \(quoted(specification.name)) holds infinities or NaN"
                    )
                }
                try writer.append(tensor)
            }
            done += byteCount(specification.shape)
            progress(done, total)
        }
    }
    return ImportSummary(
        configuration: configuration,
        itemCount: catalogue.count,
        ignoredTensors: model.ignoredTensors,
        origin: model.origin,
        semanticIDs: model.semanticIDs?.summary
    )
}

private func bundleConfiguration(
    name: String,
    version: String,
    architecture: Architecture,
    semanticIDs: SemanticIDs?,
    dtype: DType,
    provenance: Provenance
) throws(ImportError) -> BundleConfiguration {
    do throws(JSONError) {
        return try BundleConfiguration(
            name: name,
            version: version,
            architecture: architecture,
            semanticIDs: semanticIDs,
            dtype: dtype,
            provenance: provenance
        )
    } catch {
        throw ImportError(.badDescription, error.description)
    }
}
