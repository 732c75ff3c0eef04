// The items of a snapshot that its bundle does not have: ids, titles and rows.

internal import JSON

/// Items that were added. A pure value; their rows' numbers are in the `ItemTable` that all states of a catalogue share.
struct AddedItems: Sendable {
    private let firstRow: Int
    /// To places, from 1 on.
    private var placesByID = RowTable()
    /// By place.
    private var ids = TextColumn(rows: 0)
    /// The ids as JSON.
    private var json = TextColumn(rows: 0)
    /// nil: it is gone.
    private var items: [AddedItem?] = []
    private var rows: [Int32] = []
    /// The place of each row from `firstRow` on; −1: it is in another state of the catalogue.
    private var places: [Int32] = []
    /// How many there are.
    private(set) var count = 0

    init(_ table: ItemTable?) { firstRow = table?.firstAddedRow ?? 0 }

    /// The number behind that of the last row; 0: no row was added.
    var endRow: Int { places.isEmpty ? 0 : firstRow + places.count }

    func row(of id: UnsafeBufferPointer<UInt8>) -> Int32? { place(of: id).map { rows[$0] } }

    private func place(of id: UnsafeBufferPointer<UInt8>) -> Int? {
        guard count > 0 else { return nil }
        return placesByID.find(KeyedHash.of(id)) { items[Int($0) - 1] != nil && ids.holds(id, at: Int($0) - 1) }
            .map { Int($0) - 1 }
    }

    /// The place of a row; nil: it is no item.
    private func place(_ row: Int32) -> Int? {
        let index = Int(row) - firstRow
        guard places.indices.contains(index), places[index] >= 0 else { return nil }
        return items[Int(places[index])] == nil ? nil : Int(places[index])
    }

    func title(_ row: Int32) -> String? { place(row).flatMap { items[$0]?.title } }

    func idDescription(_ row: Int32) -> String {
        guard let place = place(row), let range = ids.range(place) else { return "" }
        return String(decoding: ids.bytes[range], as: UTF8.self)
    }

    /// Hands an item's id as JSON to `body`; empty if the row is none of these.
    func withIDJSON(_ row: Int32, _ body: (UnsafeBufferPointer<UInt8>) -> Void) {
        let range = place(row).flatMap { json.range($0) } ?? 0..<0
        json.bytes.withUnsafeBufferPointer { body(UnsafeBufferPointer(rebasing: $0[range])) }
    }

    /// What has become of an id.
    struct Change {
        /// The row that is no item any more.
        var gone: Int32?
        /// Its row.
        var row: Int32?
    }

    /// Puts an item in the state that the changes have it in; nil: it is not there. Its row is another one when it is made of something
    /// else.
    mutating func settle(
        _ id: UnsafeBufferPointer<UInt8>,
        _ item: AddedItem?,
        _ table: ItemTable,
        _ catalogue: Catalogue
    ) -> Change {
        let place = place(of: id)
        if let place, let item, items[place]?.source == item.source {
            items[place] = item
            return Change(gone: nil, row: rows[place])
        }
        var change = Change()
        if let place {
            items[place] = nil
            count -= 1
            change.gone = rows[place]
        }
        guard let item, catalogue.isUsable(id), case .success(let numbers) = table.row(of: item, in: catalogue) else {
            return change
        }
        let row = table.append(numbers)
        change.row = row
        ids.append(id)
        if catalogue.idsAreIntegers {
            json.append(id)
        } else {
            var writer = JSONWriter()
            writer.string(utf8: id)
            json.append(writer.bytes)
        }
        items.append(item)
        rows.append(row)
        placesByID.insert(KeyedHash.of(id), Int32(items.count))
        while places.count < Int(row) - firstRow { places.append(-1) }
        places.append(Int32(items.count - 1))
        count += 1
        return change
    }
}

extension Catalogue {
    /// Whether an id is of the type of the catalogue's.
    func isUsable(_ id: UnsafeBufferPointer<UInt8>) -> Bool { !idsAreIntegers || CanonicalInteger.value(of: id) != nil }
}
