// What the records of the users' journals and snapshots say.

internal import Journal

/// The content of a record.
enum UserRecord {
    /// The bytes that a file begins with; the digit is the version of the format.
    static let magic = Array("GRUSERS1".utf8)

    private static let eventsKind: UInt8 = 1
    private static let deletionKind: UInt8 = 2

    /// Appends a record of events.
    ///
    /// - Parameter seen: seconds since the epoch when they came.
    static func append(_ events: [IncomingEvent], seen: UInt32, to bytes: inout [UInt8]) {
        JournalRecord.append(to: &bytes) { bytes in
            bytes.append(eventsKind)
            bytes.append(record: seen)
            var user = ""
            for event in events {
                // No text: the user of the event before it.
                let isSame = event.user.utf8.elementsEqual(user.utf8)
                bytes.append(record: isSame ? "" : event.user)
                user = event.user
                bytes.append(record: event.event.item)
                bytes.append(record: UInt64(bitPattern: event.event.timestamp))
                bytes.append(record: event.event.action ?? "")
            }
        }
    }

    /// Appends a record that forgets a user.
    static func append(deletionOf user: String, to bytes: inout [UInt8]) {
        JournalRecord.append(to: &bytes) { bytes in
            bytes.append(deletionKind)
            bytes.append(record: user)
        }
    }

    /// False where the content is not what a record's is; what came before that is applied.
    static func apply(_ reader: inout RecordReader, to table: inout EventTable) -> Bool {
        switch reader.integer(UInt8.self) {
        case eventsKind:
            guard let seen = reader.integer(UInt32.self) else { return false }
            var events = EventBytes(reader.rest())
            // Without strings: a start reads millions of these.
            var user: UInt32 = 0
            var batch: [EventBytes.Event] = []
            batch.reserveCapacity(EventTable.batch)
            while let event = events.next() {
                batch.append(event)
                guard batch.count == EventTable.batch else { continue }
                table.append(batch, seen: seen, after: &user)
                batch.removeAll(keepingCapacity: true)
            }
            table.append(batch, seen: seen, after: &user)
            guard events.isAtEnd else { return false }
            return true
        case deletionKind:
            guard let user = reader.text() else { return false }
            table.delete(user)
            return reader.isAtEnd
        default: return false
        }
    }
}

/// The events of a record, as they lie in it.
struct EventBytes {
    /// An event; its texts are gone with the file's bytes.
    struct Event {
        /// Empty: that of the event before it.
        var user: UnsafeBufferPointer<UInt8>
        var item: UnsafeBufferPointer<UInt8>
        var timestamp: Int64
        var action: UnsafeBufferPointer<UInt8>
    }

    private let bytes: UnsafeBufferPointer<UInt8>
    private var position = 0

    init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }

    /// The next event; nil at the end, and where what follows is none.
    mutating func next() -> Event? {
        let start = position
        guard let user = text(), let item = text(), bytes.count - position >= 8,
            let base = bytes.baseAddress
        else {
            position = start
            return nil
        }
        let timestamp = UnsafeRawPointer(base + position).loadUnaligned(as: UInt64.self)
        position += 8
        guard let action = text() else {
            position = start
            return nil
        }
        return Event(
            user: user,
            item: item,
            timestamp: Int64(bitPattern: UInt64(littleEndian: timestamp)),
            action: action
        )
    }

    private mutating func text() -> UnsafeBufferPointer<UInt8>? {
        guard bytes.count - position >= 2 else { return nil }
        let count = Int(bytes[position]) | Int(bytes[position + 1]) << 8
        guard bytes.count - position - 2 >= count else { return nil }
        defer { position += 2 + count }
        return UnsafeBufferPointer(rebasing: bytes[position + 2..<position + 2 + count])
    }
}

extension UserStoreError {
    /// What the journal failed with.
    init(_ error: JournalError) {
        self.init(error.code == .full ? .full : .unavailable, error.description)
    }
}
