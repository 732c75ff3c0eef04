// Loads a bundle: a directory with `config.json`, `model.safetensors` and `catalogue.jsonl`, self-contained. Loading
// checks everything, so a model built from it need not check again.

package import Catalogue
package import Compute
package import Files
internal import JSON

/// A bundle that has been read and checked.
package final class ModelBundle: Sendable {
    /// Names of the files in a bundle's directory.
    package enum FileName {
        package static let configuration = "config.json"
        package static let weights = "model.safetensors"
        package static let catalogue = "catalogue.jsonl"
    }

    private static let configurationByteLimit = 1 << 20

    /// The path as given.
    package let directory: String
    package let configuration: BundleConfiguration
    package let catalogue: Catalogue
    /// The weights, in their file: a tensor is read on demand.
    package let weights: SafetensorsFile
    /// Whether items can be added to the model's catalogue.
    package let extensibility: Extensibility
    /// The expected answers; nil: the bundle has none.
    package let golden: GoldenCases?

    package var architecture: Architecture { configuration.architecture }

    private init(
        directory: String,
        configuration: BundleConfiguration,
        weights: SafetensorsFile,
        catalogue: Catalogue,
        golden: GoldenCases?
    ) {
        self.directory = directory
        self.configuration = configuration
        self.weights = weights
        self.catalogue = catalogue
        extensibility = Self.extensibility(configuration, weights)
        self.golden = golden
    }

    /// Loads and checks a bundle: the configuration's keys and ranges; that the weights are exactly the tensors the
    /// architecture needs, in name, shape and dtype, all finite; the catalogue against the item table; the weights'
    /// digest against the golden cases. Checking the golden answers needs a device and is done later.
    ///
    /// - Parameters:
    ///   - ignoresGolden: skips the golden cases, because the caller is about to replace them.
    ///   - progress: called repeatedly with the checked and total bytes of the weights.
    /// - Throws: `FileError`, one sentence that names the file and the key, tensor or line.
    package static func load(
        directory: String,
        ignoresGolden: Bool = false,
        progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
    ) throws(FileError) -> ModelBundle {
        let configuration = try self.configuration(directory: directory)
        let weights = try SafetensorsFile(path: directory + "/" + FileName.weights)
        try check(weights, against: configuration, progress)
        let catalogue = try loadCatalogue(directory + "/" + FileName.catalogue, configuration)
        let golden = ignoresGolden ? nil : try GoldenCases.load(directory: directory, catalogue: catalogue)
        if let golden { try golden.check(weights, directory) }
        return ModelBundle(
            directory: directory,
            configuration: configuration,
            weights: weights,
            catalogue: catalogue,
            golden: golden
        )
    }

    /// Reads and checks only the configuration of the bundle in a directory.
    package static func configuration(directory: String) throws(FileError) -> BundleConfiguration {
        try loadConfiguration(directory + "/" + FileName.configuration)
    }

    /// Reads a tensor that the architecture's specification names.
    ///
    /// - Throws: `FileError.mismatched` for any other name; `.unreadable` if the file cannot be read or has changed
    ///   since loading.
    package func tensor(_ name: String) throws(FileError) -> HostTensor {
        guard let entry = weights.entry(name) else {
            throw FileError(.mismatched, "\(weights.path): tensor \(quoted(name)) is missing")
        }
        return try weights.read(entry)
    }

    /// Whether another bundle differs only in its items: both have semantic ids, so no table row belongs to an item,
    /// and the weights are equal byte for byte. Reads the weights of both unless they are the same file.
    package func mayTakeItems(of other: ModelBundle) throws(FileError) -> Bool {
        guard configuration.semanticIDs != nil, other.configuration.semanticIDs != nil,
            architecture == other.architecture, configuration.dtype == other.configuration.dtype
        else { return false }
        return try weights.isEqual(to: other.weights)
    }

    private static func loadConfiguration(_ path: String) throws(FileError) -> BundleConfiguration {
        let content = try InputFile.contents(of: path, atMost: configurationByteLimit)
        do throws(JSONError) {
            return try BundleConfiguration(
                content.withBytes { bytes throws(JSONError) in try JSONValue(parsing: bytes) }
            )
        } catch {
            throw FileError(.malformed, "\(path): \(error.description)")
        }
    }

    private static func loadCatalogue(
        _ path: String,
        _ configuration: BundleConfiguration
    ) throws(FileError) -> Catalogue {
        guard let rules = configuration.pathRules else {
            return try Catalogue.load(path: path, rowCount: configuration.architecture.configuration.rows)
        }
        return try Catalogue.load(path: path, paths: rules)
    }

    /// New items become rows of the item table, which works only if queries are scored against that table.
    private static func extensibility(
        _ configuration: BundleConfiguration,
        _ weights: SafetensorsFile
    ) -> Extensibility {
        let model = configuration.architecture.configuration
        guard configuration.semanticIDs == nil else {
            return .none(because: "the model's items are paths of tokens, not rows of an item table")
        }
        guard model.scoresItemTable, let entry = weights.entry(model.tensorSpecifications[0].name) else {
            return .none(because: "the model scores items with different rows from those it reads")
        }
        return .by(
            ItemTable(rows: model.rows, width: model.width) { row in
                (try? weights.readRow(Int(row), of: entry)).map(\.floats)
            }
        )
    }

    private static func check(
        _ weights: SafetensorsFile,
        against configuration: BundleConfiguration,
        _ progress: (_ done: Int, _ total: Int) -> Void
    ) throws(FileError) {
        func mismatch(_ name: String, _ reason: String) -> FileError {
            FileError(.mismatched, "\(weights.path): tensor \(quoted(name)) \(reason)")
        }
        let specifications = configuration.architecture.configuration.tensorSpecifications
        let total = specifications.reduce(0) { $0 + weights.byteCount(of: $1.name) }
        var done = 0
        for specification in specifications {
            guard let tensor = weights.entry(specification.name) else {
                throw mismatch(specification.name, "is missing")
            }
            guard tensor.shape == specification.shape else {
                let found = shapeDescription(tensor.shape)
                let needed = shapeDescription(specification.shape)
                throw mismatch(specification.name, "has shape \(found), but config.json requires \(needed)")
            }
            guard tensor.dtype == configuration.dtype else {
                let found = tensor.dtype.rawValue
                throw mismatch(specification.name, "is \(found), but config.json says \(configuration.dtype.rawValue)")
            }
            guard try weights.isFinite(tensor, progress: { progress(done + $0, total) }) else {
                throw mismatch(specification.name, "holds infinities or NaN")
            }
            done += weights.byteCount(of: specification.name)
        }
        let known = Set(specifications.map(\.name))
        if let left = weights.names.first(where: { !known.contains($0) }) {
            throw mismatch(
                left,
                "does not belong to architecture \(configuration.architecture.name.rawValue) of this size"
            )
        }
    }
}
