// PyTorch's first checkpoint container (before 0.1.10), which torch.load still reads: a tar archive of four files.
// `sys_info` describes the writing machine. `storages` has pickles of (key, location, class), each followed by an
// element count and the elements, then a pickle of the storages that are parts of others. `tensors` has pickles of
// (key, storage, class), each followed by extents, strides and an offset. `pickle` is the object, which refers to
// tensors by key (torch/serialization.py, `_legacy_load`).

internal import Files
internal import JSON
import Models

/// A checkpoint in a tar archive.
struct TarTorchContainer: TorchContainer {
    private static let entryLimit = 64
    /// The maximum length of the pickle before a storage or tensor.
    private static let keyLimit = 4096

    let graph: PickleGraph
    private let file: InputFile
    private var storages: [String: Range<Int>] = [:]

    /// Whether a file with this start is a tar archive.
    static func starts(_ start: OwnedBytes) -> Bool {
        start.withBytes { $0.dropFirst(257).starts(with: "ustar".utf8) }
    }

    /// - Throws: `ImportError` that names the damage, or says that the archive is not a checkpoint.
    init(_ file: InputFile) throws(ImportError) {
        self.file = file
        let entries = try Self.entries(file)
        func entry(_ name: String) throws(ImportError) -> Piece {
            guard let range = entries[name] else {
                throw ImportError(
                    .unsupported,
                    "\(file.path) is a tar archive without the file \(name), not a checkpoint that torch.save wrote"
                )
            }
            return Piece(file: file, name: name, rest: range)
        }
        var (system, stored, listed, object) = (
            try entry("sys_info"), try entry("storages"), try entry("tensors"), try entry("pickle")
        )
        let facts = try system.pickle(atMost: Self.keyLimit)
        let order = facts.entries(facts.root)?.last { $0.key == "little_endian" }
        guard let order, facts[order.value] == .boolean(true) else {
            throw ImportError(.unsupported, "\(file.path) is not little-endian")
        }
        var known: [String: Part] = [:]
        try Self.readStorages(&stored, &known, &storages)
        graph = try object.pickle(atMost: PickleReader.Limit.byteCount, tensors: Self.readTensors(&listed, known))
    }

    /// A storage, or the storage and offset that another one is a part of.
    private struct Part {
        var storage: TorchStorage
        /// In elements from its start.
        var offset = 0
    }

    private static func readStorages(
        _ piece: inout Piece,
        _ known: inout [String: Part],
        _ ranges: inout [String: Range<Int>]
    ) throws(ImportError) {
        for _ in 0..<(try piece.count()) {
            let head = try piece.pickle(atMost: keyLimit)
            guard let items = head.tuple(head.root), items.count >= 3, let key = head.name(items[0]),
                case .global(.storage(let dtype)) = head[items[2]]
            else { throw piece.malformed("a storage has no key or no supported type") }
            let count = try piece.integer(Int64.self)
            guard count >= 0, count <= Int64(piece.rest.count / dtype.byteCount) else {
                throw piece.malformed("it ends inside the storage \(quoted(key))")
            }
            let range = piece.skip(Int(count) * dtype.byteCount)
            guard ranges.updateValue(range, forKey: key) == nil else {
                throw piece.malformed("the storage \(quoted(key)) appears twice")
            }
            known[key] = Part(storage: TorchStorage(key: key, dtype: dtype, count: Int(count)))
        }
        // Each view is (key, key of the whole, offset, count).
        let views = try piece.pickle(atMost: PickleReader.Limit.byteCount)
        guard case .list(let number) = views[views.root] else {
            throw piece.malformed("the storage views are not a list")
        }
        for view in views.arrays[Int(number)] {
            guard let items = views.tuple(view), items.count == 4, let key = views.name(items[0]),
                let root = views.name(items[1]), let whole = known[root], case .integer(let offset) = views[items[2]],
                offset >= 0, offset <= whole.storage.count
            else { throw piece.malformed("a view has no valid storage") }
            known[key] = Part(storage: whole.storage, offset: Int(offset))
        }
    }

    private static func readTensors(
        _ piece: inout Piece,
        _ storages: [String: Part]
    ) throws(ImportError) -> [String: TorchTensor] {
        var tensors: [String: TorchTensor] = [:]
        for _ in 0..<(try piece.count()) {
            let head = try piece.pickle(atMost: keyLimit)
            guard let items = head.tuple(head.root), items.count >= 2, let key = head.name(items[0]) else {
                throw piece.malformed("a tensor has no key or no storage")
            }
            // The rank takes 8 bytes; the upper four are ignored.
            let rank = Int(try piece.integer(Int32.self))
            _ = try piece.integer(Int32.self)
            guard 0...PickleReader.Limit.rank ~= rank else { throw piece.malformed("a tensor has rank \(rank)") }
            var numbers: [Int] = []
            for _ in 0..<2 * rank + 1 { numbers.append(Int(try piece.integer(Int64.self))) }
            guard numbers.allSatisfy({ $0 >= 0 }) else { throw piece.malformed("a tensor has a negative extent") }
            guard let part = head.name(items[1]).flatMap({ storages[$0] }) else {
                throw piece.malformed("the tensor \(quoted(key)) refers to a storage that does not exist")
            }
            let (offset, overflow) = part.offset.addingReportingOverflow(numbers[2 * rank])
            guard !overflow else { throw piece.malformed("the tensor \(quoted(key)) exceeds its storage") }
            tensors[key] = TorchTensor(
                storage: part.storage,
                offset: offset,
                shape: Array(numbers[..<rank]),
                strides: Array(numbers[rank..<2 * rank])
            )
        }
        return tensors
    }

