// What the two kinds of attention have in common, and the checks before it is computed.

internal import CKernels
internal import Compute

/// An attention operation of either kind.
struct Attention {
    let name: StaticString
    let weights: gk_weights
    let layout: Jagged
    let queryRows: QueryRows
    let query: Tensor
    let key: Tensor
    let value: Tensor
    let output: Tensor
    let heads: Int
    let keyHeads: Int
    let scale: Float
    let bias: RelativeBias?
    let firstRowWeights: [Float]?
    let prefix: CachedPrefix?

    init(_ operation: HSTUAttentionOperation) {
        name = "hstu attention"
        weights = .hstu
        layout = operation.layout
        queryRows = operation.queryRows
        query = operation.query
        key = operation.key
        value = operation.value
        output = operation.output
        heads = operation.heads
        keyHeads = operation.heads
        scale = operation.scale
        bias = operation.bias
        firstRowWeights = nil
        prefix = operation.prefix
    }

    init(_ operation: SoftmaxAttentionOperation) {
        name = "softmax attention"
        weights = .softmax
        layout = operation.layout
        queryRows = operation.queryRows
        query = operation.query
        key = operation.key
        value = operation.value
        output = operation.output
        heads = operation.heads
        keyHeads = operation.keyHeads
        scale = operation.scale
        bias = operation.bias
        firstRowWeights = operation.firstRowWeights
        prefix = operation.prefix
    }

    /// What an attention's parts have been found to agree on.
    struct Shape {
        /// Widths of a head.
        let queryColumns: Int
        let valueColumns: Int
        let prefix: CheckedPrefix?
        /// Rows of each sequence, cached and own.
        let whole: Jagged
    }

    /// Throws unless all parts fit each other, and the device made what is its own to make.
    func checkedShape(on device: CPUDevice) throws(ComputeError) -> Shape {
        guard heads > 0, keyHeads > 0, heads % keyHeads == 0 else {
            throw ComputeError(
                .invalidArgument,
                "\(name): \(heads) query heads cannot share \(keyHeads) key and value heads"
            )
        }
        guard query.columns > 0, query.columns % heads == 0, value.columns > 0, value.columns % keyHeads == 0 else {
            throw ComputeError(
                .invalidArgument,
                """
                \(name): query rows of \(query.columns) and value rows of \(value.columns) columns cannot be split \
                into \(heads) and \(keyHeads) heads
                """
            )
        }
        let (queryColumns, valueColumns) = (query.columns / heads, value.columns / keyHeads)
        guard weights == .hstu || queryColumns == valueColumns else {
            throw ComputeError(
                .invalidArgument,
                "\(name): value heads have \(valueColumns) columns, query heads \(queryColumns)"
            )
        }
        try checkLengths()
        let asking = queryRows == .last ? layout.count : layout.rows
        try query.require(.float32, rows: asking, columns: query.columns, in: name, as: "query")
        try key.require(.float32, rows: layout.rows, columns: keyHeads * queryColumns, in: name, as: "key")
        try value.require(.float32, rows: layout.rows, columns: value.columns, in: name, as: "value")
        try output.require(.float32, rows: asking, columns: output.columns, in: name, as: "output")
        // Divided, because with fewer value than query heads the product could overflow.
        guard output.columns % heads == 0, output.columns / heads == valueColumns else {
            throw ComputeError(
                .invalidArgument,
                "\(name): output rows have \(output.columns) columns, \(heads) heads of \(valueColumns) are needed"
            )
        }
        if let firstRowWeights { try check(firstRowWeights) }
        var checkedPrefix: CheckedPrefix?
        if let prefix {
            checkedPrefix = try CheckedPrefix(
                prefix,
                layout,
                heads: keyHeads,
                keyColumns: queryColumns,
                valueColumns: valueColumns,
                of: device,
                in: name
            )
        }
        let whole = layout.extended(by: prefix?.cached)
        if let bias { try check(bias, whole) }
        return Shape(queryColumns: queryColumns, valueColumns: valueColumns, prefix: checkedPrefix, whole: whole)
    }

    private func checkLengths() throws(ComputeError) {
        for sequence in 0..<layout.count where layout.length(of: sequence) <= 0 {
            throw ComputeError(
                .invalidArgument,
                "\(name): sequence \(sequence) has \(layout.length(of: sequence)) rows"
            )
        }
    }

    private func check(_ firstRowWeights: [Float]) throws(ComputeError) {
        guard firstRowWeights.count == layout.count else {
            throw ComputeError(
                .invalidArgument,
                "\(name): \(firstRowWeights.count) first-row weights for \(layout.count) sequences"
            )
        }
        // -∞ would leave the first row itself without a key.
        for (sequence, weight) in firstRowWeights.enumerated() where !weight.isFinite {
            throw ComputeError(.invalidArgument, "\(name): the first-row weight of sequence \(sequence) is \(weight)")
        }
    }

    /// `whole` is the layout of the sequences with their cached rows.
    private func check(_ bias: RelativeBias, _ whole: Jagged) throws(ComputeError) {
        let (entries, overflow) = bias.maximumLength.multipliedReportingOverflow(by: 2)
        guard bias.maximumLength > 0, !overflow, bias.position.count == entries - 1 else {
            throw ComputeError(
                .invalidArgument,
                """
                \(name): the positional bias has \(bias.position.count) entries, a maximum length of \
                \(bias.maximumLength) needs twice that less one
                """
            )
        }
        guard bias.applies.count == layout.count else {
            throw ComputeError(
                .invalidArgument,
                "\(name): \(bias.applies.count) entries say where the bias applies, for \(layout.count) sequences"
            )
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
                throw ComputeError(
                    .invalidArgument,
                    """
                    \(name): sequence \(sequence) has \(whole.length(of: sequence)) rows, the positional bias \
                    reaches \(bias.maximumLength)
                    """
                )
            }
        }
    }
}
