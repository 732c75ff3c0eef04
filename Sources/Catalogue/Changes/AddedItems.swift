// The items of a snapshot that its bundle does not have: ids, titles and rows.

internal import JSON

/// Added items. A pure value; their rows' contents are in the `ItemTable`, which all states of a catalogue share. A
/// copy with one more item shares nearly all of its memory with the original.
struct AddedItems: Sendable {
    /// An added item and its row.
    private struct Entry: Sendable {
        let id: [UInt8]
        let json: [UInt8]
        let row: Int32
        /// nil: it was removed.
        var item: AddedItem?
    }

    private let firstRow: Int
    private var entries = PagedArray<Entry>()
    /// Indices into `entries`, plus 1. The hash's top byte selects the table.
    private var placesByID = Array(repeating: RowTable(), count: 256)
    /// The index into `entries` of each row from `firstRow` on; −1: another state of the catalogue has the row.
    private var places = PagedArray<Int32>()
    /// Number of added items.
    private(set) var count = 0

    init(_ table: ItemTable?) { firstRow = table?.firstAddedRow ?? 0 }

    /// One more than the last row; 0: no rows were added.
    var endRow: Int { places.count == 0 ? 0 : firstRow + places.count }

    func row(of id: UnsafeBufferPointer<UInt8>) -> Int32? { place(of: id).map { entries[$0].row } }

    private func place(of id: UnsafeBufferPointer<UInt8>) -> Int? {
        guard count > 0 else { return nil }
        let hash = KeyedHash.shared.of(id)
        let found = placesByID[Int(hash >> 24)].find(hash) { place in
            let entry = entries[Int(place) - 1]
            return entry.item != nil && entry.id.elementsEqual(id)
        }
        return found.map { Int($0) - 1 }
    }

    /// The item of a row; nil: the row is not an added item.
    private func entry(_ row: Int32) -> Entry? {
        let index = Int(row) - firstRow
        guard index >= 0, index < places.count, places[index] >= 0 else { return nil }
        let entry = entries[Int(places[index])]
        return entry.item == nil ? nil : entry
    }

    func title(_ row: Int32) -> String? { entry(row)?.item?.title }

    func idDescription(_ row: Int32) -> String { entry(row).map { String(decoding: $0.id, as: UTF8.self) } ?? "" }

    /// Passes an item's id as JSON to `body`; empty if the row is not an added item.
    func withIDJSON(_ row: Int32, _ body: (UnsafeBufferPointer<UInt8>) -> Void) {
        (entry(row)?.json ?? []).withUnsafeBufferPointer { body($0) }
    }

    /// The effect of `settle` on the rows of an id.
    struct Change {
        /// The row that is no longer an item; nil: none.
        var gone: Int32?
        /// The item's row; nil: it has none.
        var row: Int32?
    }

    /// Sets an item to its state after the changes; nil: removed. It gets a new row if the row's content changes.
    mutating func settle(
        _ id: UnsafeBufferPointer<UInt8>,
        _ item: AddedItem?,
        _ table: ItemTable,
        _ catalogue: Catalogue
    ) -> Change {
        let place = place(of: id)
        if let place, let item, entries[place].item?.source == item.source {
            entries[place].item = item
            return Change(gone: nil, row: entries[place].row)
        }
        var change = Change()
        if let place {
            entries[place].item = nil
            count -= 1
            change.gone = entries[place].row
        }
        guard let item, catalogue.isUsable(id), case .success(let numbers) = table.row(of: item, in: catalogue) else {
            return change
        }
        let row = table.append(numbers)
        change.row = row
        var json = Array(id)
        if !catalogue.idsAreIntegers {
            var writer = JSONWriter()
            writer.string(utf8: id)
            json = writer.bytes
        }
        entries.append(Entry(id: Array(id), json: json, row: row, item: item))
        let hash = KeyedHash.shared.of(id)
        placesByID[Int(hash >> 24)].insert(hash, Int32(entries.count))
        while places.count < Int(row) - firstRow { places.append(-1) }
        places.append(Int32(entries.count - 1))
        count += 1
        return change
    }
}

extension Catalogue {
    /// Whether an id is of the same type as the catalogue's.
    func isUsable(_ id: UnsafeBufferPointer<UInt8>) -> Bool { !idsAreIntegers || CanonicalInteger.value(of: id) != nil }
}
