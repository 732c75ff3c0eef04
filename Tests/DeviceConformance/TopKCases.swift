// Selection: exact order with ties, masks of all kinds, more requested than available, scores that are NaN or infinite.

internal import Compute
internal import Random

/// A catalogue, queries and their requests.
struct TopKProblem {
    var items: Matrix
    var queries: Matrix
    var masks: [SelectionMask]
    var counts: [Int]
    var norm: Norm?
    var dtype = DType.float32
    /// Rows that the catalogue excludes besides row 0.
    var missing: Set<Int> = []

    var eligible: [UInt64] {
        var bits = [UInt64](repeating: 0, count: (items.rows + 63) / 64)
        for row in 1..<max(items.rows, 1) where !missing.contains(row) { bits[row >> 6] |= 1 << UInt64(row & 63) }
        return bits
    }

    func mayBeSelected(_ row: Int, query: Int) -> Bool {
        let mask = masks[query]
        if row == 0 || missing.contains(row) || mask.excluded.contains(Int32(row)) { return false }
        guard let allowed = mask.allowed else { return true }
        return allowed[row >> 6] >> UInt64(row & 63) & 1 == 1
    }

    func run(_ device: any Device, _ host: HostWeights) throws(ComputeError) -> [[ScoredRow]] {
        let stored = host.tensor("items", items, dtype: dtype)
        let normalization = try norm?.made(on: device, host, columns: items.columns)
        let catalogue = try device.makeCatalogue(stored, normalization: normalization, eligible: eligible)
        let stream = try device.makeStream()
        try stream.begin()
        let ticket = try stream.selectTopK(
            TopKOperation(
                queries: try stream.upload(queries),
                catalogue: catalogue,
                masks: masks,
                counts: counts
            )
        )
        try stream.synchronize()
        return (0..<queries.rows).map { stream.selected(ticket, query: $0) }
    }

    /// For data whose scores are exact in float32: exactly the expected rows and scores.
    func exactFailures(_ device: any Device, _ host: HostWeights) throws(ComputeError) -> [String] {
        let selected = try run(device, host)
        var failures: [String] = []
        for query in 0..<queries.rows {
            var scored: [ScoredRow] = []
            for row in 0..<items.rows where mayBeSelected(row, query: query) {
                let score = zip(queries.row(query), items.row(row)).reduce(Float(0)) { $0 + $1.0 * $1.1 }
                if !score.isNaN { scored.append(ScoredRow(row: Int32(row), score: score)) }
            }
            scored.sort { $0.score != $1.score ? $0.score > $1.score : $0.row < $1.row }
            let wanted = Array(scored.prefix(counts[query]))
            if selected[query] != wanted { failures.append(difference(selected[query], wanted, query: query)) }
        }
        return failures
    }

    private func difference(_ selected: [ScoredRow], _ wanted: [ScoredRow], query: Int) -> String {
        guard selected.count == wanted.count else {
            return "query \(query): \(selected.count) rows are selected, expected \(wanted.count)"
        }
        let place = zip(selected, wanted).enumerated().first { $0.element.0 != $0.element.1 }?.offset ?? 0
        return "query \(query): place \(place) is \(selected[place]), expected \(wanted[place])"
    }

