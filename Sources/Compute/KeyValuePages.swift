// Keys and values that outlive a batch, so that a later batch computes only the new rows of a sequence. They are stored
// in pages of one fixed size, which the engine assigns to sequences.

/// The cached part of a row: its key and its value in every layer.
package struct KeyValueShape: Sendable, Hashable {
    package var layers: Int
    /// Key and value heads of a layer. `keyColumns` and `valueColumns` are the widths of one head.
    package var heads: Int
    package var keyColumns: Int
    package var valueColumns: Int

    package init(layers: Int, heads: Int, keyColumns: Int, valueColumns: Int) {
        self.layers = layers
        self.heads = heads
        self.keyColumns = keyColumns
        self.valueColumns = valueColumns
    }
}

/// A pool of pages in a device's memory. A page holds the keys and values of `pageRows` consecutive rows of one
/// sequence, in all layers; the device chooses their layout. Like the weight objects, it is an instance of its
/// device's own final class, frees its memory when released, and is refused by streams of any other device.
package protocol KeyValuePages: AnyObject {
    var shape: KeyValueShape { get }
    /// Rows of a page.
    var pageRows: Int { get }
    /// Pages of the pool, numbered from 0.
    var pageCount: Int { get }
    /// Bytes of one page.
    var pageByteCount: Int { get }
    /// Whether a page takes memory only from its first row until it is released. Pools of several models can then share
    /// one budget.
    var takesMemoryWhenWritten: Bool { get }

    /// Frees the memory of these pages; their content is undefined afterwards. Call it on the device's thread.
    func release(_ pages: [Int32])
}

extension KeyValuePages {
    package var takesMemoryWhenWritten: Bool { false }
    package func release(_ pages: [Int32]) {}
}

/// The locations of the earlier rows of one sequence.
package struct PagedSequence: Sendable, Equatable {
    /// How many rows precede the batch's own; 0: none.
    package var rows: Int
    /// Row r of the sequence is in page `pages[r / pageRows]`. There are enough pages for the earlier rows and, if they
    /// are stored, for the batch's own.
    package var pages: [Int32]
    /// Whether the batch's own rows are stored after the earlier ones.
    package var storesRows: Bool

    package init(rows: Int, pages: [Int32], storesRows: Bool) {
        self.rows = rows
        self.pages = pages
        self.storesRows = storesRows
    }

    /// A sequence without earlier rows, which is not cached.
    package static let none = PagedSequence(rows: 0, pages: [], storesRows: false)
}

/// The earlier rows of a batch's sequences.
package struct CachedRows {
    package var pages: any KeyValuePages
    /// One entry per sequence of the batch.
    package var sequences: [PagedSequence]

    package init(pages: any KeyValuePages, sequences: [PagedSequence]) {
        self.pages = pages
        self.sequences = sequences
    }
}

/// The earlier rows as one layer's attention sees them.
package struct CachedPrefix {
    package var cached: CachedRows
    /// 0 ..< shape.layers
    package var layer: Int

    package init(cached: CachedRows, layer: Int) {
        self.cached = cached
        self.layer = layer
    }
}

/// Copies the batch's own keys and values of one layer into pages, for the sequences that store them: row i of sequence
/// b becomes row `sequences[b].rows + i`. No two sequences of a batch write to the same page.
package struct StoreOperation {
    /// Layout of the batch's own rows.
    package var layout: Jagged
    /// (R, heads · keyColumns)
    package var key: Tensor
    /// (R, heads · valueColumns)
    package var value: Tensor
    package var prefix: CachedPrefix

    package init(layout: Jagged, key: Tensor, value: Tensor, prefix: CachedPrefix) {
        self.layout = layout
        self.key = key
        self.value = value
        self.prefix = prefix
    }
}
