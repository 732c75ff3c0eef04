// The catalogue state that a request reads. A changing catalogue is a series of immutable snapshots: a request takes
// one and reads nothing else, so it never sees two states.

/// One state of a catalogue: the bundle's plus all changes since.
package final class CatalogueSnapshot: Sendable {
    /// The bundle's items. Only ids, titles and rows hold for this state; tags and popularities may have changed since.
    package let items: Catalogue
    /// Whether items can be added to those of the bundle.
    package let extensibility: Extensibility
    /// The added items.
    let added: AddedItems
    /// One bit per row, 1 if it is an item: the bundle's rows, then added ones.
    package let presentMask: [UInt64]
    /// The number of calls that changed something; 0: the catalogue as in its bundle.
    package let revision: Int
    /// The items that may be recommended, one bit per row as in `presentMask`; nil: all of them, and none was added.
    package let available: [UInt64]?
    /// Number of unavailable items.
    package let unavailableCount: Int
    /// Number of items that differ from the bundle.
    package let changedCount: Int

    /// The changed rows, one bit per row; nil: none.
    private let changed: [UInt64]?
    /// By row; nil: as in `items`.
    private let popularities: [Double]?
    /// Most popular first, ties by smaller row.
    package let popularityOrder: [Int32]
    private let retagging: Retagging?

    /// A row, and the number of its state.
    typealias ChangedRow = (row: Int32, number: Int)

    /// A catalogue as in its bundle, or with only some items available.
    ///
    /// - Parameter available: a subset of `items.presentMask`.
    package init(
        _ items: Catalogue,
        revision: Int = 0,
        available: [UInt64]? = nil,
        extensibility: Extensibility = .none(because: "the model's items are fixed")
    ) {
        self.items = items
        self.extensibility = extensibility
        added = AddedItems(extensibility.table)
        presentMask = items.presentMask
        self.revision = revision
        self.available = available
        unavailableCount = available.map { items.count - $0.bitCount } ?? 0
        changedCount = 0
        changed = nil
        popularities = nil
        popularityOrder = items.popularityOrder
        retagging = nil
    }

    /// The state after changes.
    ///
    /// - Parameters:
    ///   - rows: the rows that differ from `before`, each once.
    ///   - states: all states, by number.
    ///   - added: the items that the bundle does not have; new ones are among `rows`.
    ///   - removed: rows that are no longer items.
    init(
        _ before: CatalogueSnapshot,
        revision: Int,
        _ rows: [ChangedRow],
        of states: [ItemState],
        added: AddedItems,
        removed: [Int32]
    ) {
        let items = before.items
        self.items = items
        extensibility = before.extensibility
        self.added = added
        self.revision = revision
        let words = max(before.presentMask.count, (added.endRow + 63) / 64)
        var present = before.presentMask.grown(to: words)
        var available = (before.available ?? present).grown(to: words)
        var changed = (before.changed ?? []).grown(to: words)
        for row in removed {
            present.remove(row)
            available.remove(row)
            changed.remove(row)
        }
        var repriced: [Int32] = []
        var isRetagged = removed.contains { before.retagging?.has($0) ?? false }
        for (row, number) in rows {
            let isNew = !items.contains(row)
            if isNew { present.insert(row) }
            if states[number].available == false { available.remove(row) } else { available.insert(row) }
            if !isNew && states[number].isUnchangedItem { changed.remove(row) } else { changed.insert(row) }
            let isMoved = (states[number].popularity ?? items.popularity(row)) != before.popularity(row)
            if isMoved || !before.contains(row) { repriced.append(row) }
            if states[number].hasTags || before.retagging?.has(row) ?? false { isRetagged = true }
        }
        presentMask = present
        changedCount = changed.bitCount
        self.changed = changedCount == 0 ? nil : changed
        unavailableCount = items.count + added.count - available.bitCount
        self.available = unavailableCount == 0 && added.count == 0 ? nil : available

        if repriced.isEmpty && removed.isEmpty {
            popularities = before.popularities
            popularityOrder = before.popularityOrder
        } else {
            var values =
                before.popularities ?? (0..<Int32(items.rowCount)).map { items.popularity($0) }
            if values.count < added.endRow { values += repeatElement(0, count: added.endRow - values.count) }
            for (row, number) in rows { values[Int(row)] = states[number].popularity ?? items.popularity(row) }
            popularities = values
            popularityOrder = before.popularityOrder(moving: repriced, dropping: removed, values)
        }
        retagging =
            isRetagged
            ? Retagging(after: before.retagging, items, rows, of: states, removed: removed, words: words)
            : before.retagging
    }

    /// Whether both are the same state of the same catalogue.
    package func isSame(as other: CatalogueSnapshot) -> Bool {
        self === other || (items === other.items && revision == other.revision)
    }

    // MARK: - Items

    /// Number of items.
    package var count: Int { items.count + added.count }

    /// Number of items that the bundle does not have.
    package var addedCount: Int { added.count }

    /// Whether the row is an item.
    package func contains(_ row: Int32) -> Bool {
        row > 0 && Int(row) >> 6 < presentMask.count && presentMask.has(row)
    }

    /// Whether the row is an item that may be recommended.
    package func isAvailable(_ row: Int32) -> Bool { contains(row) && available?.has(row) ?? true }

    /// Whether the row is an item that differs from the bundle.
    package func isChanged(_ row: Int32) -> Bool { contains(row) && changed?.has(row) ?? false }

    /// Whether the row is an item that the bundle does not have.
    package func isAdded(_ row: Int32) -> Bool { contains(row) && !items.contains(row) }

    /// The row of an item; nil if no item has this id.
    package func row(of key: ItemKey) -> Int32? {
        if let text = key.text { row(ofString: text) } else { row(ofInteger: key.integer) }
    }

    /// The row of an id given as a string; see `Catalogue.row(ofString:)`.
    package func row(ofString utf8: UnsafeBufferPointer<UInt8>) -> Int32? {
        if let row = items.row(ofString: utf8) { return row }
        // Checked here because almost no catalogue has added items.
        return added.count > 0 ? added.row(of: utf8) : nil
    }

    /// The row of an id given as an integer; see `Catalogue.row(ofInteger:)`.
    package func row(ofInteger id: Int64) -> Int32? {
        if let row = items.row(ofInteger: id) { return row }
        guard added.count > 0 else { return nil }
        return CanonicalInteger.withText(of: id) { added.row(of: $0) }
    }

    /// The rows of items, 0 if no item has the id; see `Catalogue.rows(of:into:)`.
    package func rows(of keys: UnsafeBufferPointer<ItemKey>, into rows: UnsafeMutableBufferPointer<Int32>) {
        items.rows(of: keys, into: rows)
        guard added.count > 0 else { return }
        for index in keys.indices where rows[index] == 0 { rows[index] = row(of: keys[index]) ?? 0 }
    }

    /// The row of an id given as text.
    package func row(of id: String) -> Int32? {
        var id = id
        return id.withUTF8 { row(ofString: $0) }
    }

    /// Passes an item's id as JSON to `body`; see `Catalogue.withIDJSON`.
    package func withIDJSON(_ row: Int32, _ body: (UnsafeBufferPointer<UInt8>) -> Void) {
        if isAdded(row) { added.withIDJSON(row, body) } else { items.withIDJSON(row, body) }
    }

    /// An item's id for people and tables; empty if the row is not an item.
    package func idDescription(_ row: Int32) -> String {
        isAdded(row) ? added.idDescription(row) : items.idDescription(row)
    }

    /// An item's title; nil if it has none.
    package func title(_ row: Int32) -> String? { isAdded(row) ? added.title(row) : items.title(row) }

    /// An item's popularity; 0 if it has none.
    package func popularity(_ row: Int32) -> Double {
        guard let popularities else { return items.popularity(row) }
        return contains(row) ? popularities[Int(row)] : 0
    }

    /// An item's popularity as a score. The largest float32 stands for everything above it.
    package func popularityScore(_ row: Int32) -> Float {
        Float(min(popularity(row), Double(Float.greatestFiniteMagnitude)))
    }

    // MARK: - Tags

    /// The number of a tag; nil if no item has ever had it.
    package func tag(utf8: UnsafeBufferPointer<UInt8>) -> Int32? {
        if let tag = items.tag(utf8: utf8) { return tag }
        return retagging?.tag(of: utf8, items)
    }

    /// The number of a tag; nil if no item has ever had it.
    package func tag(of name: String) -> Int32? {
        var name = name
        return name.withUTF8 { tag(utf8: $0) }
    }

    /// The name of a tag. `tag` is a number from `tag(utf8:)` or `tags(_:)`.
    package func tagName(_ tag: Int32) -> String {
        if Int(tag) < items.tagCount { return items.tagNames[Int(tag)] }
        return retagging?.tagName(tag, items) ?? ""
    }

    /// The numbers of an item's tags.
    package func tags(_ row: Int32) -> ArraySlice<Int32> {
        retagging?.tags(row) ?? items.tags(row)
    }

    /// Calls `body` with each row that has a tag, in no order.
    package func forEachRow(withTag tag: Int32, _ body: (Int32) -> Void) {
        if Int(tag) < items.tagCount {
            for row in items.rows(withTag: tag) where !(retagging?.has(row) ?? false) { body(row) }
        }
        for row in retagging?.rows(withTag: tag) ?? [] { body(row) }
    }
}

extension [UInt64] {
    /// Row r is bit r & 63 of word r >> 6. In bounds: rows come from the catalogue that the mask belongs to.
    mutating func insert(_ row: Int32) { self[Int(row >> 6)] |= 1 << UInt64(row & 63) }
    mutating func remove(_ row: Int32) { self[Int(row >> 6)] &= ~(1 << UInt64(row & 63)) }
    func has(_ row: Int32) -> Bool { self[Int(row >> 6)] & (1 << UInt64(row & 63)) != 0 }
    func grown(to words: Int) -> [UInt64] {
        count < words ? self + repeatElement(0, count: words - count) : self
    }
    var bitCount: Int { reduce(0) { $0 + $1.nonzeroBitCount } }
}
