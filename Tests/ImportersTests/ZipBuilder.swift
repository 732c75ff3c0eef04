// Writes zip archives for the tests: valid ones, and ones with a false value in any field.

import CZlib

/// An entry; nil fields have the correct values.
struct ZipBuilderEntry {
    var name: String
    var content: [UInt8]
    /// The bytes in the archive; nil: `content` unchanged.
    var stored: [UInt8]?
    var method: UInt16 = 0
    var flags: UInt16 = 0
    var crc32: UInt32?
    var size: UInt32?
    var compressedSize: UInt32?
    var localName: String?
    var localMethod: UInt16?
    var localSize: UInt32?
    var localOffset: UInt32?
    var extra: [UInt8] = []

    init(_ name: String, _ content: some Sequence<UInt8>) {
        self.name = name
        self.content = Array(content)
    }

    /// The entry with deflated content.
    static func deflated(_ name: String, _ content: [UInt8]) -> ZipBuilderEntry {
        var entry = ZipBuilderEntry(name, content)
        entry.stored = deflate(content)
        entry.method = 8
        return entry
    }
}

/// A raw deflate stream, made by zlib.
func deflate(_ content: [UInt8]) -> [UInt8] {
    var stream = z_stream()
    deflateInit2_(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, 0, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    defer { deflateEnd(&stream) }
    var input = content
    var output = [UInt8](repeating: 0, count: content.count + content.count / 8 + 64)
    let count = output.count
    input.withUnsafeMutableBufferPointer { input in
        output.withUnsafeMutableBufferPointer { output in
            stream.next_in = input.baseAddress
            stream.avail_in = UInt32(input.count)
            stream.next_out = output.baseAddress
            stream.avail_out = UInt32(output.count)
            _ = CZlib.deflate(&stream, Z_FINISH)
        }
    }
    return Array(output.prefix(count - Int(stream.avail_out)))
}

extension [UInt8] {
    mutating func append<Value: FixedWidthInteger>(little value: Value) {
        for byte in 0..<(Value.bitWidth / 8) { append(UInt8(truncatingIfNeeded: value >> (8 * byte))) }
    }
}

/// An archive of these entries.
///
/// - Parameters:
///   - entryCount: the count in the end record; nil: the correct one.
///   - directoryOffset: likewise.
///   - comment: of the archive.
func zip(
    _ entries: [ZipBuilderEntry],
    entryCount: UInt16? = nil,
    directoryOffset: UInt32? = nil,
    disk: UInt16 = 0,
    comment: [UInt8] = [],
    beforeDirectory: [UInt8] = []
) -> [UInt8] {
    var bytes: [UInt8] = []
    var directory: [UInt8] = []
    for entry in entries {
        let offset = UInt32(bytes.count)
        let stored = entry.stored ?? entry.content
        let crc = entry.crc32 ?? UInt32(crc32(0, entry.content, UInt32(entry.content.count)))
        let size = entry.size ?? UInt32(entry.content.count)
        let compressedSize = entry.compressedSize ?? UInt32(stored.count)
        let localName = Array((entry.localName ?? entry.name).utf8)
        bytes.append(little: UInt32(0x0403_4B50))
        bytes.append(little: UInt16(20))
        bytes.append(little: entry.flags)
        bytes.append(little: entry.localMethod ?? entry.method)
        bytes.append(little: UInt32(0))
        bytes.append(little: crc)
        bytes.append(little: compressedSize)
        bytes.append(little: entry.localSize ?? size)
        bytes.append(little: UInt16(localName.count))
        bytes.append(little: UInt16(0))
        bytes += localName + stored

        directory.append(little: UInt32(0x0201_4B50))
        directory.append(little: UInt32(20 | 20 << 16))
        directory.append(little: entry.flags)
        directory.append(little: entry.method)
        directory.append(little: UInt32(0))
        directory.append(little: crc)
        directory.append(little: compressedSize)
        directory.append(little: size)
        directory.append(little: UInt16(entry.name.utf8.count))
        directory.append(little: UInt16(entry.extra.count))
        directory.append(little: UInt16(0))
        directory.append(little: UInt16(0))
        directory.append(little: UInt16(0))
        directory.append(little: UInt32(0))
        directory.append(little: entry.localOffset ?? offset)
        directory += Array(entry.name.utf8) + entry.extra
    }
    bytes += beforeDirectory
    let offset = UInt32(bytes.count)
    bytes += directory
    bytes.append(little: UInt32(0x0605_4B50))
    bytes.append(little: disk)
    bytes.append(little: disk)
    bytes.append(little: entryCount ?? UInt16(entries.count))
    bytes.append(little: entryCount ?? UInt16(entries.count))
    bytes.append(little: UInt32(directory.count))
    bytes.append(little: directoryOffset ?? offset)
    bytes.append(little: UInt16(comment.count))
    return bytes + comment
}
