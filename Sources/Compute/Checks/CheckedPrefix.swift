// Checks the pages of an operation before a device uses their numbers.

/// One layer of the pages of a batch's sequences, checked against the layout of the batch and the pool.
package struct CheckedPrefix<Pages: KeyValuePages> {
    package let pages: Pages
    package let layer: Int
    package let sequences: [PagedSequence]

    /// - Parameters:
    ///   - layout: the batch's own rows.
    ///   - heads, keyColumns, valueColumns: the operation's key heads, and the widths of one.
    ///   - pages: the pool of `prefix` as an instance of its device's own class.
    /// - Throws: `ComputeError.invalidArgument` if a row's page is missing or not in the pool, or heads do not fit.
    package init(
        _ prefix: CachedPrefix,
        _ layout: Jagged,
        heads: Int,
        keyColumns: Int,
        valueColumns: Int,
        pages: Pages,
        in operation: StaticString
    ) throws(ComputeError) {
        func refused(_ text: String) -> ComputeError { ComputeError(.invalidArgument, "\(operation): \(text)") }
        self.pages = pages
        layer = prefix.layer
        sequences = prefix.cached.sequences
        let shape = pages.shape
        guard shape.heads == heads, shape.keyColumns == keyColumns, shape.valueColumns == valueColumns else {
            throw refused(
                """
                pages of \(shape.heads) heads of \(shape.keyColumns) and \(shape.valueColumns) columns cannot hold \
                \(heads) of \(keyColumns) and \(valueColumns)
                """
            )
        }
        guard layer >= 0, layer < shape.layers else {
            throw refused("layer \(layer) of pages for \(shape.layers) layers")
        }
        guard sequences.count == layout.count else {
            throw refused("there are pages for \(sequences.count) sequences, but the batch has \(layout.count)")
        }
        // Layouts number rows with Int32.
        var total = 0
        for (number, sequence) in sequences.enumerated() {
            let own = layout.length(of: number)
            guard sequence.rows >= 0, sequence.rows <= Int(Int32.max) else {
                throw refused("sequence \(number) has \(sequence.rows) cached rows")
            }
            total += sequence.rows + own
            let rows = sequence.rows + (sequence.storesRows ? own : 0)
            guard (rows + pages.pageRows - 1) / pages.pageRows <= sequence.pages.count else {
                throw refused("sequence \(number) has \(sequence.pages.count) pages for \(rows) rows")
            }
            for page in sequence.pages where page < 0 || Int(page) >= pages.pageCount {
                throw refused("sequence \(number) has page \(page) of a pool of \(pages.pageCount)")
            }
            guard total <= Int(Int32.max) else {
                throw refused("a batch has at most \(Int32.max) rows, cached ones included")
            }
        }
    }
}

extension StoreOperation {
    /// The pages to write to.
    ///
    /// - Parameter pages: the pool as an instance of its device's own class.
    /// - Throws: `ComputeError.invalidArgument` if keys, values or pages do not fit each other.
    package func checkedPrefix<Pages: KeyValuePages>(_ pages: Pages) throws(ComputeError) -> CheckedPrefix<Pages> {
        let shape = pages.shape
        let (keyWidth, tooWide) = shape.heads.multipliedReportingOverflow(by: shape.keyColumns)
        let (valueWidth, tooLong) = shape.heads.multipliedReportingOverflow(by: shape.valueColumns)
        guard !tooWide, !tooLong else {
            throw ComputeError(.invalidArgument, "store: pages of \(shape) cannot be")
        }
        try key.require(.float32, rows: layout.rows, columns: keyWidth, in: "store", as: "key")
        try value.require(.float32, rows: layout.rows, columns: valueWidth, in: "store", as: "value")
        return try CheckedPrefix(
            prefix,
            layout,
            heads: shape.heads,
            keyColumns: shape.keyColumns,
            valueColumns: shape.valueColumns,
            pages: pages,
            in: "store"
        )
    }
}
