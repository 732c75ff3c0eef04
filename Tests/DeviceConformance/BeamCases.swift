// Attention of beams against ordinary attention over prompt, ancestors and row; log-probabilities against the device's
// scores of the whole vocabulary.

internal import Compute
internal import Glibc
internal import Random

/// Requests whose beams attend together.
private struct BeamCase {
    struct Request: Sendable {
        var prompt: Int
        var beams: Int
        var depth: Int
        /// Rows of earlier beams to choose ancestors from.
        var kept: Int
    }

    var requests: [Request]
    var heads = 2
    var keyHeads = 1
    var columns = 8
    /// Neither the pool's first layer nor its last.
    private let layer = 1

    var name: String {
        let parts = requests.map { "\($0.prompt)+\($0.depth)×\($0.beams)" }.joined(separator: " ")
        return "beams \(parts), heads \(heads)/\(keyHeads) of \(columns)"
    }

    init(_ requests: [Request], heads: Int = 2, keyHeads: Int = 1, columns: Int = 8) {
        self.requests = requests
        self.heads = heads
        self.keyHeads = keyHeads
        self.columns = columns
    }

    /// The contents of a request's rows.
    private struct Content {
        var prompt: (key: Matrix, value: Matrix)
        var kept: (key: Matrix, value: Matrix)
        var query: Matrix
        var own: (key: Matrix, value: Matrix)
        var ancestors: [Int32]
    }

    private func content(_ request: Request, _ random: inout SplitMix64) -> Content {
        func pair(_ rows: Int) -> (key: Matrix, value: Matrix) {
            (
                Matrix(rows: rows, columns: keyHeads * columns, random: &random),
                Matrix(rows: rows, columns: keyHeads * columns, random: &random)
            )
        }
        var ancestors: [Int32] = []
        for _ in 0..<request.beams {
            // One ancestor from each earlier round, as in a search.
            for round in 0..<request.depth {
                let width = request.kept / request.depth
                ancestors.append(Int32(round * width + random.integer(in: 0...width - 1)))
            }
        }
        return Content(
            prompt: pair(request.prompt),
            kept: pair(request.kept),
            query: Matrix(rows: request.beams, columns: heads * columns, random: &random),
            own: pair(request.beams),
            ancestors: ancestors
        )
    }

    func run(_ device: any Device) throws(ComputeError) -> [String] {
        var random = SplitMix64(seed: UInt64(requests.count * 31 + columns))
        var contents: [Content] = []
        for request in requests { contents.append(content(request, &random)) }
        let shape = KeyValueShape(layers: 3, heads: keyHeads, keyColumns: columns, valueColumns: columns)
        let pool = try device.makeKeyValuePages(shape, byteCount: 1 << 22)
        let stream = try device.makeStream()
        var next: Int32 = 0
        func pages(_ rows: Int) -> [Int32] {
            let count = Int32((rows + pool.pageRows - 1) / pool.pageRows)
            defer { next += count }
            // Backwards, so that no page is at the default place.
            return (next..<next + count).reversed()
        }
        let promptPages = requests.map { pages($0.prompt) }
        let beamPages = requests.map { pages($0.kept) }
        try stream.begin()
        // NaN everywhere, so that a read of a wrong row shows.
        let rows = Int(next) * pool.pageRows
        let nothing = Matrix(
            rows: rows,
            columns: keyHeads * columns,
            values: [Float](repeating: .nan, count: rows * keyHeads * columns)
        )
        try store((nothing, nothing), pages: (0..<next).map { $0 }, pool, on: stream)
        for (number, content) in contents.enumerated() {
            try store(content.prompt, pages: promptPages[number], pool, on: stream)
            try store(content.kept, pages: beamPages[number], pool, on: stream)
        }
        try stream.synchronize()

        func attended(_ numbers: [Int]) throws(ComputeError) -> [Matrix] {
            try stream.begin()
            let chosen = numbers.map { contents[$0] }
            func joined(_ part: (Content) -> Matrix) throws(ComputeError) -> Tensor {
                let all = chosen.map(part)
                return try stream.uploadStrided(
                    Matrix(
                        rows: all.reduce(0) { $0 + $1.rows },
                        columns: all[0].columns,
                        values: all.flatMap(\.values)
                    )
                )
            }
            let query = try joined { $0.query }
            let output = try stream.makeTensor(rows: query.rows, columns: query.columns, dtype: .float32)
            let prompts = numbers.map {
                PagedSequence(rows: requests[$0].prompt, pages: promptPages[$0], storesRows: false)
            }
            try stream.beamAttention(
                BeamAttentionOperation(
                    AttentionOperation(
                        .softmax,
                        layout: Jagged(lengths: chosen.map(\.query.rows)),
                        queryRows: .all,
                        query: query,
                        key: joined { $0.own.key },
                        value: joined { $0.own.value },
                        output: output,
                        heads: heads,
                        keyHeads: keyHeads,
                        scale: 1 / Float(columns).squareRoot(),
                        prefix: CachedPrefix(cached: CachedRows(pages: pool, sequences: prompts), layer: layer)
                    ),
                    groups: numbers.map {
                        BeamGroup(beamPages: beamPages[$0], ancestors: contents[$0].ancestors)
                    }
                )
            )
            try stream.synchronize()
            let all = try stream.readMatrix(output)
            var first = 0
            return chosen.map { content in
                defer { first += content.query.rows }
                return Matrix(
                    rows: content.query.rows,
                    columns: all.columns,
                    values: (first..<first + content.query.rows).flatMap(all.row)
                )
            }
        }
        let together = try attended(Array(contents.indices))
        var failures: [String] = []
        for (number, content) in contents.enumerated() {
            failures += expected(content, requests[number], device).failures(of: together[number])
                .map { "request \(number): \($0)" }
            let alone = try attended([number])
            failures += bitDifferences(together[number].values, alone[0].values, "request \(number) alone")
        }
        return failures
    }

