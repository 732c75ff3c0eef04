// The format of records in the users' journals and snapshots.

internal import Journal

/// The content of a record.
enum UserRecord {
    /// The first bytes of a file; the digit is the version of the format.
    static let magic = Array("GRUSERS1".utf8)

    private static let eventsKind: UInt8 = 1
    private static let deletionKind: UInt8 = 2

    /// Appends a record of events.
    ///
    /// - Parameter seen: when they arrived, in seconds since the epoch.
    static func append(_ events: [IncomingEvent], seen: UInt32, to bytes: inout [UInt8]) {
        JournalRecord.append(to: &bytes) { bytes in
            bytes.append(eventsKind)
            bytes.append(record: seen)
            var user = ""
            for event in events {
                // Empty: the same user as the previous event's.
                let isSame = event.user.utf8.elementsEqual(user.utf8)
                bytes.append(record: isSame ? "" : event.user)
                user = event.user
                bytes.append(record: event.event.item)
                bytes.append(record: UInt64(bitPattern: event.event.timestamp))
                bytes.append(record: event.event.action ?? "")
            }
        }
    }

    /// Appends a record that deletes a user.
    static func append(deletionOf user: String, to bytes: inout [UInt8]) {
        JournalRecord.append(to: &bytes) { bytes in
            bytes.append(deletionKind)
            bytes.append(record: user)
        }
    }

    /// Applies a record. False if the record is invalid; the events before the fault are applied.
    static func apply(_ reader: inout RecordReader, to replay: EventReplay) -> Bool {
        switch reader.integer(UInt8.self) {
        case eventsKind:
            guard let seen = reader.integer(UInt32.self) else { return false }
            // Creates no strings, because a startup reads millions of events.
            var user: UInt32 = 0
            var batch: [EventTable.EventBytes] = []
            batch.reserveCapacity(EventTable.batch)
            while !reader.isAtEnd {
                guard let event = readEvent(&reader) else {
                    replay.append(batch, seen: seen, after: &user)
                    return false
                }
                batch.append(event)
                guard batch.count == EventTable.batch else { continue }
                replay.append(batch, seen: seen, after: &user)
                batch.removeAll(keepingCapacity: true)
            }
            replay.append(batch, seen: seen, after: &user)
            return true
        case deletionKind:
            guard let user = reader.text() else { return false }
            replay.delete(user)
            return reader.isAtEnd
        default: return false
        }
    }

    /// The next event; nil if the bytes are not one.
    private static func readEvent(_ reader: inout RecordReader) -> EventTable.EventBytes? {
        guard let user = reader.textBytes(), let item = reader.textBytes(),
            let timestamp = reader.integer(UInt64.self), let action = reader.textBytes()
        else { return nil }
        return EventTable.EventBytes(
            user: user,
            item: item,
            timestamp: Int64(bitPattern: timestamp),
            action: action
        )
    }
}

extension UserStoreError {
    /// Converts a journal's error.
    init(_ error: JournalError) {
        self.init(error.code == .full ? .full : .unavailable, error.description)
    }
}
