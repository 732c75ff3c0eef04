// Reads a safetensors file: 8 bytes little-endian header length N, N bytes of JSON, then the tensors' bytes. The whole
// header is checked when the file is opened; after that, handing out a tensor cannot fail and copies nothing.

package import Compute
package import Files
internal import JSON

/// A safetensors file, mapped read-only.
package final class SafetensorsFile: @unchecked Sendable {
    // Sendable: everything is set once in `init`; the mapping and the copies are only read afterwards.

    /// Bounds that no honest file meets.
    package enum Limit {
        package static let headerBytes = 100_000_000
        package static let rank = 16
    }

    private struct Entry {
        let name: String
        let dtype: DType
        let shape: [Int]
        /// Within the data part of the file.
        let range: Range<Int>
    }

    package let path: String
    /// Names of the tensors in the order of their bytes.
    package var names: [String] { entries.map(\.name) }
    /// What stands under `__metadata__`.
    package let metadata: [String: String]

    private let file: MappedFile
    private let data: UnsafeRawBufferPointer
    private let entries: [Entry]
    private let indices: [String: Int]
    /// Aligned copies of tensors that lie unaligned in the file, by index. A bundle that we wrote has none.
    private let copies: [Int: UnsafeMutableRawBufferPointer]

    /// Lets go of the memory that was read through the mapping; tensors stay valid, and are read from the file again.
    package func releaseMemory() { file.releaseMemory() }

    /// Maps a file and checks its header.
    ///
    /// - Throws: `FileError` with the path and the tensor's name.
    package init(path: String) throws(FileError) {
        self.path = path
        file = try MappedFile(path: path)
        func malformed(_ reason: String) -> FileError { FileError(.malformed, "\(path): \(reason)") }

        let bytes = file.bytes
        guard bytes.count >= 8 else { throw malformed("too short for a safetensors file") }
        let headerLength = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        guard headerLength <= UInt64(Limit.headerBytes) else {
            throw malformed("the header's length \(headerLength) is more than \(Limit.headerBytes) bytes")
        }
        guard Int(headerLength) <= bytes.count - 8 else {
            throw malformed("the header's length \(headerLength) goes beyond the file's \(bytes.count) bytes")
        }
        let dataStart = 8 + Int(headerLength)
        data = UnsafeRawBufferPointer(rebasing: bytes[dataStart...])
        let header = UnsafeRawBufferPointer(rebasing: bytes[8..<dataStart])
        guard header.first == UInt8(ascii: "{") else { throw malformed("the header does not start with '{'") }

        var entries: [Entry]
        do throws(JSONError) {
            (entries, metadata) = try Self.readHeader(header)
        } catch {
            throw malformed("header: \(error.description)")
        }
        // In the order of their bytes; an empty tensor before what starts at the same place.
        entries.sort { left, right in
            (left.range.lowerBound, left.range.upperBound) < (right.range.lowerBound, right.range.upperBound)
        }
        var end = 0
        for entry in entries {
            let range = "bytes \(entry.range.lowerBound) to \(entry.range.upperBound)"
            guard entry.range.upperBound <= data.count else {
                throw malformed("tensor \(quoted(entry.name)): \(range) go beyond the \(data.count) bytes of data")
            }
            guard entry.range.lowerBound >= end else {
                throw malformed("tensor \(quoted(entry.name)): \(range) overlap the tensor before it")
            }
            guard entry.range.lowerBound == end else {
                throw malformed("tensor \(quoted(entry.name)): a hole lies before its bytes at \(end)")
            }
            end = entry.range.upperBound
        }
        guard end == data.count else { throw malformed("\(data.count - end) bytes after the last tensor") }

        self.entries = entries
        indices = Dictionary(uniqueKeysWithValues: entries.enumerated().map { ($1.name, $0) })
        var copies: [Int: UnsafeMutableRawBufferPointer] = [:]
        for (index, entry) in entries.enumerated()
        where (dataStart + entry.range.lowerBound) % entry.dtype.byteCount != 0 {
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: entry.range.count, alignment: 64)
            copy.copyMemory(from: UnsafeRawBufferPointer(rebasing: data[entry.range]))
            copies[index] = copy
        }
        self.copies = copies
    }

    deinit {
        for copy in copies.values { copy.deallocate() }
    }

    /// The tensor of this name, valid as long as the file object; nil if there is none.
    package func tensor(_ name: String) -> HostTensor? {
        guard let index = indices[name] else { return nil }
        let entry = entries[index]
        let bytes =
            if let copy = copies[index] {
                UnsafeRawBufferPointer(copy)
            } else {
                UnsafeRawBufferPointer(rebasing: data[entry.range])
            }
        return HostTensor(name: entry.name, dtype: entry.dtype, shape: entry.shape, bytes: bytes)
    }

    // MARK: - Header

    private static func readHeader(
        _ bytes: UnsafeRawBufferPointer
    ) throws(JSONError) -> (entries: [Entry], metadata: [String: String]) {
        var reader = JSONReader(bytes.bindMemory(to: UInt8.self))
        var entries: [Entry] = []
        var metadata: [String: String]?
        var names: Set<String> = []
        try reader.beginObject()
        while let key = try reader.nextKey() {
            let name = key.string
            guard names.insert(name).inserted else { throw JSONError("the name \(quoted(name)) stands twice") }
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
        return (entries, metadata ?? [:])
    }

    private static func readMetadata(_ reader: inout JSONReader) throws(JSONError) -> [String: String] {
        var metadata: [String: String] = [:]
        try reader.beginObject()
        while let key = try reader.nextKey() {
            let name = key.string
            guard metadata.updateValue(try reader.readString().string, forKey: name) == nil else {
                throw JSONError("__metadata__: the key \(quoted(name)) stands twice")
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
            case "dtype", "shape", "data_offsets": throw JSONError("\(field) stands twice")
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
                throw JSONError("\(field) must hold integers that are not negative")
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
