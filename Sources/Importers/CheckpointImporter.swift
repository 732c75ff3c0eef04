// The interface of an importer, and the list of them. To add a format: a file with its importer, and a line here.

import Compute
internal import Files
internal import JSON
import Models

/// Reads one trainer's checkpoints.
protocol CheckpointImporter: Sendable {
    /// The value of `--from`.
    var format: String { get }
    /// The format's name under `source` in descriptions; `format` by default.
    var source: String { get }
    /// The architectures that it imports, as descriptions name them under `architecture`.
    var architectures: [String] { get }

    /// Opens a checkpoint and checks it against its description: every tensor that the architecture needs exists in the
    /// right shape, and no other tensor is left.
    ///
    /// - Parameters:
    ///   - path: the file, or the directory if the format has one.
    ///   - description: the caller's description.
    ///   - weights: selects one of several models in one file; the value of `--weights`.
    /// - Throws: `ImportError`, one sentence.
    func open(path: String, description: ImportDescription, weights: String?) throws(ImportError) -> any ImportedModel
}

extension CheckpointImporter {
    var source: String { format }
}

/// Reads checkpoints that consist of one file written by `torch.save`.
protocol FileImporter: CheckpointImporter {
    /// As `open(path:description:weights:)`, for an open file and a description already checked for this importer.
    func open(
        _ checkpoint: InputFile,
        description: ImportDescription,
        weights: String?
    ) throws(ImportError) -> any ImportedModel
}

extension FileImporter {
    func open(path: String, description: ImportDescription, weights: String?) throws(ImportError) -> any ImportedModel {
        let file = try openFile(path)
        try description.check(for: self)
        return try open(file, description: description, weights: weights)
    }
}

/// Opens a file of a checkpoint.
func openFile(_ path: String) throws(ImportError) -> InputFile {
    do throws(FileError) {
        return try InputFile(path: path)
    } catch {
        throw ImportError(error)
    }
}

/// A checkpoint as one of our architectures.
protocol ImportedModel {
    var architecture: Architecture { get }
    /// The file whose name and digest the bundle records as its provenance.
    var file: InputFile { get }
    /// Where the file holds the weights; nil: it holds nothing else.
    var origin: WeightsOrigin? { get }
    /// Tensors of the checkpoint that are known but not needed.
    var ignoredTensors: [String] { get }

    /// The items of a model with semantic ids; nil: items are rows of the table.
    var semanticIDs: SemanticIDImport? { get }
    /// The dtype of all stored weights: the checkpoint's, if its tensors share one that bundles support, else float32.
    var dtype: DType { get }

    /// The content of one of the architecture's tensors, in `dtype` and in the shape of its specification.
    func read(_ specification: TensorSpecification) throws(ImportError) -> TensorContent
}

/// All importers.
enum ImporterRegistry {
    static let importers: [any CheckpointImporter] = [
        MetaImporter(), SASRecPyTorchImporter(), HuggingFaceImporter(), PerformanceLawImporter(),
    ]

    /// The values that descriptions may have under `source` and `architecture`.
    static let sources = importers.map(\.source)
    static let architectures = importers.flatMap(\.architectures).reduce(into: [String]()) { words, word in
        if !words.contains(word) { words.append(word) }
    }

    /// The importer of a format.
    ///
    /// - Throws: `ImportError.unsupported` that lists the known formats.
    static func importer(of format: String) throws(ImportError) -> any CheckpointImporter {
        if let importer = importers.first(where: { $0.format == format }) {
            return importer
        }
        let known = checkpointFormats.joined(separator: ", ")
        throw ImportError(
            .unsupported,
            "checkpoints of format \(quoted(format)) are not supported; the supported formats are \(known)"
        )
    }
}
