// The records of journals and snapshots: length and checksum, 4 bytes each, then the content. A record is there as a whole or
// not at all, so a call whose record was torn by a crash left nothing.

internal import CZlib

/// What a record says.
enum JournalRecord {
    /// The bytes that a file begins with; the digit is the version of the format.
    static let magic = Array("GRUSERS1".utf8)
    /// Bytes before a record's content.
    static let headBytes = 8
    /// Content that a record may have. A longer one can only be damage.
    static let longest = 1 << 30

    private static let eventsKind: UInt8 = 1
    private static let deletionKind: UInt8 = 2

    /// Appends a record of events.
    ///
    /// - Parameter seen: seconds since the epoch when they came.
    static func append(_ events: [IncomingEvent], seen: UInt32, to bytes: inout [UInt8]) {
        append(to: &bytes) { bytes in
            bytes.append(eventsKind)
            append(seen, &bytes)
            var user = ""
            for event in events {
                // No text: the user of the event before it.
                append(event.user == user ? "" : event.user, &bytes)
                user = event.user
                append(event.event.item, &bytes)
                append(UInt64(bitPattern: event.event.timestamp), &bytes)
                append(event.event.action ?? "", &bytes)
            }
        }
    }

    /// Appends a record that forgets a user.
    static func append(deletionOf user: String, to bytes: inout [UInt8]) {
        append(to: &bytes) { bytes in
            bytes.append(deletionKind)
            append(user, &bytes)
        }
    }

    /// Applies the records of a file to a table, up to the first that is not whole.
    ///
    /// - Parameter bytes: the file's, from its beginning.
    /// - Returns: how many bytes were whole, with those of the beginning; 0 if the file does not begin as one of these.
    static func apply(_ bytes: UnsafeBufferPointer<UInt8>, to table: inout EventTable) -> Int {
        guard bytes.starts(with: magic) else { return 0 }
        var position = magic.count
        while bytes.count - position >= headBytes {
            var reader = Reader(bytes, position..<position + headBytes)
            guard let length = reader.integer(UInt32.self), let sum = reader.integer(UInt32.self) else { break }
            let start = position + headBytes
            guard Int(length) <= bytes.count - start, (1...UInt32(longest)).contains(length) else { break }
            let content = start..<start + Int(length)
            guard checksum(UnsafeBufferPointer(rebasing: bytes[content])) == sum else { break }
            var body = Reader(bytes, content)
            guard apply(&body, to: &table) else { break }
            position = content.upperBound
        }
        return position
    }

    /// False where the content is not what a record's is; what came before that is applied.
    private static func apply(_ reader: inout Reader, to table: inout EventTable) -> Bool {
        switch reader.integer(UInt8.self) {
        case eventsKind:
            guard let seen = reader.integer(UInt32.self) else { return false }
            var user = ""
            while !reader.isAtEnd {
                guard let name = reader.text(), let item = reader.text(),
                    let timestamp = reader.integer(UInt64.self), let action = reader.text()
                else { return false }
                if !name.isEmpty { user = name }
                let event = UserEvent(
                    item: item,
                    timestamp: Int64(bitPattern: timestamp),
                    action: action.isEmpty ? nil : action
                )
                _ = table.append(event, of: user, seen: seen)
            }
            return true
        case deletionKind:
            guard let user = reader.text() else { return false }
            table.delete(user)
            return reader.isAtEnd
        default: return false
        }
    }

    // MARK: Bytes

    private static func append(to bytes: inout [UInt8], _ content: (inout [UInt8]) -> Void) {
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

    /// Little-endian.
    private static func append(_ value: some FixedWidthInteger, _ bytes: inout [UInt8]) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    /// Two bytes of length, which every text fits, then the text.
    private static func append(_ text: String, _ bytes: inout [UInt8]) {
        append(UInt16(truncatingIfNeeded: text.utf8.count), &bytes)
        bytes.append(contentsOf: text.utf8)
    }

    private static func checksum(_ bytes: UnsafeBufferPointer<UInt8>) -> UInt32 {
        UInt32(truncatingIfNeeded: crc32_z(0, bytes.baseAddress, bytes.count))
    }

    /// Reads what is within a range; nil where it ends before.
    private struct Reader {
        private let bytes: UnsafeBufferPointer<UInt8>
        private var position: Int
        private let end: Int

        init(_ bytes: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) {
            self.bytes = bytes
            position = range.lowerBound
            end = range.upperBound
        }

        var isAtEnd: Bool { position == end }

        mutating func integer<Value: FixedWidthInteger>(_ type: Value.Type) -> Value? {
            let count = MemoryLayout<Value>.size
            guard end - position >= count, let base = bytes.baseAddress else { return nil }
            defer { position += count }
            return Value(littleEndian: UnsafeRawPointer(base + position).loadUnaligned(as: Value.self))
        }

        mutating func text() -> String? {
            guard let count = integer(UInt16.self), end - position >= Int(count) else { return nil }
            defer { position += Int(count) }
            return String(
                decoding: UnsafeBufferPointer(rebasing: bytes[position..<position + Int(count)]),
                as: UTF8.self
            )
        }
    }
}
