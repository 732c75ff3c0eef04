// Rows appended to a table or a catalogue: the same bits as if they had been there from the start.

internal import Compute
internal import Random

extension DeviceConformance {
    /// Appended rows.
    package static let addedRowsCases: [ConformanceCase] = [(64, 25), (130, 64), (1, 50), (333, 7)].flatMap {
        (rows: Int, width: Int) in
        [DType.float32, .bfloat16].map { dtype in
            ConformanceCase("rows behind \(rows) of width \(width) \(dtype.rawValue)", .embed, .selectTopK, .scoreRows)
            {
                (device, host) throws(ComputeError) in
                let rows = AddedRowsProblem(rows: rows, width: width, dtype: dtype)
                return try rows.selectionFailures(device, host) + rows.embeddingFailures(device, host)
                    + rows.misuse(device, host)
            }
        }
    }
}

/// A table, the rows that are appended to it, and a table that has them from the start, under the same row numbers.
private struct AddedRowsProblem {
    let own: Matrix
    let added: [[Float]]
    let whole: Matrix
    let dtype: DType
    let first: Int
    /// Rows per append: less than a page, up to its end, beyond it.
    let parts = [1, 70, 953, 1_500]

    init(rows: Int, width: Int, dtype: DType) {
        var random = SplitMix64(seed: UInt64(rows))
        self.dtype = dtype
        first = AddedRows.first(behind: rows)
        var own = Matrix(rows: rows, columns: width, random: &random)
        own.values = own.values.map { HostWeights.rounded($0, to: dtype) }
        var added = Matrix(rows: parts.reduce(0, +), columns: width, random: &random)
        added.values = added.values.map { HostWeights.rounded($0, to: dtype) }
        // A copy of an original row.
        added.values.replaceSubrange(0..<width, with: own.row(rows - 1))
        self.own = own
        self.added = (0..<added.rows).map { added.row($0) }
        let gap = [Float](repeating: 0, count: (first - rows) * width)
        whole = Matrix(rows: first + added.rows, columns: width, values: own.values + gap + added.values)
    }

    private func eligible(_ rows: Int) -> [UInt64] {
        var bits = [UInt64](repeating: 0, count: (rows + 63) / 64)
        for row in 1..<max(rows, 1) where row < own.rows || row >= first { bits[row >> 6] |= 1 << UInt64(row & 63) }
        return bits
    }

    func selectionFailures(_ device: any Device, _ host: HostWeights) throws(ComputeError) -> [String] {
        let norm = Norm.l2(epsilon: 1e-6)
        func catalogue(_ matrix: Matrix) throws(ComputeError) -> any CatalogueWeights {
            try device.makeCatalogue(
                host.tensor("items", matrix, dtype: dtype),
                normalization: norm.made(on: device, host, columns: matrix.columns),
                eligible: eligible(matrix.rows)
            )
        }
        let (growing, fixed) = (try catalogue(own), try catalogue(whole))
        var failures: [String] = []
        var count = 0
        var random = SplitMix64(seed: 3)
        for part in [0] + parts {
            try device.append(Array(added[count..<count + part]), to: growing)
            count += part
            let rows = count == 0 ? own.rows : first + count
            if growing.rows != rows { failures.append("\(count) rows added: there are \(growing.rows), not \(rows)") }
            let queries = Matrix(rows: 5, columns: own.columns, random: &random)
            let all = eligible(rows)
            // All rows, all but some, only the original rows, a random choice, and none that has been added so far.
            var some = all
            for word in some.indices { some[word] &= random.next() }
            let last = Int32(rows - 1)
            let masks = [
                SelectionMask(allowed: all), SelectionMask(allowed: all, excluded: last > 0 ? [0, last] : [0]),
                SelectionMask(), SelectionMask(allowed: some), SelectionMask(allowed: eligible(own.rows)),
            ]
            let padded = masks.map { mask in
                let words = mask.allowed ?? eligible(own.rows)
                let rest = [UInt64](repeating: 0, count: (whole.rows + 63) / 64 - words.count)
                return SelectionMask(allowed: words + rest, excluded: mask.excluded)
            }
            let named = (0..<5).map { query in
                let any = (0..<40).map { _ in random.integer(in: 0...rows - 1) }
                return any.filter { $0 < own.rows || $0 >= first }.map { Int32($0) } + (query == 0 ? [last] : [])
            }
            func run(
                _ catalogue: any CatalogueWeights,
                _ masks: [SelectionMask]
            ) throws(ComputeError) -> (best: [[ScoredRow]], scores: [[Float]]) {
                let stream = try device.makeStream()
                try stream.begin()
                let asking = try stream.upload(queries)
                let counts = [5, 100, 5_000, 1, 64]
                let best = try stream.selectTopK(
                    TopKOperation(queries: asking, catalogue: catalogue, masks: masks, counts: counts)
                )
                let scores = try stream.scoreRows(ScoreOperation(queries: asking, catalogue: catalogue, rows: named))
                try stream.synchronize()
                return (
                    (0..<5).map { stream.selected(best, query: $0) }, (0..<5).map { stream.scores(scores, query: $0) }
                )
            }
            let (found, wanted) = (try run(growing, masks), try run(fixed, padded))
            for query in 0..<5 {
                let what = "\(count) rows added, query \(query)"
                if found.best[query].map(\.row) != wanted.best[query].map(\.row) {
                    failures.append("\(what): other rows are selected")
                }
                failures += bitDifferences(found.best[query].map(\.score), wanted.best[query].map(\.score), what)
                failures += bitDifferences(found.scores[query], wanted.scores[query], "\(what), named rows")
            }
        }
        return failures
    }

