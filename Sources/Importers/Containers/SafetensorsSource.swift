// Tensors in safetensors files: one file, or the shards that an index file (`model.safetensors.index.json`) lists, as
// Hugging Face writes them.

import Compute
internal import Files
internal import JSON
import Models

/// The tensors of one safetensors file or of several.
struct SafetensorsSource: TensorSource {
    private static let indexByteLimit = 64 << 20
    private static let shardLimit = 4096

    let path: String
    private let files: [SafetensorsFile]
    /// The number of the file, by name.
    private let places: [String: Int]

    var names: Set<String> { Set(places.keys) }
    var origin: WeightsOrigin? { nil }

    /// Opens one file.
    init(file path: String) throws(ImportError) {
        let file = try Self.open(path)
        self.path = path
        files = [file]
        places = Dictionary(uniqueKeysWithValues: file.names.map { ($0, 0) })
    }

    /// Opens the shards that an index names, and checks both against each other.
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
        var files: [SafetensorsFile] = []
        var numbers: [String: Int] = [:]
        var places: [String: Int] = [:]
        for name in map.names {
            guard let shard = try? map.string(name) else { throw fault("the shard of \(quoted(name)) is no string") }
            guard !shard.isEmpty, shard != ".", shard != "..", !shard.utf8.contains(UInt8(ascii: "/")),
                !shard.utf8.contains(0)
            else { throw fault("the shard \(quoted(shard)) of \(quoted(name)) is no name of a file beside it") }
            if numbers[shard] == nil {
                guard files.count < Self.shardLimit else { throw fault("more than \(Self.shardLimit) shards") }
                numbers[shard] = files.count
                files.append(try Self.open(folder + shard))
            }
            guard let number = numbers[shard], files[number].entry(name) != nil else {
                throw fault("tensor \(quoted(name)) is not in \(quoted(shard)), where the index has it")
            }
            places[name] = number
        }
        for (number, file) in files.enumerated() {
            if let left = file.names.first(where: { places[$0] != number }) {
                throw fault("tensor \(quoted(left)) of \(file.path) is not in the index")
            }
        }
        self.files = files
        self.places = places
    }

    private static func open(_ path: String) throws(ImportError) -> SafetensorsFile {
        do throws(FileError) {
            return try SafetensorsFile(path: path)
        } catch {
            throw ImportError(error)
        }
    }

    func shape(of name: String) -> [Int]? { places[name].flatMap { files[$0].entry(name)?.shape } }

    func dtype(of name: String) -> TorchDType? {
        places[name].flatMap { files[$0].entry(name) }.flatMap { TorchDType(rawValue: $0.dtype.rawValue) }
    }

    func read(_ name: String) throws(ImportError) -> TensorContent {
        guard let file = places[name].map({ files[$0] }), let entry = file.entry(name),
            let dtype = TorchDType(rawValue: entry.dtype.rawValue)
        else { throw missing(name) }
        let tensor: HostTensor
        do throws(FileError) {
            tensor = try file.read(entry)
        } catch {
            throw ImportError(error)
        }
        return TensorContent(tensor.bytes, dtype: dtype, shape: tensor.shape, owner: tensor.owner ?? file)
    }
}

extension String {
    /// The path of the folder that a file is in, with the slash; empty for the current one.
    var parentFolder: String {
        guard let slash = lastIndex(of: "/") else { return "" }
        return String(self[...slash])
    }
}
