// What the two kinds of attention have in common, and the checks before it is computed.

internal import Compute

/// An attention operation of either kind.
struct Attention {
    enum Weights { case silu, softmax }

    let name: StaticString
    let weights: Weights
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
        weights = .silu
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

    /// Widths of a head, and the pages of its earlier rows.
    struct Shape {
        let queryColumns: Int
        let valueColumns: Int
        let prefix: CheckedPrefix?
    }

    private func refused(_ text: String) -> ComputeError { ComputeError(.invalidArgument, "\(name): \(text)") }

    /// Throws unless all parts fit each other, and the device made what is its own to make.
    func checkedShape(on device: AscendDevice) throws(ComputeError) -> Shape {
        guard heads > 0, keyHeads > 0, heads % keyHeads == 0 else {
            throw refused("\(heads) query heads cannot share \(keyHeads) key and value heads")
        }
        guard query.columns > 0, query.columns % heads == 0, value.columns > 0, value.columns % keyHeads == 0 else {
            throw refused(
                "rows of \(query.columns) and \(value.columns) columns have no \(heads) and \(keyHeads) heads"
            )
        }
        let (queryColumns, valueColumns) = (query.columns / heads, value.columns / keyHeads)
        guard weights == .silu || queryColumns == valueColumns else {
            throw refused("value heads have \(valueColumns) columns, query heads \(queryColumns)")
        }
        for sequence in 0..<layout.count where layout.length(of: sequence) <= 0 {
            throw refused("sequence \(sequence) has \(layout.length(of: sequence)) rows")
        }
        let asking = queryRows == .last ? layout.count : layout.rows
        try query.require(.float32, rows: asking, columns: query.columns, in: name, as: "query")
        try key.require(.float32, rows: layout.rows, columns: keyHeads * queryColumns, in: name, as: "key")
        try value.require(.float32, rows: layout.rows, columns: value.columns, in: name, as: "value")
        try output.require(.float32, rows: asking, columns: output.columns, in: name, as: "output")
        // Divided, because with fewer value than query heads the product could overflow.
        guard output.columns % heads == 0, output.columns / heads == valueColumns else {
            throw refused("output rows have \(output.columns) columns, \(heads) heads of \(valueColumns) are needed")
        }
        if let firstRowWeights {
            guard firstRowWeights.count == layout.count else {
                throw refused("\(firstRowWeights.count) first-row weights for \(layout.count) sequences")
            }
            // -∞ would leave the first row itself without a key.
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
                of: device,
                in: name
            )
        }
        if let bias { try check(bias) }
        return Shape(queryColumns: queryColumns, valueColumns: valueColumns, prefix: checkedPrefix)
    }

    private func check(_ bias: RelativeBias) throws(ComputeError) {
        let whole = layout.extended(by: prefix?.cached)
        let (entries, overflow) = bias.maximumLength.multipliedReportingOverflow(by: 2)
        guard bias.maximumLength > 0, !overflow, bias.position.count == entries - 1 else {
            throw refused(
                "a positional bias of \(bias.position.count) entries is none of a maximum length of \(bias.maximumLength)"
            )
        }
        guard bias.applies.count == layout.count else {
            throw refused("\(bias.applies.count) entries say where the bias applies, for \(layout.count) sequences")
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
                    "sequence \(sequence) has \(whole.length(of: sequence)) rows, the bias reaches \(bias.maximumLength)"
                )
            }
        }
    }
}
