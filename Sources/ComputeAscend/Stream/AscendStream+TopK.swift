// Selection: one product scores the whole catalogue, the device masks and selects, and only the best rows are copied
// back. The host orders ties, including those at the end of the copied rows.

package import Compute

/// A selection of a batch.
struct Selection {
    /// V, including added rows that may be selected.
    let rows: Int
    let counts: [Int]
    /// The allowed rows of each query, one bit per row.
    let allowed: [[UInt64]]
    /// (B, V) float32; −∞ where masked or NaN.
    let scores: View
    /// (B, V) bool, true where the score was NaN.
    let invalid: View
    /// The number of rows copied back per query.
    let fetched: Int
    /// The copied results: (B, fetched) float32, and int64 from `indicesOffset` on.
    let result: View
    let indicesOffset: Int
    /// The offset of the host copy, in bytes from the start of the batch's results.
    let offset: Int
    var selected: [[ScoredRow]] = []
}

extension AscendStream {
    package func selectTopK(_ operation: TopKOperation) throws(ComputeError) -> TopKTicket {
        let catalogue = try device.own(operation.catalogue, as: AscendCatalogue.self, in: "select top k")
        let queries = operation.queries.rows
        try operation.queries.require(
            .float32,
            rows: queries,
            columns: catalogue.columns,
            in: "select top k",
            as: "query tensor"
        )
        guard operation.masks.count == queries, operation.counts.count == queries else {
            throw ComputeError(
                .invalidArgument,
                "select top k: \(operation.masks.count) masks and \(operation.counts.count) counts for \(queries) queries"
            )
        }
        for count in operation.counts where count < 1 {
            throw ComputeError(.invalidArgument, "select top k: \(count) rows are requested")
        }
        var allowed: [[UInt64]] = []
        // Added rows are read if a mask allows them.
        let words = operation.masks.reduce(0) { max($0, $1.allowed?.count ?? 0) }
        let rows = words > catalogue.eligible.count ? min(64 * words, catalogue.rows) : catalogue.ownRows
        for mask in operation.masks { allowed.append(try bits(of: mask, catalogue, rows: rows)) }
        let ticket = TopKTicket(id: selections.count)
        // A few rows more than requested, so that ties rarely extend beyond the copied rows, and in few distinct
        // counts.
        let most = min(operation.counts.max() ?? 1, rows)
        let fetched = min(rows, (most + 8 + 31) / 32 * 32)
        let count = queries * fetched
        guard let indicesOffset = Alignment.reserved(count * MemoryLayout<Float>.stride) else {
            throw ComputeError(.outOfMemory, "select top k: there is not enough memory for \(count) results")
        }
        let result = try temporary(.uint8, [indicesOffset + count * MemoryLayout<Int64>.stride])
        let values = View(result.address, .float32, [queries, fetched])
        let indices = View(result.address.advanced(byBytes: indicesOffset), .int64, [queries, fetched])
        let scores = try temporary(.float32, [queries, rows])
        let invalid = try temporary(.bool, [queries, rows])
        selections.append(
            Selection(
                rows: rows,
                counts: operation.counts,
                allowed: allowed,
                scores: scores,
                invalid: invalid,
                fetched: fetched,
                result: result,
                indicesOffset: indicesOffset,
                offset: reserveResult(byteCount: result.byteCount)
            )
        )
        guard queries > 0 else { return ticket }
        try withTemporaries { () throws(ComputeError) in
            let rounded = try temporary(half, [queries, catalogue.columns])
            let (masked, prepare) = try mask(allowed, rows: rows)
            let blocked = try temporary(.bool, [queries, rows])
            let source = View(operation.queries)
            note { (calls) throws(ComputeError) in try calls.cast(source, rounded) }
            try score(rounded, catalogue, scores)
            note { (calls) throws(ComputeError) in
                // Only NaN differs from itself.
                try calls.notEqual(scores, scores, invalid)
                try prepare(calls)
                try calls.logicalOr(masked, invalid, blocked)
                try calls.fill(scores, where: blocked, -.infinity)
                try calls.topk(scores, count: fetched, values: values, indices: indices)
            }
        }
        return ticket
    }

    /// Records the scores of all rows, (B, V): the bundle's rows and, if V is larger, added rows.
    private func score(_ queries: View, _ catalogue: AscendCatalogue, _ scores: View) throws(ComputeError) {
        let rows = scores.dims[1]
        guard rows > catalogue.ownRows else {
            note { (calls) throws(ComputeError) in try calls.mm(queries, catalogue.items, scores) }
            return
        }
        func part(_ items: View) throws(ComputeError) -> View {
            let part = try temporary(.float32, [queries.dims[0], items.dims[1]])
            note { (calls) throws(ComputeError) in try calls.mm(queries, items, part) }
            return part
        }
        var parts = [try part(catalogue.items)]
        let gap = catalogue.added.first - catalogue.ownRows
        if gap > 0 {
            let zeros = [Float](repeating: 0, count: queries.dims[0] * gap)
            parts.append(try input(zeros, .float32, [queries.dims[0], gap]))
        }
        for page in catalogue.added.views(rows - catalogue.added.first) {
            parts.append(try part(page.permuted([1, 0])))
        }
        let all = parts
        note { (calls) throws(ComputeError) in try calls.concatenate(all, axis: 1, scores) }
    }

