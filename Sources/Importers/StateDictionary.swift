// A PyTorch state dict: names to tensors, as every importer of `torch.save` files meets it, and a model whose tensors are
// those of a state dict one to one.

import Compute
import Models

/// The tensors of a model by name.
struct StateDictionary {
    let checkpoint: TorchCheckpoint
    private(set) var tensors: [String: TorchTensor] = [:]

    /// Finds the state dict of a checkpoint: under `key`, or the whole checkpoint if that holds tensors only.
    ///
    /// - Parameter prefix: what a wrapper (DistributedDataParallel) puts before every name; removed if all names have it.
    /// - Throws: `ImportError` if there is none, a name stands twice, or an entry is no tensor.
    init(_ checkpoint: TorchCheckpoint, under key: String, prefix: String) throws(ImportError) {
        self.checkpoint = checkpoint
        let graph = checkpoint.graph
        func fault(_ reason: String) -> ImportError { ImportError(.mismatched, "\(checkpoint.path): \(reason)") }
        guard let root = graph.entries(graph.root) else { throw fault("the checkpoint is no dictionary") }
        // The later entry counts, as in Python.
        let inner = root.last { $0.key == key }
        let isBare = !root.isEmpty && root.allSatisfy { graph.tensor($0.value) != nil }
        guard let entries = inner.map({ graph.entries($0.value) }) ?? (isBare ? root : nil) else {
            throw fault("the checkpoint has neither a dictionary \(quoted(key)) nor tensors alone")
        }
        let hasPrefix = !entries.isEmpty && entries.allSatisfy { $0.key.hasPrefix(prefix) }
        for entry in entries {
            let name = hasPrefix ? String(entry.key.dropFirst(prefix.count)) : entry.key
            guard let tensor = graph.tensor(entry.value) else { throw fault("\(quoted(entry.key)) is no tensor") }
            guard tensors.updateValue(tensor, forKey: name) == nil else {
                throw fault("the tensor \(quoted(entry.key)) stands twice")
            }
        }
    }

    func missing(_ name: String) -> ImportError {
        ImportError(.mismatched, "\(checkpoint.path): tensor \(quoted(name)) is missing")
    }
}

/// A model each of whose tensors is a tensor of the checkpoint as it is.
struct StateDictionaryModel: ImportedModel {
    let architecture: Architecture
    let ignoredTensors: [String]
    private let state: StateDictionary
    private let sources: [String: String]

    /// Checks that the state dict holds exactly the architecture's tensors.
    ///
    /// - Parameters:
    ///   - sources: names in the checkpoint by our own names.
    ///   - ignorable: names that may be in the checkpoint and are not needed.
    ///   - description: the path of the description that the architecture was made from.
    /// - Throws: `ImportError.mismatched` that names the tensor.
    init(
        _ state: StateDictionary,
        architecture: Architecture,
        sources: [String: String],
        ignorable: Set<String>,
        description: String
    ) throws(ImportError) {
        self.state = state
        self.architecture = architecture
        self.sources = sources
        let path = state.checkpoint.path
        var unused = state.tensors
        for specification in architecture.configuration.tensorSpecifications {
            guard let source = sources[specification.name], let tensor = unused.removeValue(forKey: source) else {
                throw state.missing(sources[specification.name] ?? specification.name)
            }
            // Before anything is sized by what the pickle states, it must be backed by bytes.
            try state.checkpoint.locate(tensor, name: source)
            guard tensor.shape == specification.shape else {
                throw ImportError(
                    .mismatched,
                    "\(path): tensor \(quoted(source)) has shape \(shapeDescription(tensor.shape)), "
                        + "but by \(description) it is \(shapeDescription(specification.shape))"
                )
            }
        }
        ignoredTensors = unused.keys.filter(ignorable.contains).sorted()
        if let left = unused.keys.filter({ !ignorable.contains($0) }).min() {
            throw ImportError(
                .mismatched,
                "\(path): tensor \(quoted(left)) is left over: the model that \(description) describes has none of that name"
            )
        }
    }

    func read(_ specification: TensorSpecification) throws(ImportError) -> TensorContent {
        guard let source = sources[specification.name], let tensor = state.tensors[source] else {
            throw state.missing(specification.name)
        }
        let stored = try state.checkpoint.read(tensor, name: source)
        guard let content = stored.float32() else {
            throw ImportError(
                .mismatched,
                "\(state.checkpoint.path): tensor \(quoted(source)) is \(stored.dtype.rawValue), weights are floating-point"
            )
        }
        return content
    }
}
