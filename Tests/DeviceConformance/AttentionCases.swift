// HSTU attention: head widths, lengths around every tile, jagged batches, biases and timestamps of all sorts.

internal import Compute

/// A batch of sequences for attention, all from one seed.
struct AttentionBatch {
    var lengths: [Int]
    var heads = 2
    var queryColumns = 8
    var valueColumns = 8
    var bias = Bias.none
    var times = Times.ordinary
    /// N; the bias of the models reaches 211 rows.
    var maximumLength = 320
    var timeEntries = 129
    var scale: Float = 1.0 / 211

    enum Bias: String, Sendable {
        case none = "no bias"
        case all = "bias"
        case mixed = "bias in every second sequence"
    }

    enum Times: String, Sendable {
        case ordinary = "ordinary times"
        case equal = "equal times"
        case unordered = "unordered times"
        case extreme = "extreme times"
    }

    var name: String {
        let shown = lengths.count > 6 ? "\(lengths.count) sequences" : "\(lengths)"
        return """
            hstu attention \(shown) heads \(heads) × (\(queryColumns), \(valueColumns)) \(bias.rawValue) \
            \(bias == .none ? "" : times.rawValue)
            """
    }

    /// The values of one sequence; they depend on its number alone, not on what is in the batch beside it.
    struct Sequence {
        var query: Matrix
        var key: Matrix
        var value: Matrix
        var timestamps: [Int64]
    }

    func sequence(_ number: Int) -> Sequence {
        var random = SeededNumbers(seed: UInt64(1000 + number))
        let n = lengths[number]
        return Sequence(
            query: Matrix(rows: n, columns: heads * queryColumns, random: &random),
            key: Matrix(rows: n, columns: heads * queryColumns, random: &random),
            value: Matrix(rows: n, columns: heads * valueColumns, random: &random),
            timestamps: timestamps(count: n + 1, random: &random)
        )
    }

    private func timestamps(count: Int, random: inout SeededNumbers) -> [Int64] {
        switch times {
        case .ordinary:
            var time: Int64 = 1_000_000_000
            return (0..<count).map { _ in
                time += Int64(random.integer(in: 0...1 << random.integer(in: 0...22)))
                return time
            }
        case .equal:
            return [Int64](repeating: 978_300_000, count: count)
        case .unordered:
            return (0..<count).map { _ in Int64(random.integer(in: -2_000_000_000...2_000_000_000)) }
        case .extreme:
            let some: [Int64] = [.min, .max, 0, 1, -1, .min + 1, .max - 1, 1 << 62, -(1 << 62), 1 << 53, 3]
            return (0..<count).map { _ in some[random.integer(in: 0...some.count - 1)] }
        }
    }

    var positionBias: [Float] {
        var random = SeededNumbers(seed: 77)
        return (0..<2 * maximumLength - 1).map { _ in random.signed() }
    }

    var timeBias: [Float] {
        var random = SeededNumbers(seed: 78)
        return (0..<timeEntries).map { _ in random.signed() }
    }

    func applies(_ number: Int) -> Bool {
        switch bias {
        case .none: false
        case .all: true
        case .mixed: number % 2 == 0
        }
    }

    /// Runs the sequences of `numbers` as one batch: (all rows, last rows) of each.
    func run(
        _ device: any Device,
        numbers: [Int],
        strided: Bool = false
    ) throws(ComputeError) -> (all: [Matrix], last: [[Float]]) {
        let sequences = numbers.map(sequence)
        let layout = Jagged(lengths: numbers.map { lengths[$0] })
        func stacked(_ part: (Sequence) -> Matrix) -> Matrix {
            Matrix(
                rows: layout.rows,
                columns: part(sequences[0]).columns,
                values: sequences.flatMap { part($0).values }
            )
        }
        let storedPosition = HostStorage("pos_w", vector: positionBias)
        let storedTime = HostStorage("ts_w", vector: timeBias)
        let positionWeights = try device.makeVector(storedPosition.tensor)
        let timeWeights = try device.makeVector(storedTime.tensor)
        let stream = try device.makeStream()
        try stream.begin()
        let query = stacked(\.query)
        let q = try strided ? stream.uploadStrided(query) : stream.upload(query)
        let k = try strided ? stream.uploadStrided(stacked(\.key), before: 9) : stream.upload(stacked(\.key))
        let v = try strided ? stream.uploadStrided(stacked(\.value), after: 1) : stream.upload(stacked(\.value))
        var relative: RelativeBias?
        if bias != .none {
            relative = RelativeBias(
                position: positionWeights,
                time: timeWeights,
                maximumLength: maximumLength,
                timestamps: try stream.upload(sequences.flatMap(\.timestamps), dtype: .int64),
                applies: numbers.map(applies)
            )
        }
        let all = try stream.makeTensor(rows: layout.rows, columns: heads * valueColumns, dtype: .float32)
        var operation = HSTUAttentionOperation(
            layout: layout,
            queryRows: .all,
            query: q,
            key: k,
            value: v,
            output: all,
            heads: heads,
            scale: scale,
            bias: relative
        )
        try stream.hstuAttention(operation)
        // A second layer finds the same timestamps: what a device keeps of them must serve it as well.
        let again = try stream.makeTensor(rows: layout.rows, columns: heads * valueColumns, dtype: .float32)
        operation.output = again
        try stream.hstuAttention(operation)

        let lastRows = layout.offsets.dropFirst().map { $0 - 1 }
        operation.queryRows = .last
        operation.query = try stream.makeTensor(rows: layout.count, columns: query.columns, dtype: .float32)
        try stream.gatherRows(q, rows: lastRows, output: operation.query)
        operation.output = try stream.makeTensor(rows: layout.count, columns: heads * valueColumns, dtype: .float32)
        try stream.hstuAttention(operation)
        try stream.synchronize()

        let values = try stream.readMatrix(all)
        let repeated = try stream.readMatrix(again)
        let last = try stream.readMatrix(operation.output)
        guard bitDifferences(values.values, repeated.values, "").isEmpty else {
            throw ComputeError(.executionFailed, "the second layer differs from the first")
        }
        let parts = (0..<layout.count).map { b in
            Matrix(
                rows: layout.length(of: b),
                columns: values.columns,
                values: (Int(layout.offsets[b])..<Int(layout.offsets[b + 1])).flatMap(values.row)
            )
        }
        return (parts, (0..<layout.count).map(last.row))
    }