    /// The range of each file's content in the archive.
    private static func entries(_ file: InputFile) throws(ImportError) -> [String: Range<Int>] {
        var entries: [String: Range<Int>] = [:]
        var position = 0
        for _ in 0..<entryLimit where position + 512 <= file.byteCount {
            let header = try file.piece(position..<position + 512)
            let parsed = header.withBytes { bytes -> (name: String, size: Int?)? in
                guard bytes[0] != 0 else { return nil }
                return (String(decoding: bytes[..<100].prefix { $0 != 0 }, as: UTF8.self), size(bytes))
            }
            guard let parsed else { break }
            position += 512
            guard let size = parsed.size, size <= file.byteCount - position else {
                throw ImportError(
                    .malformed,
                    "\(file.path): damaged tar archive: it ends inside \(quoted(parsed.name))"
                )
            }
            entries[parsed.name] = position..<position + size
            position += (size + 511) / 512 * 512
        }
        return entries
    }

    /// Octal digits or, if the first bit is set, a big-endian number.
    private static func size(_ header: UnsafeRawBufferPointer) -> Int? {
        let field = header[124..<136]
        if header[124] & 0x80 != 0 {
            return field.dropFirst().reduce(Int?.some(0)) { sum, byte in
                guard let sum, sum < Int.max >> 9 else { return nil }
                return sum << 8 | Int(byte)
            }
        }
        let digits = field.drop { $0 == 0x20 }.prefix { 0x30...0x37 ~= $0 }
        return Int(String(decoding: digits, as: UTF8.self), radix: 8)
    }

    func byteCount(ofStorage key: String) -> Int? { storages[key]?.count }

    func readStorage(_ key: String) throws(ImportError) -> OwnedBytes {
        guard let range = storages[key] else { throw ImportError(.malformed, "there is no storage \(quoted(key))") }
        return try file.piece(range)
    }
}

/// A file of the archive, read from front to back.
private struct Piece {
    let file: InputFile
    let name: String
    /// The bytes not read yet.
    private(set) var rest: Range<Int>

    func malformed(_ reason: String) -> ImportError {
        ImportError(.malformed, "\(file.path): damaged checkpoint: \(name): \(reason)")
    }

    /// Skips the next bytes and returns their range.
    mutating func skip(_ count: Int) -> Range<Int> {
        let range = rest.lowerBound..<rest.lowerBound + count
        rest = range.upperBound..<rest.upperBound
        return range
    }

    mutating func integer<Value: FixedWidthInteger & BitwiseCopyable>(_ type: Value.Type) throws(ImportError) -> Value {
        let size = MemoryLayout<Value>.size
        guard rest.count >= size else { throw malformed("it ends too early") }
        let start = rest.lowerBound
        var reader = LittleEndianReader(try file.piece(skip(size)), at: start)
        guard let value = try? reader.integer(Value.self) else { throw malformed("it ends too early") }
        return value
    }

    /// The next pickle, which must end within this many bytes.
    mutating func pickle(
        atMost limit: Int,
        tensors: [String: TorchTensor] = [:]
    ) throws(ImportError) -> PickleGraph {
        let content = try file.piece(rest.prefix(limit))
        let graph = try content.withBytes { bytes throws(ImportError) in
            try PickleReader.read(bytes, source: "\(file.path): \(name)", isFollowed: true, persistent: tensors)
        }
        _ = skip(graph.byteCount)
        return graph
    }

    /// The next pickle, an integer: the number of entries that follow.
    mutating func count() throws(ImportError) -> Int {
        let graph = try pickle(atMost: 64)
        guard case .integer(let count) = graph[graph.root], 0...Int64(PickleReader.Limit.tensors) ~= count else {
            throw malformed("the number of entries is missing")
        }
        return Int(count)
    }
}

extension PickleGraph {
    fileprivate func tuple(_ id: PickleID) -> [PickleID]? {
        guard case .tuple(let number) = self[id] else { return nil }
        return arrays[Int(number)]
    }

    /// A key as text. PyTorch used addresses, which are numbers.
    fileprivate func name(_ id: PickleID) -> String? {
        switch self[id] {
        case .integer(let value): String(value)
        case .string(let value): value
        default: nil
        }
    }
}
