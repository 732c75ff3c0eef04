// PyTorch's checkpoint container before version 1.6, still written with `_use_new_zipfile_serialization=False`: five
// pickles (a magic number, the protocol, the writing machine, the object, the storages' keys), then for each key in
// that order the element count in 8 bytes and the elements.

internal import Files
internal import JSON
import Models

/// A checkpoint in a single stream.
struct LegacyTorchContainer: TorchContainer {
    /// The first pickle's number in 10 bytes, with its opcode and the pickle's end.
    private static let magic: [UInt8] = [0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E]
    private static let protocolVersion: Int64 = 1001
    /// The maximum length of the five pickles together.
    private static let headLimit = 2 * PickleReader.Limit.byteCount

    let graph: PickleGraph
    private let file: InputFile
    private let storages: [String: Range<Int>]

    /// Whether a file with this start is such a checkpoint.
    static func starts(_ start: OwnedBytes) -> Bool { start.withBytes { magicEnd($0) } != nil }

    /// The end of the first pickle; nil if it is another. From protocol 4 on a frame may begin it.
    private static func magicEnd(_ bytes: UnsafeRawBufferPointer) -> Int? {
        guard bytes.first == 0x80 else { return nil }
        for head in [2, 2 + 9] where bytes.dropFirst(head).starts(with: magic) && (head == 2 || bytes[2] == 0x95) {
            return head + magic.count
        }
        return nil
    }

    /// - Throws: `ImportError` that names what is damaged.
    init(_ file: InputFile) throws(ImportError) {
        self.file = file
        let head = try file.piece(0..<min(file.byteCount, Self.headLimit))
        var position = head.withBytes { Self.magicEnd($0) } ?? 0
        func next(_ what: String) throws(ImportError) -> PickleGraph {
            let graph = try head.withBytes { bytes throws(ImportError) in
                try PickleReader.read(
                    UnsafeRawBufferPointer(rebasing: bytes[position...]),
                    source: "\(file.path): \(what)",
                    isFollowed: true
                )
            }
            position += graph.byteCount
            return graph
        }
        func unsupported(_ reason: String) -> ImportError { ImportError(.unsupported, "\(file.path) \(reason)") }
        let version = try next("the protocol's pickle")
        guard version[version.root] == .integer(Self.protocolVersion) else {
            throw unsupported("has an unknown version of PyTorch's old container format")
        }
        let system = try next("the system's pickle")
        let order = system.entries(system.root)?.last { $0.key == "little_endian" }
        guard let order, system[order.value] == .boolean(true) else {
            throw unsupported("is not little-endian")
        }
        graph = try next("the object's pickle")
        let keys = try next("the storages' pickle")
        guard case .list(let number) = keys[keys.root] else {
            throw Self.malformed(file, "its storages are not a list")
        }
        storages = try Self.storages(keys.arrays[Int(number)].map { keys[$0] }, graph, file, from: position)
    }

    private static func malformed(_ file: InputFile, _ reason: String) -> ImportError {
        ImportError(.malformed, "\(file.path): damaged checkpoint: \(reason)")
    }

    /// The byte range of each storage. The stream has element counts; the object's pickle gives the element sizes.
    private static func storages(
        _ keys: [PickleNode],
        _ graph: PickleGraph,
        _ file: InputFile,
        from start: Int
    ) throws(ImportError) -> [String: Range<Int>] {
        var sizes: [String: Int] = [:]
        for storage in graph.storages { sizes[storage.key] = storage.dtype.byteCount }
        var ranges: [String: Range<Int>] = [:]
        var position = start
        for case .string(let key) in keys {
            // The object's pickle does not give the element size, so the next storage's start is unknown.
            guard let size = sizes[key] else {
                throw ImportError(
                    .unsupported,
                    "\(file.path): the storage \(quoted(key)) has an unsupported type"
                )
            }
            guard position <= file.byteCount - 8 else {
                throw malformed(file, "it ends before the storage \(quoted(key))")
            }
            var reader = LittleEndianReader(try file.piece(position..<position + 8), at: position)
            let count = try? reader.integer(Int64.self)
            position += 8
            guard let count, count >= 0, count <= Int64((file.byteCount - position) / size) else {
                throw malformed(file, "it ends inside the storage \(quoted(key))")
            }
            guard ranges.updateValue(position..<position + Int(count) * size, forKey: key) == nil else {
                throw malformed(file, "the storage \(quoted(key)) appears twice")
            }
            position += Int(count) * size
        }
        guard position == file.byteCount else { throw malformed(file, "there is data after the last storage") }
        return ranges
    }

    func byteCount(ofStorage key: String) -> Int? { storages[key]?.count }

    func readStorage(_ key: String) throws(ImportError) -> OwnedBytes {
        guard let range = storages[key] else { throw ImportError(.malformed, "there is no storage \(quoted(key))") }
        return try file.piece(range)
    }
}
