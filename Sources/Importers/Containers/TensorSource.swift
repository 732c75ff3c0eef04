// The importers' source of tensors by name, for any file format, and the model made from them: each of our tensors is a
// tensor of the checkpoint or a concatenation of several.

import Compute
internal import Files
internal import JSON
import Models

/// The tensors of a checkpoint.
protocol TensorSource {
    /// The checkpoint's name in error messages.
    var path: String { get }
    var names: Set<String> { get }
    /// Where the checkpoint holds them; nil: it holds nothing else.
    var origin: WeightsOrigin? { get }

    /// The shape of a tensor; nil if there is none of that name.
    ///
    /// - Throws: `ImportError` if its bytes are incomplete, so that no size is trusted without data.
    func shape(of name: String) throws(ImportError) -> [Int]?

    /// The stored type of a tensor; nil if there is none of that name.
    func dtype(of name: String) -> TorchDType?

    /// The content of a tensor: contiguous, row-major, in its stored dtype.
    func read(_ name: String) throws(ImportError) -> TensorContent
}

extension TensorSource {
    func missing(_ name: String) -> ImportError {
        let place = origin.map { " (looked for in \($0.description))" } ?? ""
        let near = nearestName(to: name, among: names.sorted()).map { "; the nearest name is \(quoted($0))" } ?? ""
        return ImportError(.mismatched, "\(path): tensor \(quoted(name)) is missing\(place)\(near)")
    }

    /// The number of layers: one more than the highest number after `prefix` in a name.
    func layerCount(_ prefix: String) -> Int {
        let numbers = names.compactMap { name in
            name.hasPrefix(prefix) ? Int(name.dropFirst(prefix.count).prefix { $0.isASCII && $0.isNumber }) : nil
        }
        // The cap is above every architecture's limit, so the architecture refuses the number.
        return min(numbers.max() ?? -1, 1 << 20) + 1
    }

    /// The content of a tensor in float32.
    ///
    /// - Throws: `ImportError`, also if it holds integers.
    func readFloats(_ name: String) throws(ImportError) -> TensorContent {
        let stored = try read(name)
        guard let content = stored.float32() else {
            throw ImportError(
                .mismatched,
                "\(path): tensor \(quoted(name)) is \(stored.dtype.rawValue), but weights must be floating-point"
            )
        }
        return content
    }

    /// The extents of a rank-2 tensor that must exist.
    ///
    /// - Parameter extents: their names in errors, such as "(rows, d)".
    func tableShape(_ name: String, extents: String) throws(ImportError) -> (rows: Int, columns: Int) {
        guard let shape = try shape(of: name) else { throw missing(name) }
        guard shape.count == 2 else {
            throw ImportError(
                .mismatched,
                "\(path): tensor \(quoted(name)) has shape \(shapeDescription(shape)), not \(extents)"
            )
        }
        return (shape[0], shape[1])
    }

    /// Whether two tensors hold the same numbers.
    func areEqual(_ left: String, _ right: String) throws(ImportError) -> Bool {
        let first = try readFloats(left)
        let second = try readFloats(right)
        return first.shape == second.shape
            && withExtendedLifetime((first, second)) { first.bytes.elementsEqual(second.bytes) }
    }
}

/// A tensor of a checkpoint that becomes a tensor of the bundle, or part of one.
struct SourceTensor {
    let name: String
    /// The required shape; nil: that of the bundle's tensor.
    let shape: [Int]?

    init(_ name: String, _ shape: [Int]? = nil) {
        self.name = name
        self.shape = shape
    }
}

/// The checkpoint's tensors that make up each of ours, by our names. Several are concatenated along the first axis.
typealias TensorSources = [String: [SourceTensor]]

/// A model whose tensors come unchanged from a checkpoint.
struct NamedTensorModel: ImportedModel {
    let architecture: Architecture
    let file: InputFile
    let ignoredTensors: [String]
    var origin: WeightsOrigin? { source.origin }
    let semanticIDs: SemanticIDImport?
    let dtype: DType
    private let source: any TensorSource
    private let sources: TensorSources

    /// Checks that the checkpoint holds exactly the architecture's tensors.
    ///
    /// - Parameters:
    ///   - file: the file whose digest the bundle records.
    ///   - ignorable: names in the checkpoint that are not needed.
    ///   - outside: names in the checkpoint outside the model.
    ///   - description: what determined the architecture, for errors.
    /// - Throws: `ImportError.mismatched` that names the tensor.
    init(
        _ source: any TensorSource,
        file: InputFile,
        architecture: Architecture,
        sources: TensorSources,
        ignorable: Set<String> = [],
        outside: [String] = [],
        semanticIDs: SemanticIDImport? = nil,
        description: String
    ) throws(ImportError) {
        self.source = source
        self.file = file
        self.architecture = architecture
        self.sources = sources
        self.semanticIDs = semanticIDs
        let path = source.path
        var unused = source.names
        var dtypes: Set<TorchDType> = []
        for specification in architecture.configuration.tensorSpecifications {
            for part in sources[specification.name] ?? [SourceTensor(specification.name)] {
                guard unused.remove(part.name) != nil, let shape = try source.shape(of: part.name) else {
                    throw source.missing(part.name)
                }
                if let dtype = source.dtype(of: part.name) { dtypes.insert(dtype) }
                let needed = part.shape ?? specification.shape
                guard shape == needed else {
                    throw ImportError(
                        .mismatched,
                        "\(path): tensor \(quoted(part.name)) has shape \(shapeDescription(shape)), "
                            + "but with \(description) it must be \(shapeDescription(needed))"
                    )
                }
            }
        }
        dtype =
            switch dtypes.first {
            case .float16 where dtypes.count == 1: .float16
            case .bfloat16 where dtypes.count == 1: .bfloat16
            default: .float32
            }
        ignoredTensors = unused.intersection(ignorable).sorted() + outside.sorted()
        if let left = unused.subtracting(ignorable).min() {
            throw ImportError(
                .mismatched,
                "\(path): tensor \(quoted(left)) is left over: with \(description) the model has no tensor of that name"
            )
        }
    }

    func read(_ specification: TensorSpecification) throws(ImportError) -> TensorContent {
        var parts: [TensorContent] = []
        for part in sources[specification.name] ?? [] {
            // Mixed dtypes, and one that bundles do not support, become float32.
            parts.append(try dtype == .float32 ? source.readFloats(part.name) : source.read(part.name))
        }
        let content = parts.count == 1 ? parts[0] : TensorContent(joining: parts, shape: specification.shape)
        guard content.bytes.count == dtype.byteCount * specification.count else {
            throw source.missing(specification.name)
        }
        return content
    }
}
