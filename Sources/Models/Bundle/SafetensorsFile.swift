// Reads a safetensors file: 8 bytes little-endian header length N, N bytes of JSON, then the bytes of the tensors.
// Opening checks the whole header; tensors are read on demand, each into its own memory.

package import Compute
package import Files
internal import JSON

/// A safetensors file, open for reading.
package final class SafetensorsFile: Sendable {
    /// Bounds that no honest file reaches.
    package enum Limit {
        package static let headerBytes = 100_000_000
        package static let rank = 16
    }

    /// An entry of the header.
    package struct Entry: Sendable {
        package let name: String
        package let dtype: DType
        package let shape: [Int]
        /// Byte range within the data part of the file.
        fileprivate let range: Range<Int>
    }

    /// Bytes read at a time where data is only scanned: few enough to stay in the processor's cache and to reuse the
    /// same heap block.
    private static let pieceByteCount = 1 << 18

    package var path: String { file.path }
    /// Names of the tensors in file order.
    package var names: [String] { entries.map(\.name) }
    /// The members of `__metadata__`.
    package let metadata: [String: String]

    private let file: InputFile
    private let dataStart: Int
    private let entries: [Entry]
    private let indices: [String: Int]

    /// Opens a file and checks its header.
    ///
    /// - Throws: `FileError` with the path and the tensor's name.
    package init(path: String) throws(FileError) {
        file = try InputFile(path: path)
        func malformed(_ reason: String) -> FileError { FileError(.malformed, "\(path): \(reason)") }

        guard file.byteCount >= 8 else { throw malformed("too short for a safetensors file") }
        let headerLength = try file.read(0..<8).withBytes { UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)) }
        guard headerLength <= UInt64(Limit.headerBytes) else {
            throw malformed("the header's length \(headerLength) is more than \(Limit.headerBytes) bytes")
        }
        guard Int(headerLength) <= file.byteCount - 8 else {
            throw malformed("the header's length \(headerLength) exceeds the file's \(file.byteCount) bytes")
        }
        dataStart = 8 + Int(headerLength)
        let dataCount = file.byteCount - dataStart
        let header = try file.read(8..<dataStart)
        guard header.withBytes({ $0.first == UInt8(ascii: "{") }) else {
            throw malformed("the header does not start with '{'")
        }

        var entries: [Entry]
        do throws(JSONError) {
            let content = try header.withBytes { bytes throws(JSONError) in try Self.readHeader(bytes) }
            entries = content.entries
            metadata = content.metadata
        } catch {
            throw malformed("header: \(error.description)")
        }
        // In file order; an empty tensor comes before the one that starts at the same place.
        entries.sort { left, right in
            (left.range.lowerBound, left.range.upperBound) < (right.range.lowerBound, right.range.upperBound)
        }
        var end = 0
        for entry in entries {
            let range = "bytes \(entry.range.lowerBound) to \(entry.range.upperBound)"
            guard entry.range.upperBound <= dataCount else {
                throw malformed("tensor \(quoted(entry.name)): \(range) exceed the \(dataCount) bytes of data")
            }
            guard entry.range.lowerBound >= end else {
                throw malformed("tensor \(quoted(entry.name)): \(range) overlap the tensor before it")
            }
            guard entry.range.lowerBound == end else {
                throw malformed("tensor \(quoted(entry.name)): there is a gap before its bytes at \(end)")
            }
            end = entry.range.upperBound
        }
        guard end == dataCount else { throw malformed("\(dataCount - end) bytes after the last tensor") }

        self.entries = entries
        indices = Dictionary(uniqueKeysWithValues: entries.enumerated().map { ($1.name, $0) })
    }

    /// The header's entry for the tensor of this name; nil if there is none.
    package func entry(_ name: String) -> Entry? { indices[name].map { entries[$0] } }

    /// Bytes of the tensor of this name; 0 if there is none.
    package func byteCount(of name: String) -> Int { entry(name)?.range.count ?? 0 }

    /// Reads a tensor that `entry(_:)` returned.
    ///
    /// - Throws: `FileError.unreadable`, also if the file has changed since it was opened.
    package func read(_ entry: Entry) throws(FileError) -> HostTensor {
        let content = try file.read(fileRange(entry))
        return HostTensor(
            name: entry.name,
            dtype: entry.dtype,
            shape: entry.shape,
            bytes: content.bytes,
            owner: content
        )
    }

    /// Reads a row of a rank-2 tensor that `entry(_:)` returned.
    ///
    /// - Throws: as `read(_:)`.
    package func readRow(_ row: Int, of entry: Entry) throws(FileError) -> HostTensor {
        let size = entry.shape[1] * entry.dtype.byteCount
        let start = fileRange(entry).lowerBound + row * size
        let content = try file.read(start..<start + size)
        return HostTensor(
            name: entry.name,
            dtype: entry.dtype,
            shape: [1, entry.shape[1]],
            bytes: content.bytes,
            owner: content
        )
    }

    /// Reads the tensor of this name; nil if there is none.
    ///
    /// - Throws: as `read(_:)`.
    package func tensor(_ name: String) throws(FileError) -> HostTensor? {
        guard let entry = entry(name) else { return nil }
        return try read(entry)
    }

    /// Whether another file has the same tensors in the same order, byte for byte; compares piece by piece.
    ///
    /// - Throws: as `read(_:)`.
    package func isEqual(to other: SafetensorsFile) throws(FileError) -> Bool {
        let isSame = zip(entries, other.entries).allSatisfy { own, theirs in
            own.name == theirs.name && own.dtype == theirs.dtype && own.shape == theirs.shape
        }
        guard entries.count == other.entries.count, isSame else { return false }
        let count = entries.last?.range.upperBound ?? 0
        var start = 0
        while start < count {
            let piece = start..<min(start + Self.pieceByteCount, count)
            let own = try file.read(dataStart + piece.lowerBound..<dataStart + piece.upperBound)
            let theirs = try other.file.read(other.dataStart + piece.lowerBound..<other.dataStart + piece.upperBound)
            guard own.withBytes({ own in theirs.withBytes { own.elementsEqual($0) } }) else { return false }
            start = piece.upperBound
        }
        return true
    }

    /// Whether no element of a tensor is infinite or NaN; reads piece by piece.
    ///
    /// - Parameter progress: called after each piece with the number of the tensor's bytes read.
    /// - Throws: as `read(_:)`.
    package func isFinite(_ entry: Entry, progress: (Int) -> Void = { _ in }) throws(FileError) -> Bool {
        let range = fileRange(entry)
        var start = range.lowerBound
        while start < range.upperBound {
            let end = min(start + Self.pieceByteCount, range.upperBound)
            let isFinite = try file.read(start..<end).withBytes { bytes in
                HostTensor(name: entry.name, dtype: entry.dtype, shape: [], bytes: bytes).isFinite
            }
            guard isFinite else { return false }
            start = end
            progress(end - range.lowerBound)
        }
        return true
    }

    /// The SHA-256 of the whole file; reads all of it.
    ///
    /// - Throws: as `read(_:)`.
    package func sha256() throws(FileError) -> SHA256Digest { try SHA256Digest(of: file) }

    private func fileRange(_ entry: Entry) -> Range<Int> {
        dataStart + entry.range.lowerBound..<dataStart + entry.range.upperBound
    }

    // MARK: - Header

    private struct Header {
        var entries: [Entry] = []
        var metadata: [String: String] = [:]
    }

    private static func readHeader(_ bytes: UnsafeRawBufferPointer) throws(JSONError) -> Header {
        var reader = JSONReader(bytes.bindMemory(to: UInt8.self))
        var entries: [Entry] = []
        var metadata: [String: String]?
        var names: Set<String> = []
        try reader.beginObject()
        while let key = try reader.nextKey() {
            let name = key.string
            guard names.insert(name).inserted else { throw JSONError("the name \(quoted(name)) appears twice") }
            if name == "__metadata__" {
                metadata = try readMetadata(&reader)
            } else {
                do throws(JSONError) {
                    entries.append(try readEntry(&reader, name: name))
                } catch {
                    throw JSONError("tensor \(quoted(name)): \(error)")
                }
            }
        }
        try reader.finish()
        return Header(entries: entries, metadata: metadata ?? [:])
    }

    private static func readMetadata(_ reader: inout JSONReader) throws(JSONError) -> [String: String] {
        var metadata: [String: String] = [:]
        try reader.beginObject()
        while let key = try reader.nextKey() {
            let name = key.string
            guard metadata.updateValue(try reader.readString().string, forKey: name) == nil else {
                throw JSONError("__metadata__: the key \(quoted(name)) appears twice")
            }
        }
        return metadata
    }

    private static func readEntry(_ reader: inout JSONReader, name: String) throws(JSONError) -> Entry {
        var dtype: DType?
        var shape: [Int]?
        var offsets: [Int]?
        try reader.beginObject()
        while let key = try reader.nextKey() {
            let field = key.string
            switch field {
            case "dtype" where dtype == nil:
                let code = try reader.readString().string
                dtype = DType(safetensorsCode: code)
                if dtype == nil { throw JSONError("the dtype \(quoted(code)) is not supported") }
            case "shape" where shape == nil:
                shape = try readSizes(&reader, "shape", atMost: Limit.rank)
            case "data_offsets" where offsets == nil:
                offsets = try readSizes(&reader, "data_offsets", atMost: 2)
            case "dtype", "shape", "data_offsets": throw JSONError("\(field) appears twice")
            default: throw JSONError("the key \(quoted(field)) is not known")
            }
        }
        guard let dtype else { throw JSONError("dtype is missing") }
        guard let shape else { throw JSONError("shape is missing") }
        guard let offsets else { throw JSONError("data_offsets is missing") }
        guard offsets.count == 2, offsets[0] <= offsets[1] else {
            throw JSONError("data_offsets must be two offsets in ascending order")
        }
        var size = dtype.byteCount
        for extent in shape {
            let (product, overflow) = size.multipliedReportingOverflow(by: extent)
            guard !overflow else { throw JSONError("shape \(shapeDescription(shape)) is too large") }
            size = product
        }
        guard size == offsets[1] - offsets[0] else {
            let shape = shapeDescription(shape)
            throw JSONError("\(offsets[1] - offsets[0]) bytes, but \(dtype.rawValue) \(shape) takes \(size)")
        }
        return Entry(name: name, dtype: dtype, shape: shape, range: offsets[0]..<offsets[1])
    }

    private static func readSizes(
        _ reader: inout JSONReader,
        _ field: String,
        atMost limit: Int
    ) throws(JSONError) -> [Int] {
        var sizes: [Int] = []
        try reader.beginArray()
        while try reader.nextElement() {
            guard sizes.count < limit else { throw JSONError("\(field) has more than \(limit) numbers") }
            guard let size = try reader.readNumber().integer, size >= 0 else {
                throw JSONError("\(field) must contain non-negative integers")
            }
            sizes.append(Int(size))
        }
        return sizes
    }
}

extension DType {
    /// The format's code for the element type.
    var safetensorsCode: String {
        switch self {
        case .float32: "F32"
        case .float16: "F16"
        case .bfloat16: "BF16"
        case .int8: "I8"
        case .uint8: "U8"
        case .bool: "BOOL"
        case .int32: "I32"
        case .int64: "I64"
        }
    }

    init?(safetensorsCode code: String) {
        guard let dtype = Self.allCases.first(where: { $0.safetensorsCode == code }) else { return nil }
        self = dtype
    }
}