    func failures(_ device: any Device, strided: Bool) throws(ComputeError) -> [String] {
        let numbers = Array(lengths.indices)
        let (all, last) = try run(device, numbers: numbers, strided: strided)
        var failures: [String] = []
        for number in numbers {
            let sequence = sequence(number)
            let expected = Reference.attention(
                query: sequence.query,
                key: sequence.key,
                value: sequence.value,
                heads: heads,
                scale: scale,
                bias: applies(number) ? (positionBias, timeBias, sequence.timestamps) : nil
            )
            failures += expected.failures(of: all[number]).map { "sequence \(number): \($0)" }
            var lastExpected = Expected(rows: 1, columns: expected.columns)
            lastExpected.values = Array(expected.values.suffix(expected.columns))
            lastExpected.tolerances = Array(expected.tolerances.suffix(expected.columns))
            let lastMatrix = Matrix(rows: 1, columns: expected.columns, values: last[number])
            failures += lastExpected.failures(of: lastMatrix).map { "last row of sequence \(number): \($0)" }
        }
        return failures
    }
}

extension DeviceConformance {
    /// HSTU attention.
    package static let attentionCases: [ConformanceCase] = {
        var batches: [(AttentionBatch, Bool)] = []
        // Lengths around a tile, alone.
        for length in [1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48] {
            batches.append((AttentionBatch(lengths: [length], bias: .all), false))
        }
        // Head widths, the two kinds alike and unlike.
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
        // A length of N exactly, shorter than a tile.
        batches.append((AttentionBatch(lengths: [5, 1], bias: .all, maximumLength: 5), false))
        batches.append((AttentionBatch(lengths: [1], bias: .all, maximumLength: 1), false))
        return batches.map { batch, strided in
            ConformanceCase(batch.name + (strided ? " strided" : ""), .hstuAttention, .gatherRows) {
                (device) throws(ComputeError) in try batch.failures(device, strided: strided)
            }
        } + [bucketCase]
    }()

    /// The buckets of the model sheet, read off through attention itself: one query row and one key, with a bias whose
    /// entries say their number.
    private static let bucketCase = ConformanceCase("time buckets of known differences", .hstuAttention) {
        (device) throws(ComputeError) in
        let known: [(Int64, Int)] = [
            (0, 0), (1, 0), (2, 2), (3, 3), (10, 7), (60, 13), (3600, 27), (86_400, 37), (604_800, 44),
            (31_536_000, 57), (1_000_000_000, 68),
        ]
        let position = HostStorage("pos_w", vector: [0])
        let time = HostStorage("ts_w", vector: (0..<129).map { Float($0) })
        let positionBias = try device.makeVector(position.tensor)
        let timeBias = try device.makeVector(time.tensor)
        let stream = try device.makeStream()
        try stream.begin()
        let count = known.count
        let zeros = try stream.upload(Matrix(rows: count, columns: 1, values: [Float](repeating: 0, count: count)))
        let ones = try stream.upload(Matrix(rows: count, columns: 1, values: [Float](repeating: 1, count: count)))
        let output = try stream.makeTensor(rows: count, columns: 1, dtype: .float32)
        // Every other difference is negative: its magnitude counts.
        let times: [Int64] = known.enumerated().flatMap { [5, $0 % 2 == 0 ? 5 + $1.0 : 5 - $1.0] }
        try stream.hstuAttention(
            HSTUAttentionOperation(
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
            expected.set(row, 0, value, within: 1e-5)
        }
        return expected.failures(of: try stream.readMatrix(output))
    }
}
