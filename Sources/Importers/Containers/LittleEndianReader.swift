// Reads little-endian integers from file bytes, each read checked against the end: what the zip and pickle readers stand
// on.

/// A position in bytes that come from outside. Whoever makes it keeps the bytes alive while it is used.
struct LittleEndianReader {
    /// The bytes end before what was to be read.
    struct EndOfBytes: Error {}

    let bytes: UnsafeRawBufferPointer
    private(set) var position: Int

    /// - Parameter position: where to start; beyond the end is allowed and makes the first read fail.
    init(_ bytes: UnsafeRawBufferPointer, at position: Int = 0) {
        self.bytes = bytes
        self.position = position
    }

    var remaining: Int { max(0, bytes.count - position) }

    mutating func integer<Value: FixedWidthInteger & BitwiseCopyable>(
        _ type: Value.Type = Value.self
    ) throws(EndOfBytes) -> Value {
        let size = MemoryLayout<Value>.size
        guard position >= 0, remaining >= size else { throw EndOfBytes() }
        defer { position += size }
        return Value(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: Value.self))
    }

    /// The next bytes, not copied.
    mutating func take(_ count: Int) throws(EndOfBytes) -> UnsafeRawBufferPointer {
        guard position >= 0, count >= 0, remaining >= count else { throw EndOfBytes() }
        defer { position += count }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<position + count])
    }

    mutating func skip(_ count: Int) throws(EndOfBytes) { _ = try take(count) }
}
