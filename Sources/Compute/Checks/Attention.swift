// The checks that every device makes of an attention before it computes it.

extension AttentionOperation {
    /// For error sentences.
    package var name: StaticString { weights == .silu ? "hstu attention" : "softmax attention" }

    private func refused(_ text: String) -> ComputeError { ComputeError(.invalidArgument, "\(name): \(text)") }

    /// Checks that the parts agree.
    ///
    /// - Parameter own: returns a prefix's pool as an instance of its device's own class.
    /// - Throws: `ComputeError.invalidArgument` unless all parts fit each other, and the errors of `own`.
    package func checkedShape<Pages: KeyValuePages>(
        own: (any KeyValuePages) throws(ComputeError) -> Pages
    ) throws(ComputeError) -> AttentionShape<Pages> {
        guard heads > 0, keyHeads > 0, heads % keyHeads == 0, weights == .softmax || keyHeads == heads else {
            throw refused("\(heads) query heads cannot share \(keyHeads) key and value heads")
        }
        guard query.columns > 0, query.columns % heads == 0, value.columns > 0, value.columns % keyHeads == 0 else {
            throw refused(
                """
                query rows of \(query.columns) and value rows of \(value.columns) columns cannot be split into \(heads) \
                and \(keyHeads) heads
                """
            )
        }
        let (queryColumns, valueColumns) = (query.columns / heads, value.columns / keyHeads)
        guard weights == .silu || queryColumns == valueColumns else {
            throw refused("value heads have \(valueColumns) columns, but query heads have \(queryColumns)")
        }
        for sequence in 0..<layout.count where layout.length(of: sequence) <= 0 {
            throw refused("sequence \(sequence) has \(layout.length(of: sequence)) rows")
        }
        let asking = queryRows == .last ? layout.count : layout.rows
        try query.require(.float32, rows: asking, columns: query.columns, in: name, as: "query")
        try key.require(.float32, rows: layout.rows, columns: keyHeads * queryColumns, in: name, as: "key")
        try value.require(.float32, rows: layout.rows, columns: value.columns, in: name, as: "value")
        try output.require(.float32, rows: asking, columns: output.columns, in: name, as: "output")
        // Divides, because with fewer value than query heads the product could overflow.
        guard output.columns % heads == 0, output.columns / heads == valueColumns else {
            throw refused("output rows have \(output.columns) columns, not \(heads) heads of \(valueColumns)")
        }
        if let firstRowWeights {
            guard firstRowWeights.count == layout.count else {
                throw refused("\(firstRowWeights.count) first-row weights for \(layout.count) sequences")
            }
            // -∞ would leave the first row without any key.
            for (sequence, weight) in firstRowWeights.enumerated() where !weight.isFinite {
                throw refused("the first-row weight of sequence \(sequence) is \(weight)")
            }
        }
        let checkedPrefix = try prefix.map { (prefix) throws(ComputeError) in
            try CheckedPrefix(
                prefix,
                layout,
                heads: keyHeads,
                keyColumns: queryColumns,
                valueColumns: valueColumns,
                pages: try own(prefix.cached.pages),
                in: name
            )
        }
        let whole = layout.extended(by: prefix?.cached)
        if let bias { try check(bias, whole) }
        return AttentionShape(
            queryColumns: queryColumns,
            valueColumns: valueColumns,
            prefix: checkedPrefix,
            whole: whole
        )
    }

    /// `whole` is the layout of the sequences with their cached rows.
    private func check(_ bias: RelativeBias, _ whole: Jagged) throws(ComputeError) {
        let (entries, overflow) = bias.maximumLength.multipliedReportingOverflow(by: 2)
        guard bias.maximumLength > 0, !overflow, bias.position.count == entries - 1 else {
            throw refused(
                """
                the positional bias has \(bias.position.count) entries, a maximum length of \(bias.maximumLength) needs \
                twice that less one
                """
            )
        }
        guard bias.applies.count == layout.count else {
            throw refused("the bias has \(bias.applies.count) flags for \(layout.count) sequences")
        }
        if bias.time != nil {
            try bias.timestamps.require(
                .int64,
                rows: 1,
                columns: whole.rows + whole.count,
                in: name,
                as: "timestamps tensor"
            )
        }
        for sequence in 0..<layout.count where bias.applies[sequence] {
            guard whole.length(of: sequence) <= bias.maximumLength else {
                throw refused(
                    "sequence \(sequence) has \(whole.length(of: sequence)) rows, the positional bias reaches \(bias.maximumLength)"
                )
            }
        }
    }
}

/// The dimensions on which the parts of an attention agree.
package struct AttentionShape<Pages: KeyValuePages> {
    /// Widths of a head.
    package let queryColumns: Int
    package let valueColumns: Int
    package let prefix: CheckedPrefix<Pages>?
    /// Rows of each sequence, cached and own.
    package let whole: Jagged
}
