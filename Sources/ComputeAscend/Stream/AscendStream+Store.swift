// Stores keys and values: copies the batch's own rows of one layer to pages for later batches.

package import Compute

extension AscendStream {
    package func store(_ operation: StoreOperation) throws(ComputeError) {
        let layout = operation.layout
        let pages = try device.own(operation.prefix.cached.pages, as: AscendKeyValuePages.self, in: "store")
        let prefix = try operation.checkedPrefix(pages)
        let moves = try StoredRows(prefix, layout)
        guard !moves.sources.isEmpty else { return }
        let parts = [
            (View(operation.key), prefix.pages.keys(layer: prefix.layer)),
            (View(operation.value), prefix.pages.values(layer: prefix.layer)),
        ]
        guard device.support.has(.indexCopy, .gather) else {
            // Rows that are consecutive in source and target take one copy, which also rounds.
            for (source, pool) in parts {
                for run in moves.runs {
                    note { (calls) throws(ComputeError) in
                        try calls.copy(
                            source.rows(run.source),
                            to: pool.rows(run.target..<run.target + run.source.count)
                        )
                    }
                }
            }
            return
        }
        let isEveryRow = moves.sources.count == layout.rows
        let sources = isEveryRow ? nil : try input(moves.sources, .int32, [moves.sources.count])
        let targets = try input(moves.targets, .int32, [moves.targets.count])
        for (source, pool) in parts {
            try withTemporaries { () throws(ComputeError) in
                let rounded = try temporary(half, source.dims)
                let taken = isEveryRow ? rounded : try temporary(half, [moves.sources.count, source.dims[1]])
                note { (calls) throws(ComputeError) in
                    try calls.cast(source, rounded)
                    if let sources { try calls.gather(rounded, sources, taken) }
                    try calls.indexCopy(pool, targets, taken)
                }
            }
        }
    }
}

/// The mapping of a batch's rows to rows of a pool.
struct StoredRows {
    private(set) var sources: [Int32] = []
    private(set) var targets: [Int32] = []
    /// The same mapping as runs of rows that are consecutive in both.
    private(set) var runs: [(source: Range<Int>, target: Int)] = []

    /// - Throws: `ComputeError.invalidArgument` if a page would be written twice, by one sequence or by two.
    init(_ prefix: CheckedPrefix<AscendKeyValuePages>, _ layout: Jagged) throws(ComputeError) {
        var written: Set<Int32> = []
        let pageRows = prefix.pages.pageRows
        for (number, sequence) in prefix.sequences.enumerated() where sequence.storesRows {
            let end = sequence.rows + layout.length(of: number)
            guard end > sequence.rows else { continue }
            for page in sequence.pages[sequence.rows / pageRows...(end - 1) / pageRows]
            where !written.insert(page).inserted {
                throw ComputeError(.invalidArgument, "store: page \(page) is to be written twice")
            }
            for slot in sequence.rows..<end {
                sources.append(layout.offsets[number] + Int32(slot - sequence.rows))
                targets.append(prefix.poolRow(slot, of: number))
            }
        }
        for (source, target) in zip(sources.map(Int.init), targets.map(Int.init)) {
            if let last = runs.last, last.source.upperBound == source, last.target + last.source.count == target {
                runs[runs.count - 1].source = last.source.lowerBound..<source + 1
            } else {
                runs.append((source..<source + 1, target))
            }
        }
    }
}