    func embeddingFailures(_ device: any Device, _ host: HostWeights) throws(ComputeError) -> [String] {
        let growing = try device.makeTable(host.tensor("items", own, dtype: dtype))
        let fixed = try device.makeTable(host.tensor("items", whole, dtype: dtype))
        let positions = try device.makeTable(host.tensor("positions", own, dtype: dtype))
        try device.append(added, to: growing)
        var random = SplitMix64(seed: 4)
        let places = Array(0..<own.rows) + Array(first..<whole.rows)
        var ids = (0..<700).map { _ in Int32(places[random.integer(in: 0...places.count - 1)]) }
        ids.append(Int32(whole.rows - 1))
        func run(_ table: any EmbeddingTable) throws(ComputeError) -> [Float] {
            let stream = try device.makeStream()
            try stream.begin()
            let output = try stream.makeTensor(rows: ids.count, columns: own.columns, dtype: .float32)
            let zeros = try stream.upload([Int32](repeating: Int32(own.rows - 1), count: ids.count), dtype: .int32)
            try stream.embed(
                EmbedOperation(
                    ids: stream.upload(ids, dtype: .int32),
                    table: table,
                    scale: 3,
                    positions: (positions, zeros),
                    output: output
                )
            )
            try stream.synchronize()
            return try stream.read(output)
        }
        return bitDifferences(try run(growing), try run(fixed), "embedded rows")
    }

    func misuse(_ device: any Device, _ host: HostWeights) throws(ComputeError) -> [String] {
        let table = try device.makeTable(host.tensor("items", own, dtype: dtype))
        let catalogue = try device.makeCatalogue(
            host.tensor("items", own, dtype: dtype),
            normalization: nil,
            eligible: eligible(own.rows)
        )
        let wide = [[Float](repeating: 0, count: own.columns + 1)]
        var failures =
            mustRefuse("a wider row of a table") { () throws(ComputeError) in try device.append(wide, to: table) }
            + mustRefuse("a wider row of a catalogue") { () throws(ComputeError) in
                try device.append(wide, to: catalogue)
            }
        try device.append([added[0]], to: table)
        try device.append([added[0]], to: catalogue)
        guard own.rows < first else { return failures }
        let stream = try device.makeStream()
        try stream.begin()
        let output = try stream.makeTensor(rows: 1, columns: own.columns, dtype: .float32)
        let ids = try stream.upload([Int32(own.rows)], dtype: .int32)
        failures += mustRefuse("a row between those of the table and those that were added") {
            () throws(ComputeError) in
            try stream.embed(EmbedOperation(ids: ids, table: table, scale: 1, positions: nil, output: output))
        }
        failures += mustRefuse("the score of a row between them") { () throws(ComputeError) in
            _ = try stream.scoreRows(
                ScoreOperation(queries: output, catalogue: catalogue, rows: [[Int32(own.rows)]])
            )
        }
        return failures
    }
}
