// Attention on rows computed earlier: the same bits as for all rows computed together, wherever a sequence is cut.

internal import Compute

extension DeviceConformance {
    /// Attention with cached rows.
    package static let prefixCases: [ConformanceCase] = {
        /// Lengths around the borders of pages and of blocks of keys; 16 and 128 on the CPU.
        let borders = [1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 112, 127, 128, 129, 143, 144, 145, 160]
        /// Every option of an attention.
        func kinds(_ lengths: [Int]) -> [AttentionBatch] {
            [
                AttentionBatch(lengths: lengths, bias: .all),
                AttentionBatch(lengths: lengths, queryColumns: 12, valueColumns: 29, bias: .none),
                AttentionBatch(lengths: lengths, heads: 3, bias: .mixed, hasTimeBias: false),
                AttentionBatch(lengths: lengths, heads: 1, bias: .mixed, times: .extreme),
                AttentionBatch(kind: .softmax, lengths: lengths, heads: 6, keyHeads: 2, scale: 0.35),
                AttentionBatch(
                    kind: .softmax,
                    lengths: lengths,
                    bias: .mixed,
                    scale: 3,
                    hasFirstRowWeights: true
                ),
            ]
        }
        var cases: [ConformanceCase] = []
        func add(_ what: String, _ batch: AttentionBatch, strided: Bool = false, ends: [[Int]]) {
            let operation: OperationKind = batch.kind == .hstu ? .hstuAttention : .softmaxAttention
            let name = "\(batch.name), \(what)" + (strided ? ", strided" : "")
            cases.append(
                ConformanceCase(name, operation, .gatherRows, .store) { (device, host) throws(ComputeError) in
                    try PagedAttention(batch, strided: strided, device, host)
                        .failures(ends: ends, device, host)
                }
            )
        }
        for batch in kinds(borders.map { _ in 170 }) {
            add("cut at every border", batch, strided: batch.heads == 3, ends: borders.map { [$0, 170] })
        }
        for batch in kinds((1...20).map { 131 + $0 }) {
            add("a few rows on 131", batch, ends: (1...20).map { [131, 131 + $0] })
        }
        for batch in kinds([1, 300, 17, 5, 64, 129, 257, 40]) {
            // Some whole, some row by row, some in unequal parts.
            let ends = [
                [1], [3, 100, 116, 117, 250, 300], [17], [1, 2, 3, 4, 5], [16, 32, 48, 64], [127, 128, 129],
                [100, 200, 257], (1...40).map { $0 },
            ]
            add("grown side by side", batch, strided: true, ends: ends)
        }
        for (queryColumns, valueColumns) in [(1, 1), (4, 20), (25, 50), (50, 25), (16, 144), (128, 128), (33, 17)] {
            for rows in [1, 3, 6, 11, 16] {
                let batch = AttentionBatch(
                    lengths: [150 + rows],
                    queryColumns: queryColumns,
                    valueColumns: valueColumns,
                    bias: .all
                )
                add("\(rows) on 150", batch, strided: true, ends: [[150, 150 + rows]])
            }
        }
        for columns in [1, 25, 64, 128] {
            for rows in [1, 2, 5, 16] {
                let batch = AttentionBatch(
                    kind: .softmax,
                    lengths: [150 + rows],
                    queryColumns: columns,
                    valueColumns: columns,
                    scale: 1 / Float(columns).squareRoot()
                )
                add("\(rows) on 150", batch, strided: true, ends: [[150, 150 + rows]])
            }
        }
        return cases + [sharedPagesCase, repeatedRowsCase]
    }()

    /// Sequences with a common prefix, whose full pages they share.
    private static let sharedPagesCase = ConformanceCase(
        "sequences that share full pages",
        .hstuAttention,
        .gatherRows,
        .store
    ) { (device, host) throws(ComputeError) in
        let batch = AttentionBatch(lengths: [150], queryColumns: 25, valueColumns: 25, bias: .all)
        let paged = try PagedAttention(batch, spareRows: 300, strided: false, device, host)
        let whole = try batch.run(device, host, numbers: [0])
        let pageRows = paged.pool.pageRows
        let full = 100 / pageRows
        let count = (150 + pageRows - 1) / pageRows
        let own = (0..<Int32(count)).map { $0 }
        var failures: [String] = []
        func grow(_ growths: [PagedAttention.Growth]) throws(ComputeError) {
            let (all, last) = try paged.grow(growths)
            for (place, growth) in growths.enumerated() {
                failures += paged.differences(all[place], last[place], growth, whole.all[0])
            }
        }
        try grow([PagedAttention.Growth(number: 0, rows: 0..<100, pages: own)])
        // Two others share the full pages and recompute the next page's rows into their own pages.
        let others = (1...2).map { copy in own.prefix(full) + own.dropFirst(full).map { $0 + Int32(copy * count) } }
        let ends = [113, 140]
        try grow(
            zip(others, ends).map {
                PagedAttention.Growth(number: 0, rows: full * pageRows..<$1, pages: Array($0))
            }
        )
        // All three continue, each on its own rows.
        try grow(
            zip([own] + others.map { Array($0) }, [100] + ends).map {
                PagedAttention.Growth(number: 0, rows: $1..<150, pages: $0)
            }
        )
        return failures
    }

    /// Rows that are computed and stored again in the same place, as after a change of the time that follows them.
    private static let repeatedRowsCase = ConformanceCase(
        "rows that are stored again",
        .hstuAttention,
        .gatherRows,
        .store
    ) { (device, host) throws(ComputeError) in
        let batch = AttentionBatch(lengths: [90], bias: .all)
        let paged = try PagedAttention(batch, strided: false, device, host)
        let whole = try batch.run(device, host, numbers: [0])
        let pages = (0..<Int32((90 + paged.pool.pageRows - 1) / paged.pool.pageRows)).map { $0 }
        var failures: [String] = []
        for rows in [0..<60, 59..<61, 30..<75, 74..<90, 89..<90] {
            let growth = PagedAttention.Growth(number: 0, rows: rows, pages: pages)
            let (all, last) = try paged.grow([growth])
            failures += paged.differences(all[0], last[0], growth, whole.all[0])
        }
        return failures
    }
}