    /// For any data: scores within the bound, in order, and no better row omitted.
    func failures(_ device: any Device, _ host: HostWeights) throws(ComputeError) -> [String] {
        let selected = try run(device, host)
        let precision = Precision(device.description).ofScores
        let rows =
            norm.map { Reference.normalized(items, $0) }
            ?? (0..<items.rows).map { precision.rounded(items.row($0)) }
        var failures: [String] = []
        for query in 0..<queries.rows {
            let q = precision.rounded(queries.row(query))
            let scores = rows.map { row in zip(q, row).reduce(0) { $0 + $1.0 * $1.1 } }
            let length = q.reduce(0) { $0 + abs($1) }
            let largest = rows.map { row in zip(q, row).reduce(0) { $0 + abs($1.0 * $1.1) } }.max() ?? 0
            var tolerance = length * Double(q.count + 40) * 0x1p-24 + largest * Rounding.product
            if norm != nil {
                // Only the device knows the normalised rows exactly before it rounds them.
                let moved = rows.map { row in
                    zip(q, row).reduce(0) { $0 + abs($1.0) * precision.roundingTolerance($1.1, in: row) }
                }
                tolerance += moved.max() ?? 0
            }
            let candidates = (0..<items.rows).filter { mayBeSelected($0, query: query) }
            let found = selected[query]
            if found.count != min(counts[query], candidates.count) {
                failures.append("query \(query): \(found.count) rows of \(candidates.count)")
            }
            for (place, entry) in found.enumerated() {
                if abs(Double(entry.score) - scores[Int(entry.row)]) > tolerance {
                    failures.append(
                        "query \(query): row \(entry.row) scores \(entry.score), not \(scores[Int(entry.row)])"
                    )
                }
                if place > 0, entry.score > found[place - 1].score {
                    failures.append("query \(query): place \(place) is better than the one before")
                }
            }
            let chosen = Set(found.map { Int($0.row) })
            if !chosen.isSubset(of: candidates) { failures.append("query \(query): a masked row is selected") }
            if let worst = found.last, found.count == counts[query] {
                let better = candidates.filter { !chosen.contains($0) && scores[$0] > Double(worst.score) + tolerance }
                if !better.isEmpty {
                    failures.append("query \(query): rows \(better.prefix(3)) are better than the last")
                }
            }
        }
        return failures
    }
}

extension DeviceConformance {
    /// Selection of the best rows.
    package static let topKCases: [ConformanceCase] = exactCases + maskCases + oddScoreCases + realCases

    /// Small whole numbers: every score is exact, and there are many ties.
    private static func wholeNumbers(
        items: Int,
        queries: Int,
        width: Int,
        count: (Int) -> Int,
        seed: UInt64 = 1
    ) -> TopKProblem {
        var random = SplitMix64(seed: seed)
        func matrix(_ rows: Int) -> Matrix {
            Matrix(
                rows: rows,
                columns: width,
                values: (0..<rows * width).map { _ in Float(random.integer(in: -2...2)) }
            )
        }
        return TopKProblem(
            items: matrix(items),
            queries: matrix(queries),
            masks: [SelectionMask](repeating: SelectionMask(), count: queries),
            counts: (0..<queries).map(count)
        )
    }

    private static func exact(_ name: String, _ problem: TopKProblem) -> ConformanceCase {
        ConformanceCase("top k \(name)", .selectTopK) { (device, host) throws(ComputeError) in
            try problem.exactFailures(device, host)
        }
    }

    private static let exactCases: [ConformanceCase] = {
        var cases: [ConformanceCase] = []
        for items in [2, 17, 63, 64, 65, 127, 128, 129, 1000] {
            cases.append(
                exact("of \(items) rows", wholeNumbers(items: items, queries: 2, width: 6, count: { 3 + 9 * $0 }))
            )
        }
        for queries in [1, 5, 6, 7, 13, 32] {
            cases.append(
                exact(
                    "for \(queries) queries",
                    wholeNumbers(items: 500, queries: queries, width: 9, count: { 1 + $0 * 7 % 50 })
                )
            )
        }
        for width in [1, 4, 25, 50, 64] {
            cases.append(
                exact("width \(width)", wholeNumbers(items: 300, queries: 3, width: width, count: { _ in 20 }))
            )
        }
        cases.append(
            exact("all rows and more", wholeNumbers(items: 700, queries: 2, width: 3, count: { 600 + 5000 * $0 }))
        )
        cases.append(
            exact("of a long catalogue", wholeNumbers(items: 9000, queries: 2, width: 4, count: { _ in 2500 }))
        )
        var equal = wholeNumbers(items: 5000, queries: 1, width: 4, count: { _ in 100 })
        equal.queries.values = [0, 0, 0, 0]
        cases.append(exact("when all rows are equal", equal))
        cases.append(exact("no queries", wholeNumbers(items: 100, queries: 0, width: 4, count: { _ in 1 })))
        return cases
    }()

