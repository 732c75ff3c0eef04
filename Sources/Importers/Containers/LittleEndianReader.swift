// Reads little-endian integers from file bytes, each read checked against the end: the basis of the zip and pickle
// readers.

internal import Files

/// A position in untrusted bytes. The buffer must live as long as the reader is used.
struct LittleEndianReader {
    /// The bytes end before the value does.
    struct EndOfBytes: Error {}

    private let bytes: UnsafeRawBufferPointer
    private let owner: OwnedBytes?
    /// The position of the first of `bytes`.
    private let base: Int
    /// The offset in the file if `bytes` are a piece of one, otherwise in `bytes`.
    private(set) var position: Int

    /// - Parameter bytes: read from their start.
    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
        owner = nil
        base = 0
        position = 0
    }

    /// - Parameters:
    ///   - piece: a piece of a file; kept alive.
    ///   - base: its offset in the file.
    init(_ piece: OwnedBytes, at base: Int) {
        bytes = piece.bytes
        owner = piece
        self.base = base
        position = base
    }

    var remaining: Int { bytes.count - (position - base) }

    mutating func integer<Value: FixedWidthInteger & BitwiseCopyable>(
        _ type: Value.Type = Value.self
    ) throws(EndOfBytes) -> Value {
        let size = MemoryLayout<Value>.size
        guard remaining >= size else { throw EndOfBytes() }
        defer { position += size }
        return Value(littleEndian: bytes.loadUnaligned(fromByteOffset: position - base, as: Value.self))
    }

    /// Takes the next bytes without copying them.
    mutating func take(_ count: Int) throws(EndOfBytes) -> UnsafeRawBufferPointer {
        guard count >= 0, remaining >= count else { throw EndOfBytes() }
        defer { position += count }
        return UnsafeRawBufferPointer(rebasing: bytes[(position - base)..<(position - base + count)])
    }

    mutating func skip(_ count: Int) throws(EndOfBytes) { _ = try take(count) }

    /// A reader of the same bytes at another position; nil if that is outside.
    func moved(to position: Int) -> LittleEndianReader? {
        guard position >= base, position - base <= bytes.count else { return nil }
        var reader = self
        reader.position = position
        return reader
    }

    /// The number of bytes before the next line feed.
    func lineLength() throws(EndOfBytes) -> Int {
        let start = position - base
        guard let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) else { throw EndOfBytes() }
        return end - start
    }
}
