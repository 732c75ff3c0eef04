// The interface of an importer, and the list of importers. To add a format: one file with its importer, one line here.

import Compute
internal import Files
internal import JSON
import Models

/// Reads one trainer's checkpoints.
protocol CheckpointImporter: Sendable {
    /// The name after `--from`.
    var format: String { get }
    /// The format's name under `source` in descriptions; unless stated, `format`.
    var source: String { get }
    /// What it makes, as descriptions call it under `architecture`.
    var architectures: [String] { get }

    /// Opens a checkpoint and checks it against its description: every tensor that the architecture needs is there in
    /// the right shape, and nothing is left over.
    ///
    /// - Parameters:
    ///   - path: of the file, or of the directory where the format has one.
    ///   - description: what the caller said of it.
    ///   - weights: which of several models in one file, the value of `--weights`.
    /// - Throws: `ImportError`, one sentence.
    func open(path: String, description: ImportDescription, weights: String?) throws(ImportError) -> any ImportedModel
}

extension CheckpointImporter {
    var source: String { format }
}

/// Reads checkpoints that are one file, written by `torch.save`.
protocol FileImporter: CheckpointImporter {
    /// As `open(path:description:weights:)`, of a file that is open already and a description that is for this importer.
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

/// A checkpoint as an architecture of ours.
protocol ImportedModel {
    var architecture: Architecture { get }
    /// The file whose name and digest the bundle states as its origin.
    var file: InputFile { get }
    /// The place of the weights in the file; nil: it has nothing else.
    var origin: WeightsOrigin? { get }
    /// Tensors of the checkpoint that are known and not needed.
    var ignoredTensors: [String] { get }

    /// The items of a model with semantic ids; nil: items are rows of the table.
    var semanticIDs: SemanticIDImport? { get }
    /// The type that all weights are stored in: the checkpoint's, if it has one type that bundles have.
    var dtype: DType { get }

    /// The content of one of the architecture's tensors, in `dtype` and in the shape of its specification.
    func read(_ specification: TensorSpecification) throws(ImportError) -> TensorContent
}

/// All importers.
enum ImporterRegistry {
    static let importers: [any CheckpointImporter] = [
        MetaImporter(), SASRecPyTorchImporter(), HuggingFaceImporter(), PerformanceLawImporter(),
    ]

    /// The words that descriptions may have under `source` and `architecture`.
    static let sources = importers.map(\.source)
    static let architectures = importers.flatMap(\.architectures).reduce(into: [String]()) { words, word in
        if !words.contains(word) { words.append(word) }
    }

    /// The importer of a format.
    ///
    /// - Throws: `ImportError.unsupported` that lists what there is.
    static func importer(of format: String) throws(ImportError) -> any CheckpointImporter {
        if let importer = importers.first(where: { $0.format == format }) {
            return importer
        }
        let known = checkpointFormats.joined(separator: ", ")
        throw ImportError(
            .unsupported,
            "checkpoints of format \(quoted(format)) are not supported, only these: \(known)"
        )
    }
}
