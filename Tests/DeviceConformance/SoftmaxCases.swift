// Softmax attention: lengths around every tile and block of keys, head widths, grouped queries, biases, weighted first
// rows, scores of all magnitudes.

internal import Compute
internal import Random

extension DeviceConformance {
    /// Softmax attention.
    package static let softmaxCases: [ConformanceCase] = {
        func batch(
            _ lengths: [Int],
            heads: Int = 2,
            keyHeads: Int? = nil,
            columns: Int = 8,
            bias: AttentionBatch.Bias = .none,
            hasTimeBias: Bool = true,
            scale: Float? = nil,
            hasFirstRowWeights: Bool = false
        ) -> AttentionBatch {
            AttentionBatch(
                kind: .softmax,
                lengths: lengths,
                heads: heads,
                keyHeads: keyHeads,
                queryColumns: columns,
                valueColumns: columns,
                bias: bias,
                hasTimeBias: hasTimeBias,
                scale: scale ?? 1 / Float(columns).squareRoot(),
                hasFirstRowWeights: hasFirstRowWeights
            )
        }
        var batches: [(AttentionBatch, Bool)] = []
        for length in [1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 127, 128, 129, 130, 144, 145, 257] {
            batches.append((batch([length]), false))
        }
        for columns in [1, 2, 4, 12, 16, 25, 29, 32, 50, 64, 128] {
            batches.append((batch([19, 3], heads: columns > 50 ? 1 : 2, columns: columns, bias: .all), true))
        }
        for (heads, keyHeads) in [(1, 1), (3, 3), (8, 8), (4, 2), (6, 2), (8, 1), (6, 3)] {
            batches.append((batch([21, 140], heads: heads, keyHeads: keyHeads, bias: .mixed), true))
            batches.append((batch([5], heads: heads, keyHeads: keyHeads, columns: 16), false))
        }
        // Jagged batches, with every term of a score.
        let jagged = [1, 300, 17, 5, 64, 129, 128, 1, 33]
        batches.append((batch(jagged, bias: .mixed, hasFirstRowWeights: true), false))
        batches.append((batch(jagged, bias: .mixed, hasTimeBias: false), false))
        batches.append((batch(jagged, hasFirstRowWeights: true), true))
        // Scores far apart, so that only the maximum counts; and all equal.
        for scale in [0, 1e-3, 30, 1000, -40] as [Float] {
            batches.append((batch([40, 200, 3], columns: 16, scale: scale), false))
        }
        return batches.map { batch, strided in
            ConformanceCase(batch.name + (strided ? " strided" : ""), .softmaxAttention, .gatherRows) {
                (device, host) throws(ComputeError) in try batch.failures(device, host, strided: strided)
            }
        } + [countedRowCase, risingScoresCase]
    }()

    /// A first row of weight ln c equals c copies of the row at the front.
    private static let countedRowCase = ConformanceCase("a first row that counts as forty", .softmaxAttention) {
        (device, _) throws(ComputeError) in
        let (copies, rows, columns) = (40, 30, 24)
        var random = SplitMix64(seed: 91)
        let query = Matrix(rows: rows, columns: columns, random: &random)
        let key = Matrix(rows: rows, columns: columns, random: &random)
        let value = Matrix(rows: rows, columns: columns, random: &random)
        func repeated(_ matrix: Matrix) -> Matrix {
            let first = (1..<copies).flatMap { _ in matrix.row(0) }
            return Matrix(rows: rows + copies - 1, columns: columns, values: first + matrix.values)
        }
        let stream = try device.makeStream()
        try stream.begin()
        func attend(_ q: Matrix, _ k: Matrix, _ v: Matrix, _ weights: [Float]?) throws(ComputeError) -> Tensor {
            let output = try stream.makeTensor(rows: q.rows, columns: columns, dtype: .float32)
            try stream.attention(
                AttentionOperation(
                    .softmax,
                    layout: Jagged(lengths: [q.rows]),
                    queryRows: .all,
                    query: try stream.upload(q),
                    key: try stream.upload(k),
                    value: try stream.upload(v),
                    output: output,
                    heads: 3,
                    keyHeads: 3,
                    scale: 0.35,
                    firstRowWeights: weights
                )
            )
            return output
        }
        // ln 40
        let counted = try attend(query, key, value, [3.6888795])
        let written = try attend(repeated(query), repeated(key), repeated(value), nil)
        try stream.synchronize()
        let all = try stream.readMatrix(written)
        var expected = Expected(rows: rows, columns: columns)
        // No value exceeds 1, and one weight is rounded here instead of forty.
        let tolerance = 1e-6 + 2.01 * Precision(device.description).attentionUnit + 2 * Rounding.half
        for row in 0..<rows {
            for column in 0..<columns {
                expected.set(row, column, Double(all[copies - 1 + row, column]), within: tolerance)
            }
        }
        return expected.failures(of: try stream.readMatrix(counted))
    }

    /// Scores that rise from key to key, so that every block of keys has a new maximum, by more than the range of
    /// float32's exponential.
    private static let risingScoresCase = ConformanceCase("scores that rise by thousands", .softmaxAttention) {
        (device, _) throws(ComputeError) in
        // Whole numbers below 256 are exact in bfloat16.
        let rows = 256
        let stream = try device.makeStream()
        try stream.begin()
        let ones = Matrix(rows: rows, columns: 1, values: [Float](repeating: 1, count: rows))
        let numbers = Matrix(rows: rows, columns: 1, values: (0..<rows).map { Float($0) })
        let output = try stream.makeTensor(rows: rows, columns: 1, dtype: .float32)
        try stream.attention(
            AttentionOperation(
                .softmax,
                layout: Jagged(lengths: [rows]),
                queryRows: .all,
                query: try stream.upload(ones),
                key: try stream.upload(numbers),
                value: try stream.upload(numbers),
                output: output,
                heads: 1,
                keyHeads: 1,
                scale: 1000
            )
        )
        try stream.synchronize()
        // Each row attends only to itself, or to rows whose scores round to the same number.
        var expected = Expected(rows: rows, columns: 1)
        for row in 0..<rows { expected.set(row, 0, Double(row), within: Rounding.product * Double(row)) }
        return expected.failures(of: try stream.readMatrix(output))
    }
}