    private func store(
        _ rows: (key: Matrix, value: Matrix),
        pages: [Int32],
        _ pool: any KeyValuePages,
        on stream: any Stream
    ) throws(ComputeError) {
        guard rows.key.rows > 0 else { return }
        let sequence = PagedSequence(rows: 0, pages: pages, storesRows: true)
        try stream.store(
            StoreOperation(
                layout: Jagged(lengths: [rows.key.rows]),
                key: stream.upload(rows.key),
                value: stream.upload(rows.value),
                prefix: CachedPrefix(cached: CachedRows(pages: pool, sequences: [sequence]), layer: layer)
            )
        )
    }

    /// Computes each row as the last of an ordinary sequence.
    private func expected(_ content: Content, _ request: Request, _ device: any Device) -> Expected {
        var expected = Expected(rows: request.beams, columns: heads * columns)
        for row in 0..<request.beams {
            let ancestors = content.ancestors[row * request.depth..<(row + 1) * request.depth].map(Int.init)
            func sequence(_ part: ((key: Matrix, value: Matrix)) -> Matrix) -> Matrix {
                let values =
                    part(content.prompt).values + ancestors.flatMap(part(content.kept).row)
                    + part(content.own).row(row)
                return Matrix(
                    rows: request.prompt + request.depth + 1,
                    columns: keyHeads * columns,
                    values: values
                )
            }
            let key = sequence { $0.key }
            let query = Matrix(
                rows: key.rows,
                columns: heads * columns,
                values: (0..<key.rows).flatMap { _ in content.query.row(row) }
            )
            let reference = Reference.softmaxAttention(
                ReferenceSequence(
                    query: query,
                    key: key,
                    value: sequence { $0.value },
                    heads: heads,
                    keyHeads: keyHeads,
                    precision: Precision(device.description)
                ),
                scale: 1 / Float(columns).squareRoot(),
                firstRowWeight: 0
            )
            for column in 0..<heads * columns {
                let place = (key.rows - 1) * reference.columns + column
                expected.set(row, column, reference.values[place], within: reference.tolerances[place])
            }
        }
        return expected
    }
}

extension DeviceConformance {
    /// Attention of beams, and log-probabilities of tokens.
    package static let beamCases: [ConformanceCase] = attentionOfBeams + tokenCases

    private static let attentionOfBeams: [ConformanceCase] = {
        typealias Request = BeamCase.Request
        let mixed = [
            Request(prompt: 1, beams: 1, depth: 0, kept: 0), Request(prompt: 16, beams: 17, depth: 1, kept: 5),
            Request(prompt: 33, beams: 4, depth: 3, kept: 60), Request(prompt: 7, beams: 33, depth: 2, kept: 40),
        ]
        let cases = [
            BeamCase([Request(prompt: 5, beams: 3, depth: 0, kept: 0)]), BeamCase(mixed),
            BeamCase(mixed, heads: 4, keyHeads: 4, columns: 16), BeamCase(mixed, heads: 6, keyHeads: 2, columns: 20),
            BeamCase(mixed, heads: 2, keyHeads: 2, columns: 64),
            BeamCase([Request(prompt: 130, beams: 5, depth: 2, kept: 10)], heads: 1, keyHeads: 1, columns: 16),
        ]
        return cases.map { beamCase in
            ConformanceCase(beamCase.name, .beamAttention, .store) { (device, _) throws(ComputeError) in
                try beamCase.run(device)
            }
        }
    }()

