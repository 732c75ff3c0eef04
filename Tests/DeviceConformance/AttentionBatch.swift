// A batch of sequences for attention of either kind: its values from one seed, its run on a device, its reference.

internal import Compute

/// A batch of sequences for attention.
struct AttentionBatch {
    var kind = Kind.hstu
    var lengths: [Int]
    var heads = 2
    /// nil: as many as `heads`.
    var keyHeads: Int?
    var queryColumns = 8
    var valueColumns = 8
    var bias = Bias.none
    var times = Times.ordinary
    /// N; the bias of the models reaches 211 rows.
    var maximumLength = 320
    var timeEntries = 129
    /// false: the bias is positional alone.
    var hasTimeBias = true
    var scale: Float = 1.0 / 211
    /// Whether the first rows of sequences have weights.
    var hasFirstRowWeights = false

    enum Kind: String, Sendable {
        case hstu = "hstu attention"
        case softmax = "softmax attention"
    }

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
        var parts = ["\(kind.rawValue) \(shown) heads \(heads) × (\(queryColumns), \(valueColumns)) \(bias.rawValue)"]
        if bias != .none { parts.append(hasTimeBias ? times.rawValue : "positions alone") }
        if let keyHeads { parts.append("key heads \(keyHeads)") }
        if hasFirstRowWeights { parts.append("first rows weighted") }
        if kind == .softmax { parts.append("scale \(scale)") }
        return parts.joined(separator: " ")
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
            key: Matrix(rows: n, columns: (keyHeads ?? heads) * queryColumns, random: &random),
            value: Matrix(rows: n, columns: (keyHeads ?? heads) * valueColumns, random: &random),
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

    /// What the first row of a sequence counts more than another, as a logarithm.
    func firstRowWeight(_ number: Int) -> Float { hasFirstRowWeights ? Float(number * 7 % 5) - 1.5 : 0 }

    /// Runs the sequences of `numbers` as one batch: (all rows, last rows) of each.
    func run(
        _ device: any Device,
        _ host: HostWeights,
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
        let storedPosition = host.tensor("pos_w", vector: positionBias)
        let storedTime = host.tensor("ts_w", vector: timeBias)
        let positionWeights = try device.makeVector(storedPosition)
        let timeWeights = try device.makeVector(storedTime)
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
                time: hasTimeBias ? timeWeights : nil,
                maximumLength: maximumLength,
                timestamps: try stream.upload(sequences.flatMap(\.timestamps), dtype: .int64),
                applies: numbers.map(applies)
            )
        }
        let weights = hasFirstRowWeights ? numbers.map(firstRowWeight) : nil
        func attend(_ queryRows: QueryRows, query: Tensor) throws(ComputeError) -> Tensor {
            let output = try stream.makeTensor(rows: query.rows, columns: heads * valueColumns, dtype: .float32)
            switch kind {
            case .hstu:
                try stream.hstuAttention(
                    HSTUAttentionOperation(
                        layout: layout,
                        queryRows: queryRows,
                        query: query,
                        key: k,
                        value: v,
                        output: output,
                        heads: heads,
                        scale: scale,
                        bias: relative
                    )
                )
            case .softmax:
                try stream.softmaxAttention(
                    SoftmaxAttentionOperation(
                        layout: layout,
                        queryRows: queryRows,
                        query: query,
                        key: k,
                        value: v,
                        output: output,
                        heads: heads,
                        keyHeads: keyHeads ?? heads,
                        scale: scale,
                        bias: relative,
                        firstRowWeights: weights
                    )
                )
            }
            return output
        }
        let all = try attend(.all, query: q)
        // A second layer reads the same timestamps: what a device keeps of them must serve it as well.
        let again = try attend(.all, query: q)
        let lastQuery = try stream.makeTensor(rows: layout.count, columns: query.columns, dtype: .float32)
        try stream.gatherRows(q, rows: layout.offsets.dropFirst().map { $0 - 1 }, output: lastQuery)
        let lastOutput = try attend(.last, query: lastQuery)
        try stream.synchronize()

        let values = try stream.readMatrix(all)
        let repeated = try stream.readMatrix(again)
        let last = try stream.readMatrix(lastOutput)
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

    private func expected(_ number: Int, _ precision: Precision) -> Expected {
        let sequence = sequence(number)
        let reference = ReferenceSequence(
            query: sequence.query,
            key: sequence.key,
            value: sequence.value,
            heads: heads,
            keyHeads: keyHeads ?? heads,
            bias: applies(number)
                ? ReferenceBias(
                    position: positionBias,
                    time: hasTimeBias ? timeBias : nil,
                    timestamps: sequence.timestamps
                ) : nil,
            precision: precision
        )
        return switch kind {
        case .hstu: Reference.hstuAttention(reference, scale: scale)
        case .softmax:
            Reference.softmaxAttention(reference, scale: scale, firstRowWeight: firstRowWeight(number))
        }
    }

    func failures(_ device: any Device, _ host: HostWeights, strided: Bool) throws(ComputeError) -> [String] {
        let numbers = Array(lengths.indices)
        let (all, last) = try run(device, host, numbers: numbers, strided: strided)
        var failures: [String] = []
        for number in numbers {
            let expected = expected(number, Precision(device.description.dtype))
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
