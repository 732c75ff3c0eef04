// A user's events as a model reads them: numbers in place of texts.

/// What numbers a catalogue has for the texts of events. It is the object that says which: the same one always answers the same.
package protocol EventNumbers: AnyObject, Sendable {
    /// The row of an item; nil: the catalogue does not know it.
    func row(ofItem text: UnsafeBufferPointer<UInt8>) -> Int32?
    /// A number that tells actions apart, never 0.
    func fingerprint(ofAction text: UnsafeBufferPointer<UInt8>) -> UInt64
}

/// The events of one user, oldest first, those of the same second in the order in which they came.
package struct UserHistory: Sendable, Equatable {
    /// Rows of the catalogue; one that is negative is the complement of a place in `unknownItems`.
    package private(set) var rows: [Int32] = []
    /// Seconds since the epoch.
    package private(set) var timestamps: [Int64] = []
    /// Fingerprints, 0 where nothing is said.
    package private(set) var actions: [UInt64] = []
    /// Items that the catalogue does not know, once for each event.
    package private(set) var unknownItems: [String] = []

    package init() {}

    package var count: Int { rows.count }

    package init(_ events: [UserEvent], _ numbers: some EventNumbers) {
        reserveCapacity(events.count)
        for event in events {
            append(
                row: event.item.withContiguousUTF8(numbers.row),
                timestamp: event.timestamp,
                action: event.action.map { $0.withContiguousUTF8(numbers.fingerprint) } ?? 0,
                item: event.item
            )
        }
    }

    mutating func reserveCapacity(_ count: Int) {
        rows.reserveCapacity(count)
        timestamps.reserveCapacity(count)
        actions.reserveCapacity(count)
    }

    /// Appends an event.
    ///
    /// - Parameter item: asked for where `row` is nil.
    mutating func append(row: Int32?, timestamp: Int64, action: UInt64, item: @autoclosure () -> String) {
        rows.append(row ?? ~Int32(unknownItems.count))
        if row == nil { unknownItems.append(item()) }
        timestamps.append(timestamp)
        actions.append(action)
    }

    /// Puts an event where its time belongs, unless it is there.
    package mutating func insert(_ event: UserEvent, _ numbers: some EventNumbers) {
        let row = event.item.withContiguousUTF8(numbers.row)
        let action = event.action.map { $0.withContiguousUTF8(numbers.fingerprint) } ?? 0
        var place = count
        while place > 0, timestamps[place - 1] > event.timestamp { place -= 1 }
        var before = place
        while before > 0, timestamps[before - 1] == event.timestamp {
            before -= 1
            guard actions[before] == action else { continue }
            if let row, rows[before] == row { return }
            guard row == nil, rows[before] < 0 else { continue }
            if unknownItems[Int(~rows[before])].utf8.elementsEqual(event.item.utf8) { return }
        }
        rows.insert(row ?? ~Int32(unknownItems.count), at: place)
        if row == nil { unknownItems.append(event.item) }
        timestamps.insert(event.timestamp, at: place)
        actions.insert(action, at: place)
    }
}
