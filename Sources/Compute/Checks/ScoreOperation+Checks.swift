// Checks a request for scores before a device computes it.

extension ScoreOperation {
    /// Checks that the operation fits a catalogue.
    ///
    /// - Parameters:
    ///   - columns, ownRows: the catalogue's columns, and its rows without added ones.
    ///   - rows: one more than its largest row number.
    /// - Throws: `ComputeError.invalidArgument`.
    package func check(columns: Int, ownRows: Int, rows count: Int) throws(ComputeError) {
        try queries.require(.float32, rows: queries.rows, columns: columns, in: "score rows", as: "queries")
        guard rows.count == queries.rows else {
            throw ComputeError(
                .invalidArgument,
                "score rows: \(rows.count) lists of rows for \(queries.rows) queries"
            )
        }
        for list in rows {
            let first = AddedRows.first(behind: ownRows)
            for row in list where row < 0 || Int(row) >= count || ownRows..<first ~= Int(row) {
                throw ComputeError(
                    .invalidArgument,
                    "score rows: row \(row) is out of range, the catalogue has \(count)"
                )
            }
        }
    }
}
