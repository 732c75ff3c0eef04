// What a request reads of a catalogue. A catalogue whose items come and go is a row of snapshots, each of them immutable: a
// request takes one and reads nothing else, so that it never sees two states.

/// One state of a catalogue.
package struct CatalogueSnapshot: Sendable {
    package let items: Catalogue
    /// Counts the changes; 0 is the catalogue as its bundle has it.
    package let revision: Int
    /// The items that may be recommended, one bit a row as in `Catalogue.presentMask`; nil: all of them.
    package let available: [UInt64]?

    /// - Parameter available: a subset of `items.presentMask`.
    package init(_ items: Catalogue, revision: Int = 0, available: [UInt64]? = nil) {
        self.items = items
        self.revision = revision
        self.available = available
    }

    /// Whether both are the same state of the same catalogue.
    package func isSame(as other: CatalogueSnapshot) -> Bool {
        items === other.items && revision == other.revision
    }

    /// Whether the row is an item that may be recommended.
    package func isAvailable(_ row: Int32) -> Bool {
        items.contains(row) && available?.has(row) ?? true
    }
}