    /// One bit per row, set if both the mask and the catalogue allow it.
    private func bits(
        of mask: SelectionMask,
        _ catalogue: AscendCatalogue,
        rows: Int
    ) throws(ComputeError) -> [UInt64] {
        var bits = catalogue.eligible
        // Added rows are available only to masks that name them.
        let added = (rows + 63) / 64 - bits.count
        if added > 0 { bits += [UInt64](repeating: mask.allowed == nil ? 0 : .max, count: added) }
        if rows & 63 != 0, added > 0 { bits[bits.count - 1] &= 1 << UInt64(rows & 63) - 1 }
        if let allowed = mask.allowed {
            guard allowed.count >= catalogue.eligible.count else {
                throw ComputeError(
                    .invalidArgument,
                    "select top k: a mask of \(allowed.count) words for \(catalogue.rows) rows, \(catalogue.eligible.count) are needed"
                )
            }
            for word in bits.indices { bits[word] &= word < allowed.count ? allowed[word] : 0 }
        }
        var last: Int32 = -1
        for row in mask.excluded {
            guard row > last, Int(row) < catalogue.rows else {
                throw ComputeError(
                    .invalidArgument,
                    "select top k: excluded row \(row) after \(last), in a catalogue of \(catalogue.rows) rows"
                )
            }
            if Int(row) >> 6 < bits.count { bits[Int(row) >> 6] &= ~(1 << UInt64(row & 63)) }
            last = row
        }
        return bits
    }

    /// (B, V) bool, true where a row may not be selected, and the step that computes it. Bits are copied to the device
    /// and unpacked there; if the chip has no operator for that, bytes are copied.
    private func mask(_ allowed: [[UInt64]], rows: Int) throws(ComputeError) -> (View, Step) {
        guard device.support.has(.bitwiseAnd, .isZero) else {
            let bytes = allowed.flatMap { words in
                (0..<rows).map { UInt8(truncatingIfNeeded: ~(words[$0 >> 6] >> UInt64($0 & 63)) & 1) }
            }
            return (try input(bytes, .bool, [allowed.count, rows]), { _ in })
        }
        // Little-endian words: bit r of a row of bits is bit r & 7 of its byte r >> 3.
        let byteCount = allowed[0].count * 8
        let packed = try input(allowed.flatMap { $0 }, .uint8, [allowed.count, byteCount, 1])
        let parts = try temporary(.uint8, [allowed.count, byteCount, 8])
        let flags = try temporary(.bool, [allowed.count, byteCount, 8])
        let bitValues = View(device.bitValues.address, .uint8, [1, 1, 8])
        let masked = View(flags.address, .bool, [allowed.count, rows], strides: [byteCount * 8, 1])
        return (
            masked,
            { (calls) throws(ComputeError) in
                try calls.bitwiseAnd(packed, bitValues, parts)
                try calls.isZero(parts, flags)
            }
        )
    }

    /// Orders the results that were copied back.
    func finishSelections() throws(ComputeError) {
        guard !selections.isEmpty else { return }
        let memory = try resultMemory(byteCount: max(resultBytes, 1)).base
        for number in selections.indices {
            let selection = selections[number]
            let values = (memory + selection.offset).assumingMemoryBound(to: Float.self)
            let indices = (memory + selection.offset + selection.indicesOffset).assumingMemoryBound(to: Int64.self)
            for query in selection.counts.indices {
                let start = query * selection.fetched
                let fetched = (start..<start + selection.fetched).map {
                    ScoredRow(row: Int32(truncatingIfNeeded: indices[$0]), score: values[$0])
                }
                if device.ranksExactly, let best = selection.decided(fetched, query: query) {
                    selections[number].selected.append(best)
                } else {
                    selections[number].selected.append(try decideOnHost(selection, query: query))
                }
            }
        }
    }

    /// Sorts all scores of one query on the host, for ties that extend beyond the copied rows.
    private func decideOnHost(_ selection: Selection, query: Int) throws(ComputeError) -> [ScoredRow] {
        let rows = selection.rows
        let scores: [Float] = try readBack(selection.scores.rows(query..<query + 1).address, count: rows)
        let invalid: [UInt8] = try readBack(selection.invalid.rows(query..<query + 1).address, count: rows)
        var all: [ScoredRow] = []
        for row in 0..<rows where invalid[row] == 0 && selection.allows(row, query: query) {
            all.append(ScoredRow(row: Int32(row), score: scores[row]))
        }
        all.sort(by: Selection.isBetter)
        return Array(all.prefix(selection.counts[query]))
    }

    package func selected(_ ticket: TopKTicket, query: Int) -> [ScoredRow] { selections[ticket.id].selected[query] }
}

extension Selection {
    /// Best first; equal scores by row.
    static func isBetter(_ left: ScoredRow, _ right: ScoredRow) -> Bool {
        left.score != right.score ? left.score > right.score : left.row < right.row
    }

    func allows(_ row: Int, query: Int) -> Bool {
        row >= 0 && row < rows && allowed[query][row >> 6] >> UInt64(row & 63) & 1 == 1
    }

    /// The selection of a query from the copied rows; nil if they do not determine it, because rows with the score of
    /// the last one may be missing, or masked rows, which score −∞, cannot be distinguished from others with that
    /// score.
    func decided(_ fetched: [ScoredRow], query: Int) -> [ScoredRow]? {
        let wanted = counts[query]
        let certain = fetched.filter { $0.score > -.infinity && allows(Int($0.row), query: query) }
        let isComplete = fetched.count == rows || fetched.last.map { $0.score == -.infinity } ?? true
        let eligible = allowed[query].reduce(0) { $0 + $1.nonzeroBitCount }
        if certain.count < min(wanted, eligible) { return nil }
        let ordered = Array(certain.sorted(by: Self.isBetter).prefix(wanted))
        if isComplete { return ordered }
        guard let worst = ordered.last, let edge = fetched.last, ordered.count == wanted else { return nil }
        return worst.score > edge.score ? ordered : nil
    }
}
