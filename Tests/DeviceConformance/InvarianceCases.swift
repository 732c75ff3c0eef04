// A request's result does not depend on the rest of its batch: the same bits alone and among 31 others.

internal import Compute
internal import Random

extension DeviceConformance {
    /// Alone and in a batch.
    package static let invarianceCases: [ConformanceCase] = [
        ConformanceCase("a sequence's attention alone and among 31 others", .hstuAttention, .gatherRows) {
            (device, host) throws(ComputeError) in
            let batch = AttentionBatch(
                lengths: (0..<32).map { 1 + $0 * 13 % 71 },
                heads: 2,
                queryColumns: 25,
                valueColumns: 17,
                bias: .mixed
            )
            let together = try batch.run(device, host, numbers: Array(0..<32))
            var failures: [String] = []
            for number in stride(from: 0, to: 32, by: 3) {
                let alone = try batch.run(device, host, numbers: [number])
                failures += bitDifferences(alone.all[0].values, together.all[number].values, "sequence \(number)")
                failures += bitDifferences(alone.last[0], together.last[number], "last row of sequence \(number)")
            }
            return failures
        },
        ConformanceCase("a sequence's softmax attention alone and among 31 others", .softmaxAttention, .gatherRows) {
            (device, host) throws(ComputeError) in
            let batch = AttentionBatch(
                kind: .softmax,
                lengths: (0..<32).map { 1 + $0 * 13 % 151 },
                heads: 4,
                keyHeads: 2,
                queryColumns: 25,
                valueColumns: 25,
                bias: .mixed,
                scale: 0.7,
                hasFirstRowWeights: true
            )
            let together = try batch.run(device, host, numbers: Array(0..<32))
            var failures: [String] = []
            for number in stride(from: 0, to: 32, by: 3) {
                let alone = try batch.run(device, host, numbers: [number])
                failures += bitDifferences(alone.all[0].values, together.all[number].values, "sequence \(number)")
                failures += bitDifferences(alone.last[0], together.last[number], "last row of sequence \(number)")
            }
            return failures
        },
        ConformanceCase("a row's projection alone and among 331 others", .linear) {
            (device, host) throws(ComputeError) in
            var failures: [String] = []
            for (k, n) in [(25, 50), (50, 200), (64, 9)] {
                for (input, activation) in [
                    (ConformanceInput.gated(.layer(epsilon: 1e-6)), Activation.silu),
                    (.normalized(.rms(epsilon: 1e-6)), .none), (.gated(.affineLayer(epsilon: 1e-5)), .relu),
                    (.swiGLU, .geluTanh),
                ] {
                    failures += try projectionDifferences(device, host, input, activation, k: k, n: n)
                }
            }
            return failures
        },
        ConformanceCase("a query's selection alone and among 31 others", .selectTopK) {
            (device, host) throws(ComputeError) in
            var random = SplitMix64(seed: 31)
            var problem = TopKProblem(
                items: Matrix(rows: 2000, columns: 50, random: &random),
                queries: Matrix(rows: 32, columns: 50, random: &random),
                masks: (0..<32).map { SelectionMask(excluded: [Int32($0 + 1)]) },
                counts: (0..<32).map { 10 + $0 }
            )
            let together = try problem.run(device, host)
            let queries = problem.queries
            var failures: [String] = []
            for number in stride(from: 0, to: 32, by: 5) {
                problem.queries = Matrix(rows: 1, columns: 50, values: queries.row(number))
                problem.masks = [SelectionMask(excluded: [Int32(number + 1)])]
                problem.counts = [10 + number]
                let alone = try problem.run(device, host)[0]
                if alone.map(\.row) != together[number].map(\.row) {
                    failures.append("query \(number) selects other rows alone")
                }
                failures += bitDifferences(
                    alone.map(\.score),
                    together[number].map(\.score),
                    "scores of query \(number)"
                )
            }
            return failures
        },
    ]

    private static func projectionDifferences(
        _ device: any Device,
        _ host: HostWeights,
        _ input: ConformanceInput,
        _ activation: Activation,
        k: Int,
        n: Int
    ) throws(ComputeError) -> [String] {
        var random = SplitMix64(seed: UInt64(k))
        let values = Matrix(rows: 332, columns: k, random: &random)
        let gate = Matrix(rows: 332, columns: k, random: &random)
        let residual = Matrix(rows: 332, columns: n, random: &random)
        let matrix = host.tensor("weight", Matrix(rows: k, columns: n, random: &random))
        let bias = host.tensor("bias", vector: (0..<n).map { _ in random.signed() })
        let weights = try device.makeLinear(matrix, layout: .inputMajor, columns: nil, bias: bias)
        let norm = try input.norm?.made(on: device, host, columns: k)
        func projected(_ rows: Range<Int>) throws(ComputeError) -> Matrix {
            func part(_ matrix: Matrix) -> Matrix {
                Matrix(rows: rows.count, columns: matrix.columns, values: rows.flatMap(matrix.row))
            }
            let stream = try device.makeStream()
            try stream.begin()
            let output = try stream.makeTensor(rows: rows.count, columns: n, dtype: .float32)
            try stream.linear(
                LinearOperation(
                    input: input.linear(
                        values: try stream.upload(part(values)),
                        gate: try stream.upload(part(gate)),
                        norm: norm
                    ),
                    weights: weights,
                    activation: activation,
                    residual: try stream.upload(part(residual)),
                    output: output
                )
            )
            try stream.synchronize()
            return try stream.readMatrix(output)
        }
        let together = try projected(0..<332)
        var failures: [String] = []
        for row in [0, 1, 5, 6, 95, 96, 200, 331] {
            let alone = try projected(row..<row + 1)
            failures += bitDifferences(alone.values, together.row(row), "\(input) \(k) × \(n), row \(row)")
        }
        return failures
    }
}
