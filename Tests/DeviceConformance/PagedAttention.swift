// A batch of sequences that grow step by step, on a pool of pages that contained other numbers before.

internal import Compute

/// Attention over sequences whose earlier rows are in pages.
struct PagedAttention {
    /// The rows of a sequence that a step computes, after those before them.
    struct Growth {
        var number: Int
        var rows: Range<Int>
        /// Enough for `rows.lowerBound`, and for `rows.upperBound` if they are stored.
        var pages: [Int32]
        var stores = true
    }

    let batch: AttentionBatch
    let strided: Bool
    let pool: any KeyValuePages
    private let tables: AttentionBatch.Tables
    private let stream: any Stream
    /// Neither the pool's first layer nor its last.
    private let layer = 1
    private let layers = 3

    /// A pool with pages for the batch's sequences and `spareRows` others, all of whose rows are NaN.
    init(
        _ batch: AttentionBatch,
        spareRows: Int = 0,
        strided: Bool,
        _ device: any Device,
        _ host: HostWeights
    ) throws(ComputeError) {
        self.batch = batch
        self.strided = strided
        tables = try AttentionBatch.Tables(batch, device, host)
        stream = try device.makeStream()
        let shape = KeyValueShape(
            layers: layers,
            heads: batch.keyHeads ?? batch.heads,
            keyColumns: batch.queryColumns,
            valueColumns: batch.valueColumns
        )
        let other = try device.makeKeyValuePages(shape, byteCount: 1 << 26)
        let (page, pageRows) = (other.pageByteCount, other.pageRows)
        let pageCount = (batch.lengths + [spareRows]).reduce(3) { $0 + ($1 + pageRows - 1) / pageRows }
        // One byte too little for another page.
        pool = try device.makeKeyValuePages(shape, byteCount: (pageCount + 1) * page - 1)
        guard pool.pageCount == pageCount, pool.shape == shape, pool.pageByteCount == page, pool.pageRows > 0 else {
            throw ComputeError(.executionFailed, "the pool has \(pool.pageCount) pages, not \(pageCount)")
        }
        try stream.begin()
        let rows = pageCount * pool.pageRows
        func nothing(columns: Int) throws(ComputeError) -> Tensor {
            let values = [Float](repeating: .nan, count: rows * columns)
            return try stream.upload(Matrix(rows: rows, columns: columns, values: values))
        }
        let everything = PagedSequence(rows: 0, pages: (0..<Int32(pageCount)).map { $0 }, storesRows: true)
        for layer in 0..<layers {
            try stream.store(
                StoreOperation(
                    layout: Jagged(lengths: [rows]),
                    key: nothing(columns: shape.heads * shape.keyColumns),
                    value: nothing(columns: shape.heads * shape.valueColumns),
                    prefix: CachedPrefix(cached: CachedRows(pages: pool, sequences: [everything]), layer: layer)
                )
            )
        }
        try stream.synchronize()
    }

    /// Computes one step of some sequences: (their rows, their last rows). Stored rows are available to later steps.
    func grow(_ growths: [Growth]) throws(ComputeError) -> (all: [Matrix], last: [[Float]]) {
        try stream.begin()
        let parts = growths.map { AttentionBatch.Part(number: $0.number, rows: $0.rows) }
        var operands = try batch.operands(parts, tables, strided: strided, on: stream)
        let sequences = growths.map {
            PagedSequence(rows: $0.rows.lowerBound, pages: $0.pages, storesRows: $0.stores)
        }
        let prefix = CachedPrefix(cached: CachedRows(pages: pool, sequences: sequences), layer: layer)
        operands.prefix = prefix
        let before = try batch.attend(operands, on: stream)
        try stream.store(
            StoreOperation(layout: operands.layout, key: operands.key, value: operands.value, prefix: prefix)
        )
        // Own rows are read from the tensors, whether or not they have been stored.
        let after = try batch.attend(operands, on: stream)
        let (left, right) = (before.all.flatMap(\.values), after.all.flatMap(\.values))
        guard bitDifferences(left, right, "").isEmpty else {
            throw ComputeError(.executionFailed, "storing changes the batch that stores")
        }
        return before
    }

    /// Computes every sequence of the batch in steps that end at `ends[number]`, all sequences in parallel, and
    /// compares with the sequences computed whole.
    func failures(
        ends: [[Int]],
        _ device: any Device,
        _ host: HostWeights
    ) throws(ComputeError) -> [String] {
        let whole = try batch.run(device, host, numbers: Array(batch.lengths.indices), strided: strided)
        var pages: [[Int32]] = []
        // From the pool's end, each sequence's pages in reverse order and interleaved with the others'.
        var free = (0..<Int32(pool.pageCount)).map { $0 }
        for length in batch.lengths {
            let count = (length + pool.pageRows - 1) / pool.pageRows
            pages.append((0..<count).map { free.remove(at: free.count * ($0 % 2 + 1) / 3) })
        }
        var failures: [String] = []
        for step in 0..<(ends.map(\.count).max() ?? 0) {
            let growths = ends.indices.filter { step < ends[$0].count }.map { number in
                Growth(
                    number: number,
                    rows: (step == 0 ? 0 : ends[number][step - 1])..<ends[number][step],
                    pages: pages[number],
                    stores: step < ends[number].count - 1 || number % 2 == 0
                )
            }
            let (all, last) = try grow(growths)
            for (place, growth) in growths.enumerated() {
                failures += differences(all[place], last[place], growth, whole.all[growth.number])
            }
        }
        return failures
    }

    /// Sentences about rows of a step that differ from those of the whole sequence.
    func differences(_ all: Matrix, _ last: [Float], _ growth: Growth, _ whole: Matrix) -> [String] {
        let what = "rows \(growth.rows) of sequence \(growth.number)"
        return bitDifferences(all.values, growth.rows.flatMap(whole.row), what)
            + bitDifferences(last, whole.row(growth.rows.upperBound - 1), "the last of " + what)
    }
}
