// HSTU attention: head widths, lengths around every tile, jagged batches, biases and timestamps of all sorts.

internal import Compute

extension DeviceConformance {
    /// HSTU attention.
    package static let attentionCases: [ConformanceCase] = {
        var batches: [(AttentionBatch, Bool)] = []
        // Lengths around a tile, alone.
        for length in [1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48] {
            batches.append((AttentionBatch(lengths: [length], bias: .all), false))
        }
        // Head widths, equal and different for queries and values.
        for (queryColumns, valueColumns) in [
            (1, 1), (4, 4), (8, 12), (12, 8), (25, 25), (25, 50), (50, 25), (64, 32), (32, 64), (5, 29), (128, 128),
        ] {
            batches.append(
                (
                    AttentionBatch(
                        lengths: [19, 3],
                        heads: queryColumns > 50 ? 1 : 2,
                        queryColumns: queryColumns,
                        valueColumns: valueColumns,
                        bias: .all
                    ), true
                )
            )
        }
        for heads in [1, 3, 8] { batches.append((AttentionBatch(lengths: [21], heads: heads, bias: .none), true)) }
        // Jagged batches, with long sequences that need several blocks of keys.
        batches.append((AttentionBatch(lengths: [1, 300, 17, 5, 64, 129, 128, 1, 33], bias: .mixed), false))
        batches.append((AttentionBatch(lengths: [140, 2], heads: 2, queryColumns: 25, valueColumns: 25), true))
        batches.append((AttentionBatch(lengths: [211], heads: 1, bias: .all, maximumLength: 211), false))
        for times in [AttentionBatch.Times.ordinary, .equal, .unordered, .extreme] {
            batches.append((AttentionBatch(lengths: [40, 23, 9], bias: .all, times: times), false))
            batches.append((AttentionBatch(lengths: [40, 23, 9], bias: .mixed, times: times, timeEntries: 20), true))
        }
        // A bias of one entry, and one longer than any bucket.
        batches.append((AttentionBatch(lengths: [18], bias: .all, times: .extreme, timeEntries: 1), false))
        batches.append((AttentionBatch(lengths: [18], bias: .all, times: .extreme, timeEntries: 400), false))
        // A bias without times.
        batches.append((AttentionBatch(lengths: [1, 40, 23, 140], bias: .mixed, hasTimeBias: false), false))
        batches.append((AttentionBatch(lengths: [33], heads: 1, bias: .all, hasTimeBias: false), true))
        // Widths that fused kernels take: jagged rows, biases in some sequences, in all, in none, times of all sorts.
        for (bias, times) in [
            (AttentionBatch.Bias.none, AttentionBatch.Times.ordinary), (.all, .ordinary), (.mixed, .unordered),
            (.mixed, .extreme),
        ] {
            batches.append(
                (
                    AttentionBatch(
                        lengths: [1, 140, 17, 5, 64],
                        queryColumns: 16,
                        valueColumns: 32,
                        bias: bias,
                        times: times
                    ), bias == .all
                )
            )
        }
        // A length of N exactly, shorter than a tile.
        batches.append((AttentionBatch(lengths: [5, 1], bias: .all, maximumLength: 5), false))
        batches.append((AttentionBatch(lengths: [1], bias: .all, maximumLength: 1), false))
        return batches.map { batch, strided in
            ConformanceCase(batch.name + (strided ? " strided" : ""), .hstuAttention, .gatherRows) {
                (device, host) throws(ComputeError) in try batch.failures(device, host, strided: strided)
            }
        } + [bucketCase]
    }()

    /// The time buckets of the model sheet, read through attention itself: one query row and one key, with a bias whose
    /// entries contain their number.
    private static let bucketCase = ConformanceCase("time buckets of known differences", .hstuAttention) {
        (device, host) throws(ComputeError) in
        let known: [(Int64, Int)] = [
            (0, 0), (1, 0), (2, 2), (3, 3), (10, 7), (60, 13), (3600, 27), (86_400, 37), (604_800, 44),
            (31_536_000, 57), (1_000_000_000, 68),
        ]
        let position = host.tensor("pos_w", vector: [0])
        let time = host.tensor("ts_w", vector: (0..<129).map { Float($0) })
        let positionBias = try device.makeVector(position)
        let timeBias = try device.makeVector(time)
        let stream = try device.makeStream()
        try stream.begin()
        let count = known.count
        let zeros = try stream.upload(Matrix(rows: count, columns: 1, values: [Float](repeating: 0, count: count)))
        let ones = try stream.upload(Matrix(rows: count, columns: 1, values: [Float](repeating: 1, count: count)))
        let output = try stream.makeTensor(rows: count, columns: 1, dtype: .float32)
        // Every other difference is negative: its magnitude counts.
        let times: [Int64] = known.enumerated().flatMap { [5, $0 % 2 == 0 ? 5 + $1.0 : 5 - $1.0] }
        try stream.attention(
            AttentionOperation(
                .silu,
                layout: Jagged(lengths: known.map { _ in 1 }),
                queryRows: .all,
                query: zeros,
                key: zeros,
                value: ones,
                output: output,
                heads: 1,
                scale: 1,
                bias: RelativeBias(
                    position: positionBias,
                    time: timeBias,
                    maximumLength: 1,
                    timestamps: try stream.upload(times, dtype: .int64),
                    applies: known.map { _ in true }
                )
            )
        )
        try stream.synchronize()
        var expected = Expected(rows: count, columns: 1)
        for (row, pair) in known.enumerated() {
            let value = Reference.silu(Double(pair.1))
            // Buckets differ by 1 in 75, which bfloat16 distinguishes.
            let precision = Precision(device.description)
            let lost = precision.siluTolerance + 2.01 * precision.attentionUnit
            expected.set(
                row,
                0,
                value,
                within: (precision == .float32 ? 1e-5 : lost * abs(value) + 1e-5) + Rounding.half * value
            )
        }
        return expected.failures(of: try stream.readMatrix(output))
    }
}
