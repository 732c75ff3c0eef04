// A user's events as a model reads them, with numbers in place of texts.

/// A catalogue's numbers for texts. Cached by identity, so an object must always give the same answers.
package protocol EventNumbers: AnyObject, Sendable {
    /// The row of an item; nil: the catalogue does not know it.
    func row(ofItem text: UnsafeBufferPointer<UInt8>) -> Int32?
    /// A number that identifies an action; never 0.
    func fingerprint(ofAction text: UnsafeBufferPointer<UInt8>) -> UInt64
}

/// A source of item texts by number.
protocol ItemTexts: Sendable {
    /// The texts of these numbers, all of which it assigned.
    func texts(ofItems numbers: [UInt32]) -> [String]
}

/// The events of one user, oldest first, equal times in order of arrival.
package struct UserHistory: Sendable {
    /// Rows of the catalogue; negative for items that the catalogue does not know.
    package private(set) var rows: [Int32] = []
    /// Seconds since the epoch.
    package private(set) var timestamps: [Int64] = []
    /// Fingerprints; 0 for no action.
    package private(set) var actions: [UInt64] = []
    /// Number of events whose items the catalogue does not know.
    package private(set) var unknownCount = 0
    /// Gives the texts of unknown items whose rows are complements of its numbers. They are rarely needed, and creating
    /// two thousand strings takes longer than the rest of a lookup.
    private let texts: (any ItemTexts)?
    /// Texts of the other unknown items; their rows are indices into it, counted from `Int32.min`.
    private var ownTexts: [String] = []
    /// The largest row that stands for an index into `ownTexts`; numbers of `ItemTexts` are below its complement.
    private static let lastOwn = Int32.min / 2

    package init() { texts = nil }

    /// An empty history to be filled with items whose texts `texts` has.
    init(capacity: Int, texts: any ItemTexts) {
        self.texts = texts
        reserveCapacity(capacity)
    }

    package var count: Int { rows.count }

    package init(_ events: [UserEvent], _ numbers: some EventNumbers) {
        self.init()
        reserveCapacity(events.count)
        for event in events {
            append(
                row: event.item.withContiguousUTF8(numbers.row) ?? addText(event.item),
                timestamp: event.timestamp,
                action: event.action.map { $0.withContiguousUTF8(numbers.fingerprint) } ?? 0
            )
        }
    }

    private mutating func reserveCapacity(_ count: Int) {
        rows.reserveCapacity(count)
        timestamps.reserveCapacity(count)
        actions.reserveCapacity(count)
    }

    /// Appends an event.
    ///
    /// - Parameter row: a row of the catalogue, or the complement of a number of `texts`.
    mutating func append(row: Int32, timestamp: Int64, action: UInt64) {
        rows.append(row)
        if row < 0 { unknownCount += 1 }
        timestamps.append(timestamp)
        actions.append(action)
    }

    /// Assigns a row to an unknown item with this text.
    private mutating func addText(_ text: String) -> Int32 {
        ownTexts.append(text)
        return Int32.min + Int32(ownTexts.count - 1)
    }

    /// The items of these events, all of which the catalogue does not know.
    package func unknownItems(ofEvents places: some Collection<Int>) -> [String] {
        let numbers = places.lazy.map { rows[$0] }.filter { $0 > Self.lastOwn }.map { UInt32(~$0) }
        var others = (texts?.texts(ofItems: Array(numbers)) ?? []).makeIterator()
        return places.map { place in
            let row = rows[place]
            return row > Self.lastOwn ? others.next() ?? "" : ownTexts[Int(row - Int32.min)]
        }
    }

    /// Inserts an event in time order, unless it is already there.
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
            if unknownItems(ofEvents: CollectionOfOne(before))[0].utf8.elementsEqual(event.item.utf8) { return }
        }
        if row == nil { unknownCount += 1 }
        rows.insert(row ?? addText(event.item), at: place)
        timestamps.insert(event.timestamp, at: place)
        actions.insert(action, at: place)
    }
}
