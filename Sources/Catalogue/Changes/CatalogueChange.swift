// The changes that operators make to items while the server runs. They are keyed by item id, because ids outlive
// bundles and rows do not.

internal import Journal

/// A change to one item. Nil members leave the value as it is.
package struct CatalogueChange: Sendable, Equatable {
    /// The item's id as text; integers as digits.
    package var item: String
    /// Whether to undo all earlier changes of the item first.
    package var resets = false
    /// Whether the item may be recommended.
    package var available: Bool?
    /// Tags that replace the item's.
    package var tags: [String]?
    /// Finite, at least 0.
    package var popularity: Double?
    /// The definition of an item that the bundle does not have.
    package var added: AddedItem?

    package init(item: String) { self.item = item }
}

/// All changes to one item; nil members are as in the bundle. Three words, because there may be millions.
struct ItemState: Sendable, Equatable {
    var popularity: Double?
    /// Only false has an effect; a bundle's items are available.
    var available: Bool?
    /// Whether tags were changed, so that most reads need not touch `rest`.
    private(set) var hasTags = false
    private var rest: Rest?

    var tags: [String]? {
        get { rest?.tags }
        set {
            hasTags = newValue != nil
            rest = Rest(newValue, added)
        }
    }
    /// Has no effect if the bundle has the item.
    var added: AddedItem? {
        get { rest?.added }
        set { rest = Rest(tags, newValue) }
    }

    /// The members that few states have.
    private final class Rest: Sendable, Equatable {
        let tags: [String]?
        let added: AddedItem?

        init?(_ tags: [String]?, _ added: AddedItem?) {
            guard tags != nil || added != nil else { return nil }
            self.tags = tags
            self.added = added
        }

        static func == (left: Rest, right: Rest) -> Bool { left.tags == right.tags && left.added == right.added }
    }

    mutating func apply(_ change: CatalogueChange) {
        if change.resets { self = ItemState() }
        if let available = change.available { self.available = available }
        if let tags = change.tags { self.tags = tags }
        if let popularity = change.popularity { self.popularity = popularity }
        if let added = change.added { self.added = added }
    }

    /// Whether nothing has been changed.
    var isUnchanged: Bool { isUnchangedItem && added == nil }
    /// Whether an item of the bundle is unchanged.
    var isUnchangedItem: Bool { available != false && popularity == nil && !hasTags }
}

/// The net changes of a catalogue, per item. A pure value.
struct ChangeTable: Sendable {
    private var rowsByID = RowTable()
    private var ids = TextColumn(rows: 0)
    /// By id number; reset items stay, with an empty state.
    private(set) var states: [ItemState] = []
    /// The number of calls that changed something, across restarts.
    var revision = 0

    /// The number of an id, 0 ..< `states.count`, assigned if it is new.
    private mutating func number(of id: UnsafeBufferPointer<UInt8>) -> Int {
        let hash = KeyedHash.shared.of(id)
        if let known = find(id, hash) { return known }
        ids.append(id)
        states.append(ItemState())
        rowsByID.insert(hash, Int32(states.count))
        return states.count - 1
    }

    private func find(_ id: UnsafeBufferPointer<UInt8>, _ hash: UInt32) -> Int? {
        rowsByID.find(hash) { ids.holds(id, at: Int($0) - 1) }.map { Int($0) - 1 }
    }

    /// Applies a change.
    ///
    /// - Returns: the number of its item.
    mutating func apply(_ change: CatalogueChange) -> Int {
        var id = change.item
        return id.withUTF8 { apply(change, to: $0) }
    }

    /// Applies a change to the item with this id, ignoring `change.item`.
    ///
    /// - Returns: the number of the item.
    private mutating func apply(_ change: CatalogueChange, to id: UnsafeBufferPointer<UInt8>) -> Int {
        let number = number(of: id)
        states[number].apply(change)
        return number
    }

    /// A change, and the id of its item instead of `change.item`.
    typealias ChangeOfID = (id: UnsafeBufferPointer<UInt8>, change: CatalogueChange)

    /// Applies changes in order. Known ids are looked up together, as in `Catalogue.rows(of:into:)`.
    mutating func apply(_ changes: [ChangeOfID]) {
        let hashes = changes.map { KeyedHash.shared.of($0.id) }
        let beginnings = hashes.map { rowsByID.beginning(of: $0) }
        let known = changes.indices.map { index in
            rowsByID.find(hashes[index], beginningWith: beginnings[index]) { number in
                ids.holds(changes[index].id, at: Int(number) - 1)
            }
        }
        for index in changes.indices {
            if let number = known[index] {
                states[Int(number) - 1].apply(changes[index].change)
            } else {
                _ = apply(changes[index].change, to: changes[index].id)
            }
        }
    }

    /// The rows of the ids with these numbers, as from `Catalogue.rows(of:_:)`.
    func rows(_ numbers: some Collection<Int>, in catalogue: Catalogue) -> [Int32] { catalogue.rows(of: ids, numbers) }

    /// The changes to an item.
    func state(of item: String) -> ItemState {
        var item = item
        return item.withUTF8 { id in find(id, KeyedHash.shared.of(id)).map { states[$0] } } ?? ItemState()
    }

    /// Passes an id to `body`.
    func withID<Result>(_ number: Int, _ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
        let range = ids.range(number) ?? 0..<0
        return ids.bytes.withUnsafeBufferPointer { body(UnsafeBufferPointer(rebasing: $0[range])) }
    }
}

