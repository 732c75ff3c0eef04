// Scores of named rows: exactly the numbers that a selection finds, in the order of the names.

internal import Compute
internal import Random

extension DeviceConformance {
    /// Scores of rows that the caller names.
    package static let scoreCases: [ConformanceCase] = equalCases + scoreMisuseCases

    /// Named rows of a catalogue: some, out of order, repeated, none, and one that the catalogue excludes.
    private static let equalCases: [ConformanceCase] = [1, 25, 50, 64].flatMap { width in
        [DType.float32, .float16, .bfloat16].map { dtype in
            ConformanceCase("scores of width \(width) \(dtype.rawValue)", .selectTopK, .scoreRows) {
                (device, host) throws(ComputeError) in
                var random = SplitMix64(seed: UInt64(width))
                var items = Matrix(rows: 333, columns: width, random: &random)
                items.values = items.values.map { HostWeights.rounded($0, to: dtype) }
                let problem = TopKProblem(
                    items: items,
                    queries: Matrix(rows: 7, columns: width, random: &random),
                    masks: [SelectionMask](repeating: SelectionMask(), count: 7),
                    counts: [Int](repeating: 400, count: 7),
                    norm: width == 50 ? .l2(epsilon: 1e-6) : nil,
                    dtype: dtype
                )
                let lists: [[Int32]] = [
                    [332, 1, 64, 63, 65, 1], [], Array(1...17), [5], Array((1...300).reversed()), [0, 128], [7, 7],
                ]
                let selected = try problem.run(device, host)
                let scores = try problem.scores(device, host, lists)
                var failures: [String] = []
                for (query, list) in lists.enumerated() {
                    let known = Dictionary(uniqueKeysWithValues: selected[query].map { ($0.row, $0.score) })
                    guard scores[query].count == list.count else {
                        failures.append("query \(query): \(scores[query].count) scores for \(list.count) rows")
                        continue
                    }
                    for (row, score) in zip(list, scores[query]) where row != 0 {
                        guard let wanted = known[row], wanted.bitPattern == score.bitPattern else {
                            failures.append("query \(query): row \(row) scores \(score), not \(known[row] ?? .nan)")
                            break
                        }
                    }
                }
                return failures
            }
        }
    }

    private static let scoreMisuseCases: [ConformanceCase] = [
        ConformanceCase("scores that do not fit", .scoreRows) { (device, host) throws(ComputeError) in
            var random = SplitMix64(seed: 1)
            let problem = TopKProblem(
                items: Matrix(rows: 70, columns: 4, random: &random),
                queries: Matrix(rows: 1, columns: 4, random: &random),
                masks: [],
                counts: []
            )
            var failures: [String] = []
            for (name, lists) in [
                ("too few lists", []), ("a row behind the catalogue", [[70]]), ("a negative row", [[-1]]),
            ] as [(String, [[Int32]])] {
                do throws(ComputeError) {
                    _ = try problem.scores(device, host, lists)
                    failures.append("\(name) is taken")
                } catch  where error.code == .invalidArgument {
                } catch {
                    failures.append("\(name): \(error.code.rawValue)")
                }
            }
            return failures
        }
    ]
}

extension TopKProblem {
    /// A device's scores of the named rows, one list per query.
    fileprivate func scores(
        _ device: any Device,
        _ host: HostWeights,
        _ rows: [[Int32]]
    ) throws(ComputeError) -> [[Float]] {
        let normalization = try norm?.made(on: device, host, columns: items.columns)
        let catalogue = try device.makeCatalogue(
            host.tensor("items", items, dtype: dtype),
            normalization: normalization,
            eligible: eligible
        )
        let stream = try device.makeStream()
        try stream.begin()
        let ticket = try stream.scoreRows(
            ScoreOperation(queries: try stream.upload(queries), catalogue: catalogue, rows: rows)
        )
        try stream.synchronize()
        return (0..<queries.rows).map { stream.scores(ticket, query: $0) }
    }
}
