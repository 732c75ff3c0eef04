// A batch of sequences for attention of either kind: values from one seed, the run on a device, the reference.

internal import Compute
internal import Random

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
    /// false: the bias is only positional.
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

    /// The values of one sequence; they depend only on its number, not on the rest of the batch.
    struct Sequence {
        var query: Matrix
        var key: Matrix
        var value: Matrix
        var timestamps: [Int64]
    }

    func sequence(_ number: Int) -> Sequence {
        var random = SplitMix64(seed: UInt64(1000 + number))
        let n = lengths[number]
        return Sequence(
            query: Matrix(rows: n, columns: heads * queryColumns, random: &random),
            key: Matrix(rows: n, columns: (keyHeads ?? heads) * queryColumns, random: &random),
            value: Matrix(rows: n, columns: (keyHeads ?? heads) * valueColumns, random: &random),
            timestamps: timestamps(count: n + 1, random: &random)
        )
    }

    private func timestamps(count: Int, random: inout SplitMix64) -> [Int64] {
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
        var random = SplitMix64(seed: 77)
        return (0..<2 * maximumLength - 1).map { _ in random.signed() }
    }

    var timeBias: [Float] {
        var random = SplitMix64(seed: 78)
        return (0..<timeEntries).map { _ in random.signed() }
    }

    func applies(_ number: Int) -> Bool {
        switch bias {
        case .none: false
        case .all: true
        case .mixed: number % 2 == 0
        }
    }

    /// The extra weight of a sequence's first row, as a logarithm.
    func firstRowWeight(_ number: Int) -> Float { hasFirstRowWeights ? Float(number * 7 % 5) - 1.5 : 0 }

    /// The operands of an attention of some of the sequences.
    struct Operands {
        var layout: Jagged
        var query: Tensor
        var key: Tensor
        var value: Tensor
        var bias: RelativeBias?
        var firstRowWeights: [Float]?
        var prefix: CachedPrefix?
    }

    /// The rows of a sequence that a batch computes, after earlier ones in pages.
    struct Part {
        /// The sequence's number.
        var number: Int
        var rows: Range<Int>
    }

    /// The vectors of the bias.
    struct Tables {
        let position: any DeviceVector
        let time: any DeviceVector

        init(_ batch: AttentionBatch, _ device: any Device, _ host: HostWeights) throws(ComputeError) {
            position = try device.makeVector(host.tensor("pos_w", vector: batch.positionBias))
            time = try device.makeVector(host.tensor("ts_w", vector: batch.timeBias))
        }
    }

    /// Uploads the operands of an attention of these rows.
    func operands(
        _ parts: [Part],
        _ tables: Tables,
        strided: Bool,
        on stream: any Stream
    ) throws(ComputeError) -> Operands {
        let sequences = parts.map { sequence($0.number) }
        let layout = Jagged(lengths: parts.map(\.rows.count))
        func stacked(_ part: (Sequence) -> Matrix) -> Matrix {
            Matrix(
                rows: layout.rows,
                columns: part(sequences[0]).columns,
                values: zip(parts, sequences).flatMap { rows, sequence in rows.rows.flatMap(part(sequence).row) }
            )
        }
        let (query, key, value) = (stacked(\.query), stacked(\.key), stacked(\.value))
        var relative: RelativeBias?
        if bias != .none {
            // For each sequence, the times of all rows so far and of the next one.
            let times = zip(parts, sequences).flatMap { $1.timestamps.prefix($0.rows.upperBound + 1) }
            relative = RelativeBias(
                position: tables.position,
                time: hasTimeBias ? tables.time : nil,
                maximumLength: maximumLength,
                timestamps: try stream.upload(times, dtype: .int64),
                applies: parts.map { applies($0.number) }
            )
        }
        return Operands(
            layout: layout,
            query: try strided ? stream.uploadStrided(query) : stream.upload(query),
            key: try strided ? stream.uploadStrided(key, before: 9) : stream.upload(key),
            value: try strided ? stream.uploadStrided(value, after: 1) : stream.upload(value),
            bias: relative,
            firstRowWeights: hasFirstRowWeights ? parts.map { firstRowWeight($0.number) } : nil
        )
    }

    /// (all rows, the last row of each part) of an attention computed twice, as by two layers.
    func attend(
        _ operands: Operands,
        on stream: any Stream
    ) throws(ComputeError) -> (all: [Matrix], last: [[Float]]) {
        let layout = operands.layout
        let all = try output(operands, .all, on: stream)
        // A second layer reads the same timestamps: data that a device caches for them must serve it as well.
        let again = try output(operands, .all, on: stream)
        var newest = operands
        newest.query = try stream.makeTensor(rows: layout.count, columns: operands.query.columns, dtype: .float32)
        try stream.gatherRows(
            operands.query,
            rows: layout.offsets.dropFirst().map { $0 - 1 },
            output: newest.query
        )
        let lastOutput = try output(newest, .last, on: stream)
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

    private func output(
        _ operands: Operands,
        _ queryRows: QueryRows,
        on stream: any Stream
    ) throws(ComputeError) -> Tensor {
        let output = try stream.makeTensor(
            rows: operands.query.rows,
            columns: heads * valueColumns,
            dtype: .float32
        )
        switch kind {
        case .hstu:
            try stream.attention(
                AttentionOperation(
                    .silu,
                    layout: operands.layout,
                    queryRows: queryRows,
                    query: operands.query,
                    key: operands.key,
                    value: operands.value,
                    output: output,
                    heads: heads,
                    scale: scale,
                    bias: operands.bias,
                    prefix: operands.prefix
                )
            )
        case .softmax:
            try stream.attention(
                AttentionOperation(
                    .softmax,
                    layout: operands.layout,
                    queryRows: queryRows,
                    query: operands.query,
                    key: operands.key,
                    value: operands.value,
                    output: output,
                    heads: heads,
                    keyHeads: keyHeads ?? heads,
                    scale: scale,
                    bias: operands.bias,
                    firstRowWeights: operands.firstRowWeights,
                    prefix: operands.prefix
                )
            )
        }
        return output
    }

    /// Runs the sequences of `numbers` as one batch: (all rows, last rows) of each.
    func run(
        _ device: any Device,
        _ host: HostWeights,
        numbers: [Int],
        strided: Bool = false
    ) throws(ComputeError) -> (all: [Matrix], last: [[Float]]) {
        let tables = try Tables(self, device, host)
        let stream = try device.makeStream()
        try stream.begin()
        let parts = numbers.map { Part(number: $0, rows: 0..<lengths[$0]) }
        return try attend(operands(parts, tables, strided: strided, on: stream), on: stream)
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
            let expected = expected(number, Precision(device.description))
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
