// Tensors in shards that an index file lists (`model.safetensors.index.json`, `pytorch_model.bin.index.json`), as
// Hugging Face writes them, and the detection of a shard's file format.

internal import Files
internal import JSON
import Models

/// The tensors of a weights file: safetensors, or a state dictionary or model written by `torch.save`.
func openTensors(_ path: String) throws(ImportError) -> any TensorSource {
    let file = try openFile(path)
    let start = try file.piece(0..<min(16, file.byteCount))
    // The byte after the header's length; no PyTorch container has a brace there.
    let isSafetensors = start.withBytes { $0.dropFirst(8).first == UInt8(ascii: "{") }
    if path.hasSuffix(".safetensors") || isSafetensors { return try SafetensorsSource(path: path) }
    return try StateDictionary(whole: TorchCheckpoint(file))
}

/// The tensors of several files.
struct ShardedTensors: TensorSource {
    private static let indexByteLimit = 64 << 20
    private static let shardLimit = 4096

    let path: String
    private let shards: [any TensorSource]
    /// The shard number of each tensor.
    private let places: [String: Int]

    var names: Set<String> { Set(places.keys) }
    var origin: WeightsOrigin? { nil }

    /// Opens the shards that an index names, and checks index and shards against each other.
    ///
    /// - Parameter index: `{"weight_map": {"<tensor>": "<file beside the index>", …}, …}`.
    /// - Throws: `ImportError` that names the index and the shard or tensor.
    init(index: InputFile) throws(ImportError) {
        path = index.path
        func fault(_ reason: String) -> ImportError { ImportError(.malformed, "\(index.path): \(reason)") }
        guard index.byteCount <= Self.indexByteLimit else {
            throw fault("larger than \(Self.indexByteLimit) bytes")
        }
        let content = try index.piece(0..<index.byteCount)
        var map: JSONFields
        do throws(JSONError) {
            let document = try content.withBytes { bytes throws(JSONError) in try JSONValue(parsing: bytes) }
            var fields = try JSONFields(document)
            map = try fields.object("weight_map")
        } catch {
            throw fault(error.description)
        }
        let folder = index.path.parentFolder
        var shards: [any TensorSource] = []
        var held: [Set<String>] = []
        var numbers: [String: Int] = [:]
        var places: [String: Int] = [:]
        for name in map.names {
            guard let shard = try? map.string(name) else { throw fault("the shard of \(quoted(name)) is not a string") }
            guard !shard.isEmpty, shard != ".", shard != "..", !shard.utf8.contains(UInt8(ascii: "/")),
                !shard.utf8.contains(0)
            else {
                throw fault("the shard \(quoted(shard)) of \(quoted(name)) does not name a file in the same folder")
            }
            if numbers[shard] == nil {
                guard shards.count < Self.shardLimit else { throw fault("more than \(Self.shardLimit) shards") }
                numbers[shard] = shards.count
                let opened = try openTensors(folder + shard)
                shards.append(opened)
                held.append(opened.names)
            }
            guard let number = numbers[shard], held[number].contains(name) else {
                throw fault("tensor \(quoted(name)) is not in \(quoted(shard)), where the index places it")
            }
            places[name] = number
        }
        for (number, shard) in shards.enumerated() {
            if let left = held[number].sorted().first(where: { places[$0] != number }) {
                throw fault("tensor \(quoted(left)) of \(shard.path) is not in the index")
            }
        }
        self.shards = shards
        self.places = places
    }

    func shape(of name: String) throws(ImportError) -> [Int]? {
        guard let number = places[name] else { return nil }
        return try shards[number].shape(of: name)
    }

    func dtype(of name: String) -> TorchDType? { places[name].flatMap { shards[$0].dtype(of: name) } }

    func read(_ name: String) throws(ImportError) -> TensorContent {
        guard let number = places[name] else { throw missing(name) }
        return try shards[number].read(name)
    }
}

extension String {
    /// The path of the file's folder, with a trailing slash; empty for the current folder.
    var parentFolder: String {
        guard let slash = lastIndex(of: "/") else { return "" }
        return String(self[...slash])
    }
}