    private static let maskCases: [ConformanceCase] = {
        var cases: [ConformanceCase] = []
        let base = wholeNumbers(items: 400, queries: 6, width: 5, count: { 10 + 30 * $0 }, seed: 3)
        var random = SplitMix64(seed: 4)
        func some(_ share: Int) -> [Int] { (0..<400).filter { _ in random.integer(in: 0...99) < share } }
        func bits(_ rows: [Int]) -> [UInt64] {
            var words = [UInt64](repeating: 0, count: 7)
            for row in rows { words[row >> 6] |= 1 << UInt64(row & 63) }
            return words
        }
        var problem = base
        problem.missing = Set(some(30))
        cases.append(exact("of a catalogue with missing rows", problem))
        for query in 0..<6 { problem.masks[query].excluded = some(10 * query).map { Int32($0) } }
        cases.append(exact("with excluded rows", problem))
        for query in 1..<6 { problem.masks[query].allowed = bits(some(100 - 15 * query)) }
        cases.append(exact("with allowed and excluded rows", problem))
        problem.masks[1].allowed = bits([])
        problem.masks[2].allowed = bits([0])
        problem.masks[3] = SelectionMask(allowed: bits([399, 64, 63]), excluded: [64])
        problem.masks[4].excluded = (0..<400).map { Int32($0) }
        cases.append(exact("with nothing or little allowed", problem))
        // Bits beyond the last row are ignored.
        problem = base
        problem.masks[0].allowed = [UInt64](repeating: .max, count: 7)
        problem.masks[5].allowed = [UInt64](repeating: .max, count: 9)
        cases.append(exact("with a mask longer than the catalogue", problem))
        return cases
    }()

    private static let oddScoreCases: [ConformanceCase] = {
        var problem = wholeNumbers(items: 200, queries: 3, width: 4, count: { _ in 150 }, seed: 9)
        for row in [1, 63, 64, 199] { problem.items[row, 2] = .nan }
        problem.items[5, 0] = .infinity
        problem.items[6, 0] = -.infinity
        problem.items[150, 1] = .infinity
        problem.queries[0, 0] = 1
        problem.queries[0, 1] = 1
        problem.queries[1, 0] = 0
        var nothing = problem
        nothing.queries[2, 3] = .nan
        var infinite = problem
        infinite.counts = [2, 2, 2]
        for row in 10..<20 { infinite.items[row, 0] = .infinity }
        return [
            exact("with rows that are not numbers", problem),
            exact("with a query that is not a number", nothing),
            exact("with infinite ties", infinite),
        ]
    }()

    private static let realCases: [ConformanceCase] = {
        var cases: [ConformanceCase] = []
        for (width, dtype) in [(50, DType.float32), (64, .float16), (25, .bfloat16)] {
            for norm in [
                nil, Norm.l2(epsilon: 1e-6), .layer(epsilon: 1e-6), .affineLayer(epsilon: 1e-6), .rms(epsilon: 1e-6),
            ] {
                let name = "top k width \(width) \(dtype.rawValue) rows \(norm.map { "\($0)" } ?? "as they are")"
                cases.append(
                    ConformanceCase(name, .selectTopK) { (device, host) throws(ComputeError) in
                        var random = SplitMix64(seed: 21)
                        var items = Matrix(rows: 333, columns: width, random: &random)
                        items.values = items.values.map { HostWeights.rounded($0, to: dtype) }
                        let problem = TopKProblem(
                            items: items,
                            queries: Matrix(rows: 4, columns: width, random: &random),
                            masks: [SelectionMask](repeating: SelectionMask(excluded: [3, 300]), count: 4),
                            counts: [1, 10, 50, 400],
                            norm: norm,
                            dtype: dtype
                        )
                        do throws(ComputeError) {
                            return try problem.failures(device, host)
                        } catch  where norm?.hasVectors == true && error.code == .unsupported {
                            // No model scores with such a norm: a device need not support it here.
                            return []
                        }
                    }
                )
            }
        }
        return cases
    }()
}
