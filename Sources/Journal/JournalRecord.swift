// The records of journals and snapshots: length and checksum, 4 bytes each, then the content. A record counts only as a
// whole, so a call whose record was torn by a crash has no effect.

internal import CZlib

/// The format of records in a file.
package enum JournalRecord {
    /// Bytes before a record's content.
    package static let headBytes = 8
    /// The most bytes of a record's content. A greater length can only be damage.
    package static let longest = 1 << 30

    /// Appends a record.
    ///
    /// - Parameter content: appends the record's content, at least one byte and at most `longest`.
    package static func append(to bytes: inout [UInt8], _ content: (inout [UInt8]) -> Void) {
        let start = bytes.count
        bytes.append(contentsOf: repeatElement(0, count: headBytes))
        content(&bytes)
        let length = UInt32(bytes.count - start - headBytes)
        let sum = bytes.withUnsafeBufferPointer { buffer in
            checksum(UnsafeBufferPointer(rebasing: buffer[(start + headBytes)...]))
        }
        for index in 0..<4 {
            bytes[start + index] = UInt8(truncatingIfNeeded: length >> (8 * UInt32(index)))
            bytes[start + 4 + index] = UInt8(truncatingIfNeeded: sum >> (8 * UInt32(index)))
        }
    }

    /// What `read` found.
    package struct Extent: Sendable, Equatable {
        /// Bytes of `magic` and the applied records; 0 if the file does not start with `magic`.
        package var byteCount: Int
        /// Whether more follows than the remains of one record. A crash does not cause that, so the file was changed,
        /// or another version wrote it.
        package var isDamaged = false
    }

    /// Reads the records of a file, up to the first incomplete one.
    ///
    /// - Parameters:
    ///   - bytes: the whole file.
    ///   - magic: the expected first bytes.
    ///   - apply: called with each record's content; returns false if it is invalid.
    package static func read(
        _ bytes: UnsafeBufferPointer<UInt8>,
        magic: [UInt8],
        _ apply: (inout RecordReader) -> Bool
    ) -> Extent {
        guard bytes.starts(with: magic) else { return Extent(byteCount: 0) }
        var position = magic.count
        while let content = content(bytes, at: position) {
            guard isIntact(bytes, content) else {
                let next = self.content(bytes, at: content.upperBound)
                return Extent(byteCount: position, isDamaged: next.map { isIntact(bytes, $0) } ?? false)
            }
            var body = RecordReader(bytes, content)
            guard apply(&body) else { return Extent(byteCount: position, isDamaged: true) }
            position = content.upperBound
        }
        return Extent(byteCount: position)
    }

    /// The range of the content of the record at `position`; nil if the file ends before it does.
    private static func content(_ bytes: UnsafeBufferPointer<UInt8>, at position: Int) -> Range<Int>? {
        let start = position + headBytes
        guard bytes.count > start else { return nil }
        var reader = RecordReader(bytes, position..<start)
        guard let length = reader.integer(UInt32.self), Int(length) <= bytes.count - start,
            (1...UInt32(longest)).contains(length)
        else { return nil }
        return start..<start + Int(length)
    }

    private static func isIntact(_ bytes: UnsafeBufferPointer<UInt8>, _ content: Range<Int>) -> Bool {
        var reader = RecordReader(bytes, content.lowerBound - 4..<content.lowerBound)
        return reader.integer(UInt32.self) == checksum(UnsafeBufferPointer(rebasing: bytes[content]))
    }

    private static func checksum(_ bytes: UnsafeBufferPointer<UInt8>) -> UInt32 {
        UInt32(truncatingIfNeeded: crc32_z(0, bytes.baseAddress, bytes.count))
    }
}

extension [UInt8] {
    /// Appends an integer, little-endian.
    package mutating func append(record value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }

    /// Appends two bytes of length, then the text, of at most 65 535 bytes.
    package mutating func append(record text: String) {
        append(record: UInt16(truncatingIfNeeded: text.utf8.count))
        append(contentsOf: text.utf8)
    }
}

/// Reads the parts of a record's content. Each function returns nil if the content ends too early.
package struct RecordReader {
    private let bytes: UnsafeBufferPointer<UInt8>
    private var position: Int
    private let end: Int

    init(_ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) {
        self.bytes = bytes
        position = range.lowerBound
        end = range.upperBound
    }

    package var isAtEnd: Bool { position == end }

    // Reads little-endian integers. One function per type, because files have millions of integers and a generic
    // function is not specialised across modules.
    package mutating func integer(_ type: UInt8.Type) -> UInt8? { read() }
    package mutating func integer(_ type: UInt16.Type) -> UInt16? { read() }
    package mutating func integer(_ type: UInt32.Type) -> UInt32? { read() }
    package mutating func integer(_ type: UInt64.Type) -> UInt64? { read() }

    @inline(__always) private mutating func read<Value: FixedWidthInteger>() -> Value? {
        let count = MemoryLayout<Value>.size
        guard end - position >= count, let base = bytes.baseAddress else { return nil }
        defer { position += count }
        return Value(littleEndian: UnsafeRawPointer(base + position).loadUnaligned(as: Value.self))
    }

    /// The bytes of a text; valid only as long as the file's bytes.
    package mutating func textBytes() -> UnsafeBufferPointer<UInt8>? {
        guard let count = integer(UInt16.self), end - position >= Int(count) else { return nil }
        defer { position += Int(count) }
        return UnsafeBufferPointer(rebasing: bytes[position..<position + Int(count)])
    }

    package mutating func text() -> String? { textBytes().map { String(decoding: $0, as: UTF8.self) } }
}