    private static let tokenCases: [ConformanceCase] = [(7, 3), (100, 40), (100, 100), (1000, 256)].map { parts in
        let (vocabulary, block) = parts
        return ConformanceCase("tokens of \(vocabulary) in blocks of \(block)", .tokenScores) {
            (device, host) throws(ComputeError) in
            try tokens(device, host, vocabulary: vocabulary, block: block)
        }
    }

    private static func tokens(
        _ device: any Device,
        _ host: HostWeights,
        vocabulary: Int,
        block: Int
    ) throws(ComputeError) -> [String] {
        var random = SplitMix64(seed: UInt64(vocabulary))
        let (rows, width) = (19, 24)
        let queries = Matrix(rows: rows, columns: width, random: &random)
        let head = host.tensor("head", Matrix(rows: vocabulary, columns: width, random: &random))
        var blocks: [any LinearWeights] = []
        for begin in stride(from: 0, to: vocabulary, by: block) {
            let end = min(begin + block, vocabulary)
            blocks.append(try device.makeLinear(head, layout: .outputMajor, columns: [begin..<end], bias: nil))
        }
        var tokens: [Int32] = []
        var offsets = [0]
        var normalizations: [TokenNormalization] = []
        for row in 0..<rows {
            // All, a few, or none of them.
            let share = row % 3
            tokens += (0..<Int32(vocabulary)).filter { _ in share == 0 || share == 1 && random.integer(in: 0...9) == 0 }
            offsets.append(tokens.count)
            let low = random.integer(in: 0...vocabulary - 1)
            let ranges: [TokenNormalization] = [
                .tokens(0..<vocabulary), .candidates, .tokens(low..<random.integer(in: low + 1...vocabulary)),
            ]
            normalizations.append(ranges[row / 3 % 3])
        }
        let stream = try device.makeStream()
        struct Scored {
            var values: [Float]
            var logits: Matrix
        }
        func scored(_ numbers: Range<Int>) throws(ComputeError) -> Scored {
            try stream.begin()
            let x = try stream.uploadStrided(
                Matrix(rows: numbers.count, columns: width, values: numbers.flatMap(queries.row))
            )
            let first = offsets[numbers.lowerBound]
            let own = first..<offsets[numbers.upperBound]
            let ticket = try stream.tokenScores(
                TokenScoresOperation(
                    queries: x,
                    blocks: blocks,
                    blockRows: block,
                    tokens: Array(tokens[own]),
                    offsets: offsets[numbers.lowerBound...numbers.upperBound].map { $0 - first },
                    normalizations: Array(normalizations[numbers])
                )
            )
            let logits = try stream.makeTensor(rows: numbers.count, columns: vocabulary, dtype: .float32)
            for (number, weights) in blocks.enumerated() {
                let columns = number * block..<number * block + weights.outputs
                try stream.linear(
                    LinearOperation(input: .plain(x), weights: weights, output: logits.columns(columns))
                )
            }
            try stream.synchronize()
            return Scored(values: stream.logProbabilities(ticket), logits: try stream.readMatrix(logits))
        }
        let whole = try scored(0..<rows)
        let values = whole.values
        var failures: [String] = []
        for row in 0..<rows {
            let own = offsets[row]..<offsets[row + 1]
            let scores = whole.logits.row(row).map(Double.init)
            let summed =
                if case .tokens(let range) = normalizations[row] { Array(scores[range]) } else {
                    tokens[own].map { scores[Int($0)] }
                }
            let most = summed.max() ?? 0
            let logSum = most + log(summed.reduce(0) { $0 + exp($1 - most) })
            for place in own {
                let expected = scores[Int(tokens[place])] - logSum
                if abs(Double(values[place]) - expected) > 2e-6 * max(1, abs(expected)) {
                    failures.append("row \(row): token \(tokens[place]) has \(values[place]), not \(expected)")
                }
            }
            let alone = try scored(row..<row + 1).values
            failures += bitDifferences(Array(values[own]), alone, "row \(row) alone")
        }
        return Array(failures.prefix(3))
    }
}