// MARK: - On disk

/// The format of change records: a revision, then changes.
enum ChangeRecord {
    /// The first bytes of a file; the digit is the version of the format.
    static let magic = Array("GRITEMS1".utf8)
    /// The most changes per snapshot record.
    static let snapshotCount = 4_096
    /// Changes that are collected before they are applied together.
    private static let groupCount = 128
    /// The size at which a snapshot record is full.
    static let snapshotBytes = 1 << 24

    /// The members of a change, as bits of a byte.
    private enum Bit {
        static let resets: UInt8 = 1
        static let unavailable: UInt8 = 2
        static let available: UInt8 = 4
        static let tags: UInt8 = 8
        static let popularity: UInt8 = 16
        static let embedding: UInt8 = 32
        static let like: UInt8 = 64
        static let title: UInt8 = 128
    }

    /// Appends a record with the changes of one call.
    static func append(_ changes: [CatalogueChange], revision: Int, to bytes: inout [UInt8]) {
        JournalRecord.append(to: &bytes) { bytes in
            bytes.append(record: UInt64(revision))
            for change in changes { append(change, to: &bytes) }
        }
    }

    private static func append(_ change: CatalogueChange, to bytes: inout [UInt8]) {
        var bits: UInt8 = change.resets ? Bit.resets : 0
        if let available = change.available { bits |= available ? Bit.available : Bit.unavailable }
        if change.tags != nil { bits |= Bit.tags }
        if change.popularity != nil { bits |= Bit.popularity }
        switch change.added?.source {
        case .embedding: bits |= Bit.embedding
        case .like: bits |= Bit.like
        case nil: break
        }
        if change.added?.title != nil { bits |= Bit.title }
        bytes.append(bits)
        bytes.append(record: change.item)
        if let tags = change.tags {
            bytes.append(record: UInt16(truncatingIfNeeded: tags.count))
            for tag in tags { bytes.append(record: tag) }
        }
        if let popularity = change.popularity { bytes.append(record: popularity.bitPattern) }
        switch change.added?.source {
        case .embedding(let numbers):
            bytes.append(record: UInt32(truncatingIfNeeded: numbers.count))
            for number in numbers { bytes.append(record: number.bitPattern) }
        case .like(let ids):
            bytes.append(record: UInt16(truncatingIfNeeded: ids.count))
            for id in ids { bytes.append(record: id) }
        case nil: break
        }
        if let title = change.added?.title { bytes.append(record: title) }
    }

    /// Appends all changes of an item as one change; nothing if there are none.
    static func append(_ number: Int, of table: ChangeTable, to bytes: inout [UInt8]) {
        let state = table.states[number]
        guard !state.isUnchanged else { return }
        var change = CatalogueChange(item: table.withID(number) { String(decoding: $0, as: UTF8.self) })
        change.available = state.available
        change.tags = state.tags
        change.popularity = state.popularity
        change.added = state.added
        append(change, to: &bytes)
    }

    /// Applies a record. False if the record is invalid; the changes before the fault are applied.
    static func apply(_ reader: inout RecordReader, to table: inout ChangeTable) -> Bool {
        guard let revision = reader.integer(UInt64.self), let revision = Int(exactly: revision) else { return false }
        var changes: [ChangeTable.ChangeOfID] = []
        changes.reserveCapacity(groupCount)
        defer { table.apply(changes) }
        while !reader.isAtEnd {
            guard let bits = reader.integer(UInt8.self), let id = reader.textBytes() else { return false }
            var change = CatalogueChange(item: "")
            change.resets = bits & Bit.resets != 0
            if bits & (Bit.available | Bit.unavailable) != 0 { change.available = bits & Bit.available != 0 }
            if bits & Bit.tags != 0 {
                guard let count = reader.integer(UInt16.self) else { return false }
                var tags: [String] = []
                for _ in 0..<count {
                    guard let tag = reader.text() else { return false }
                    tags.append(tag)
                }
                change.tags = tags
            }
            if bits & Bit.popularity != 0 {
                guard let pattern = reader.integer(UInt64.self) else { return false }
                change.popularity = Double(bitPattern: pattern)
            }
            if bits & (Bit.embedding | Bit.like) != 0 {
                guard let added = readAdded(&reader, bits) else { return false }
                change.added = added
            }
            changes.append((id, change))
            if changes.count == groupCount {
                table.apply(changes)
                changes.removeAll(keepingCapacity: true)
            }
        }
        table.revision = max(table.revision, revision)
        return true
    }

    private static func readAdded(_ reader: inout RecordReader, _ bits: UInt8) -> AddedItem? {
        var item: AddedItem
        if bits & Bit.embedding != 0 {
            guard let count = reader.integer(UInt32.self) else { return nil }
            var numbers: [Float] = []
            for _ in 0..<count {
                guard let pattern = reader.integer(UInt32.self) else { return nil }
                numbers.append(Float(bitPattern: pattern))
            }
            item = AddedItem(.embedding(numbers))
        } else {
            guard let count = reader.integer(UInt16.self) else { return nil }
            var ids: [String] = []
            for _ in 0..<count {
                guard let id = reader.text() else { return nil }
                ids.append(id)
            }
            item = AddedItem(.like(ids))
        }
        if bits & Bit.title != 0 {
            guard let title = reader.text() else { return nil }
            item.title = title
        }
        return item
    }
}
