// Scores of catalogue rows that the caller names.

internal import CKernels
package import Compute

/// The scores of one operation, in the stream's memory.
struct Scoring {
    let scores: UnsafePointer<Float>
    /// The start of each query's scores, and the end of the last.
    let offsets: [Int]
}

extension CPUStream {
    package func scoreRows(_ operation: ScoreOperation) throws(ComputeError) -> ScoreTicket {
        let catalogue = try own(operation.catalogue, as: CPUCatalogue.self, in: "score rows")
        try operation.check(columns: catalogue.columns, ownRows: catalogue.ownRows, rows: catalogue.rows)
        var offsets = [0]
        var rows: [Int32] = []
        var tasks: [gk_scores_task] = []
        for (query, list) in operation.rows.enumerated() {
            for first in stride(from: 0, to: list.count, by: gk_scored_rows) {
                let count = min(gk_scored_rows, list.count - first)
                tasks.append(gk_scores_task(query: query, first: rows.count + first, count: count))
            }
            rows += list
            offsets.append(rows.count)
        }
        let ticket = ScoreTicket(id: scorings.count)
        let scores = try allocate(byteCount: max(rows.count, 1) * MemoryLayout<Float>.stride)
            .assumingMemoryBound(to: Float.self)
        scorings.append(Scoring(scores: UnsafePointer(scores), offsets: offsets))
        guard !rows.isEmpty else { return ticket }
        let mark = arena.mark
        defer { arena.release(to: mark) }
        var job = gk_scores()
        job.kernels = device.kernels
        job.depth = catalogue.columns
        job.dtype = catalogue.dtype
        (job.query, job.query_stride) = try operand(operation.queries, of: catalogue)
        job.scores = scores
        let panelWords = gk_packed_depth(catalogue.dtype, catalogue.columns) * gk_scored_rows
        job.scratch = try allocate(byteCount: pool.threads * panelWords * MemoryLayout<UInt32>.stride)
            .assumingMemoryBound(to: UInt32.self)
        rows.withUnsafeBufferPointer { rows in
            tasks.withUnsafeBufferPointer { tasks in
                job.rows = rows.baseAddress
                job.tasks = tasks.baseAddress
                catalogue.withItems { items in
                    job.items = items
                    pool.run(gk_scores_run, job: &job, count: tasks.count)
                }
            }
        }
        withExtendedLifetime(catalogue) {}
        return ticket
    }

    package func scores(_ ticket: ScoreTicket, query: Int) -> [Float] {
        precondition(scorings.indices.contains(ticket.id), "the ticket is of another batch")
        let scoring = scorings[ticket.id]
        precondition(scoring.offsets.indices.dropLast().contains(query), "the operation has no such query")
        let range = scoring.offsets[query]..<scoring.offsets[query + 1]
        return Array(UnsafeBufferPointer(start: scoring.scores + range.lowerBound, count: range.count))
    }
}
