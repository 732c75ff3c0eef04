// The item table as the catalogue needs it: rows from which new items are computed, and the new items' rows. Devices
// copy added rows into their own pages (Models, `AddedItemRows`).

internal import Compute
internal import Locking

/// A model's item table, which grows with the items added while the model is served. Rows are only ever added and never
/// change while the model is loaded, so results computed from them stay valid.
package final class ItemTable: Sendable {
    /// D, the width of a row.
    package let width: Int
    /// The number of the first added row, whether or not it exists yet.
    package let firstAddedRow: Int
    /// Reads a row of the bundle; nil: its file can no longer be read.
    private let read: @Sendable (Int32) -> [Float]?
    private let added = Lock<[[Float]]>([])

    /// - Parameter rows: rows of the bundle's table, V + 1.
    package init(rows: Int, width: Int, read: @escaping @Sendable (Int32) -> [Float]?) {
        self.width = width
        self.read = read
        firstAddedRow = AddedRows.first(behind: rows)
    }

    /// The largest number of a stated row. Far above those of trained rows, and far enough below the largest float32 that no
    /// score overflows: one such score would fail every request.
    private static let largestNumber: Float = 1e12

    /// The added rows after the first `count`.
    package func added(after count: Int) -> [[Float]] {
        added.withLock { $0.count > count ? Array($0[count...]) : [] }
    }

    /// Number of added rows, including those of removed items.
    var addedCount: Int { added.withLock { $0.count } }

    /// Adds a row of `width` numbers.
    ///
    /// - Returns: its number.
    func append(_ row: [Float]) -> Int32 {
        let place = added.withLock { added in
            added.append(row)
            return added.count - 1
        }
        // Never clamps: `CatalogueStore` limits the number of rows.
        return Int32(clamping: firstAddedRow + place)
    }

    /// The row of a new item: the stated numbers, or the mean of the rows of the bundle items that it names.
    func row(of item: AddedItem, in catalogue: Catalogue) -> Result<[Float], AddedItem.Fault> {
        switch item.source {
        case .embedding(let numbers):
            if numbers.count != width { return .failure(.width(numbers.count, of: width)) }
            if let place = numbers.firstIndex(where: { $0.magnitude > Self.largestNumber }) {
                return .failure(.large(place, numbers[place]))
            }
            return .success(numbers)
        case .like(let ids):
            var sum = [Double](repeating: 0, count: width)
            for id in ids {
                guard let row = catalogue.row(of: id) else { return .failure(.unknown(id)) }
                guard let numbers = read(row), numbers.count == width else { return .failure(.unreadable) }
                for (index, number) in numbers.enumerated() { sum[index] += Double(number) }
            }
            return .success(sum.map { Float($0 / Double(ids.count)) })
        }
    }
}

/// Whether items can be added to a model's bundle.
package enum Extensibility: Sendable {
    case by(ItemTable)
    /// A clause that completes "no items can be added: …".
    case none(because: String)

    var table: ItemTable? { if case .by(let table) = self { table } else { nil } }
}

/// An item that the bundle does not have.
package struct AddedItem: Sendable, Equatable {
    /// The source of its row.
    package enum Source: Sendable, Equatable {
        /// These finite numbers.
        case embedding([Float])
        /// The mean of these items' rows; at least one, all in the bundle.
        case like([String])
    }

    package var source: Source
    package var title: String?

    package init(_ source: Source, title: String? = nil) {
        self.source = source
        self.title = title
    }

    /// Why an item's row cannot be computed.
    enum Fault: Error {
        case width(Int, of: Int)
        case large(Int, Float)
        case unknown(String)
        case unreadable
        case noInteger

        var description: String {
            switch self {
            case .width(let count, let width): "embedding has \(count) numbers, but the model's rows have \(width)"
            case .large(let place, let number): "embedding[\(place)] is \(number), not from -1e12 to 1e12"
            case .unknown(let id): "like names '\(id.prefix(64))', which is not an item of the model's bundle"
            case .unreadable:
                "the rows of the items in like cannot be read: the bundle's file has changed since it was loaded"
            case .noInteger: "the ids of the model's items are integers"
            }
        }
    }
}
