// The item table of a catalogue, as far as the catalogue needs it: rows from which new items are made, and room for
// theirs. Devices copy added rows into their own pages (Models, `AddedItemRows`).

internal import Compute
internal import Locking

/// The item table of a model, which grows with the items that are added while the model is served. Rows are only ever
/// added: a row's contents never change while the model is loaded, so that results computed from it stay valid.
package final class ItemTable: Sendable {
    /// D, the width of a row.
    package let width: Int
    /// The number of the first row that was added, or will be.
    package let firstAddedRow: Int
    /// A row of the bundle; nil: its file can no longer be read.
    private let read: @Sendable (Int32) -> [Float]?
    private let added = Lock<[[Float]]>([])

    /// - Parameter rows: of the bundle's table, V + 1.
    package init(rows: Int, width: Int, read: @escaping @Sendable (Int32) -> [Float]?) {
        self.width = width
        self.read = read
        firstAddedRow = AddedRows.first(behind: rows)
    }

    /// The added rows without the first ones.
    package func added(after count: Int) -> [[Float]] {
        added.withLock { $0.count > count ? Array($0[count...]) : [] }
    }

    /// Added rows, including those of removed items.
    var addedCount: Int { added.withLock { $0.count } }

    /// Adds a row of `width` numbers.
    ///
    /// - Returns: its number.
    func append(_ row: [Float]) -> Int32 {
        let place = added.withLock { added in
            added.append(row)
            return added.count - 1
        }
        // Far below the largest: `CatalogueStore` limits their number.
        return Int32(clamping: firstAddedRow + place)
    }

    /// The row of a new item: what it states, or the mean of the rows of the bundle's items that it names.
    func row(of item: AddedItem, in catalogue: Catalogue) -> Result<[Float], AddedItem.Fault> {
        switch item.source {
        case .embedding(let numbers):
            return numbers.count == width ? .success(numbers) : .failure(.width(numbers.count, of: width))
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

/// Whether a model can have items that its bundle does not have.
package enum Extensibility: Sendable {
    case by(ItemTable)
    /// A clause that completes "no items can be added: …".
    case none(because: String)

    var table: ItemTable? { if case .by(let table) = self { table } else { nil } }
}

/// An item that a bundle does not have.
package struct AddedItem: Sendable, Equatable {
    /// The source of its row.
    package enum Source: Sendable, Equatable {
        /// These numbers, finite.
        case embedding([Float])
        /// The mean of the rows of these items of the bundle, at least one.
        case like([String])
    }

    package var source: Source
    package var title: String?

    package init(_ source: Source, title: String? = nil) {
        self.source = source
        self.title = title
    }

    /// Why it has no row.
    enum Fault: Error {
        case width(Int, of: Int)
        case unknown(String)
        case unreadable
        case noInteger

        var description: String {
            switch self {
            case .width(let count, let width): "embedding has \(count) numbers, the rows of the model have \(width)"
            case .unknown(let id): "like names '\(id.prefix(64))', which is no item of the model's bundle"
            case .unreadable:
                "the rows that like names cannot be read: the bundle's file has changed since it was loaded"
            case .noInteger: "the ids of the model's items are integers"
            }
        }
    }
}
