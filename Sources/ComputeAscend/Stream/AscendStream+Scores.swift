// Scores of catalogue rows that the caller names. Their columns of the catalogue are gathered and multiplied as a
// selection multiplies all columns.

package import Compute

/// The scores of a batch's candidates.
struct Scoring {
    /// The number of rows that each query names.
    let counts: [Int]
    /// The scores of all queries, in order; float32.
    let result: View
    /// The offset of the scores' host copy, in bytes from the start of the batch's results.
    let offset: Int
    /// The indices of each query's scores among those copied back.
    let places: [[Int32]]
    var scores: [[Float]] = []
}

extension AscendStream {
    package func scoreRows(_ operation: ScoreOperation) throws(ComputeError) -> ScoreTicket {
        let catalogue = try device.own(operation.catalogue, as: AscendCatalogue.self, in: "score rows")
        try operation.check(columns: catalogue.columns, ownRows: catalogue.ownRows, rows: catalogue.rows)
        let counts = operation.rows.map(\.count)
        let total = counts.reduce(0, +)
        let result = try temporary(.float32, [1, total])
        let ticket = ScoreTicket(id: scorings.count)
        let offset = reserveResult(byteCount: result.byteCount)
        // Added rows come from their pages.
        let pages = catalogue.added.views(catalogue.added.count)
        let sorted = operation.rows.map { BySource($0, catalogue.added, sources: pages.count + 1) }
        scorings.append(Scoring(counts: counts, result: result, offset: offset, places: sorted.map(\.places)))
        guard total > 0 else { return ticket }
        let index = try input(sorted.flatMap { $0.rows.flatMap { $0 } }, .int32, [total])
        try withTemporaries { () throws(ComputeError) in
            let rounded = try temporary(half, [counts.count, catalogue.columns])
            let source = View(operation.queries)
            note { (calls) throws(ComputeError) in try calls.cast(source, rounded) }
            var first = 0
            for query in counts.indices {
                for (source, rows) in sorted[query].rows.enumerated() where !rows.isEmpty {
                    let count = rows.count
                    let start = index.address.advanced(byBytes: first * MemoryLayout<Int32>.stride)
                    let named = View(start, .int32, [count])
                    let scores = result.columns(first..<first + count)
                    let own = rounded.rows(query..<query + 1)
                    let isAdded = source > 0
                    let shape = isAdded ? [count, catalogue.columns] : [catalogue.columns, count]
                    let gathered = try temporary(half, shape)
                    note { (calls) throws(ComputeError) in
                        if isAdded {
                            try calls.gather(pages[source - 1], named, gathered)
                            try calls.mm(own, gathered.permuted([1, 0]), scores)
                        } else {
                            try calls.gather(catalogue.items, named, gathered, axis: 1)
                            try calls.mm(own, gathered, scores)
                        }
                    }
                    first += count
                }
            }
        }
        return ticket
    }

    /// Reads the results that were copied back.
    func finishScorings() throws(ComputeError) {
        guard !scorings.isEmpty else { return }
        let memory = try resultMemory(byteCount: max(resultBytes, 1)).base
        for number in scorings.indices {
            var next = (memory + scorings[number].offset).assumingMemoryBound(to: Float.self)
            for (count, places) in zip(scorings[number].counts, scorings[number].places) {
                let scores = UnsafeBufferPointer(start: next, count: count)
                scorings[number].scores.append(places.map { scores[Int($0)] })
                next += count
            }
        }
    }

    package func scores(_ ticket: ScoreTicket, query: Int) -> [Float] { scorings[ticket.id].scores[query] }
}
