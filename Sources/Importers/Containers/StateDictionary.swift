// A PyTorch state dict: names to tensors, as every importer of `torch.save` files meets it.

internal import JSON
import Models

/// The tensors of a model by name.
struct StateDictionary: TensorSource {
    private let checkpoint: TorchCheckpoint
    private var tensors: [String: TorchTensor] = [:]

    /// Finds the state dict of a checkpoint: under `key`, or the whole checkpoint if that holds tensors only.
    ///
    /// - Parameter prefixes: what wrappers (DistributedDataParallel, `torch.compile`) put before every name; each is
    ///   removed if all names have it.
    /// - Throws: `ImportError` if there is none, a name stands twice, or an entry is no tensor.
    init(_ checkpoint: TorchCheckpoint, under key: String, prefixes: [String]) throws(ImportError) {
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
        var wrapped = ""
        for prefix in prefixes where !entries.isEmpty && entries.allSatisfy({ $0.key.hasPrefix(wrapped + prefix) }) {
            wrapped += prefix
        }
        for entry in entries {
            let name = String(entry.key.dropFirst(wrapped.count))
            guard let tensor = graph.tensor(entry.value) else { throw fault("\(quoted(entry.key)) is no tensor") }
            guard tensors.updateValue(tensor, forKey: name) == nil else {
                throw fault("the tensor \(quoted(entry.key)) stands twice")
            }
        }
    }

    var path: String { checkpoint.path }
    var names: Set<String> { Set(tensors.keys) }

    func shape(of name: String) throws(ImportError) -> [Int]? {
        guard let tensor = tensors[name] else { return nil }
        try checkpoint.locate(tensor, name: name)
        return tensor.shape
    }

    func read(_ name: String) throws(ImportError) -> TensorContent {
        guard let tensor = tensors[name] else { throw missing(name) }
        return try checkpoint.read(tensor, name: name)
    }
}
