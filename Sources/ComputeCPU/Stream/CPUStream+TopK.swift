// Selects the best catalogue rows: all threads scan, then their results are merged.

internal import CKernels
package import Compute
internal import Glibc

/// The selection of one top-k operation, in the stream's memory.
struct Selection {
    let found: UnsafePointer<gk_scored>
    let counts: UnsafePointer<UInt32>
    /// The start of each query's rows.
    let first: [Int]
}

extension CPUStream {
    package func selectTopK(_ operation: TopKOperation) throws(ComputeError) -> TopKTicket {
        let catalogue = try own(operation.catalogue, as: CPUCatalogue.self, in: "select top k")
        let queries = operation.queries
        try queries.require(.float32, rows: queries.rows, columns: catalogue.columns, in: "select top k", as: "queries")
        guard operation.masks.count == queries.rows, operation.counts.count == queries.rows else {
            throw ComputeError(
                .invalidArgument,
                """
                select top k: \(operation.masks.count) masks and \(operation.counts.count) counts for \
                \(queries.rows) queries
                """
            )
        }
        let ticket = TopKTicket(id: selections.count)
        let workers = pool.threads
        var first: [Int] = []
        var total = 0
        var largest = 0
        for (query, count) in operation.counts.enumerated() {
            try check(operation.masks[query], count: count, query: query, catalogue: catalogue)
            first.append(total)
            // A query cannot get more rows than the catalogue has.
            total += min(count, catalogue.rows)
            largest = max(largest, min(count, catalogue.rows))
        }

        let found = try allocate(byteCount: workers * max(total, 1) * MemoryLayout<gk_scored>.stride)
            .assumingMemoryBound(to: gk_scored.self)
        let countBytes = workers * max(queries.rows, 1) * MemoryLayout<UInt32>.stride
        let counts = try allocate(byteCount: countBytes).assumingMemoryBound(to: UInt32.self)
        memset(counts, 0, countBytes)
        selections.append(Selection(found: UnsafePointer(found), counts: UnsafePointer(counts), first: first))
        guard queries.rows > 0 else { return ticket }

        let mark = arena.mark
        defer { arena.release(to: mark) }
        let wants = try copyWants(operation, first: first, catalogue: catalogue)
        let merged = try allocate(byteCount: queries.rows * workers * largest * MemoryLayout<gk_scored>.stride)
        var scan = gk_scan()
        scan.kernels = device.kernels
        scan.queries = queries.rows
        scan.depth = catalogue.columns
        scan.dtype = catalogue.dtype
        (scan.query, scan.query_stride) = try operand(queries, of: catalogue)
        scan.wants = UnsafePointer(wants)
        scan.found = found
        scan.found_stride = total
        scan.found_counts = counts
        scan.workers = workers
        // Added rows are read if a mask allows them.
        let added = (catalogue.added.count + gk_block_rows - 1) / gk_block_rows
        let words = operation.masks.reduce(0) { max($0, $1.allowed?.count ?? 0) }
        scan.blocks = max(catalogue.eligible.count, min(words, catalogue.eligible.count + added))
        // About eight tasks per thread, but each at least a few microseconds of work.
        scan.task_blocks = workers == 1 ? scan.blocks : max(16, scan.blocks / (workers * 8))
        if let copy = catalogue.copy, let bounds = try bounds(of: queries, in: copy) {
            scan.bounds = UnsafePointer(bounds.bounds)
            scan.integers = UnsafePointer(bounds.integers)
            scan.integer_stride = bounds.stride
            let words = pool.threads * gk_scan_scratch(&scan)
            scan.scratch = try allocate(byteCount: words * MemoryLayout<UInt32>.stride)
                .assumingMemoryBound(to: UInt32.self)
        }
        catalogue.eligible.withUnsafeBufferPointer { eligible in
            catalogue.withItems { items in
                scan.items = items
                scan.eligible = eligible.baseAddress
                pool.run(gk_scan_run, job: &scan, count: gk_scan_tasks(&scan))
            }
            withUnsafePointer(to: &scan) { scan in
                var merge = gk_merge(
                    scan: scan,
                    merged: merged.assumingMemoryBound(to: gk_scored.self),
                    merged_stride: workers * largest
                )
                pool.run(gk_merge_run, job: &merge, count: queries.rows)
            }
        }
        withExtendedLifetime(catalogue) {}
        return ticket
    }

    /// The queries in the form that the scan multiplies, and the stride between them in words.
    func operand(
        _ queries: Tensor,
        of catalogue: CPUCatalogue
    ) throws(ComputeError) -> (UnsafeRawPointer, Int) {
        guard catalogue.dtype == .bfloat16 else { return (UnsafeRawPointer(queries.floats), queries.rowStride) }
        // Rows are padded to whole vectors of 16 columns.
        let stride = (queries.columns + 15) / 16 * 8 * device.kernels.pointee.bf16_words
        let (words, overflow) = queries.rows.multipliedReportingOverflow(by: stride)
        guard !overflow, words < Int.max / 4 else {
            throw ComputeError(.outOfMemory, "there is not enough memory for \(queries.rows) queries")
        }
        let memory = try allocate(byteCount: words * MemoryLayout<UInt32>.stride)
        device.kernels.pointee.bf16_round(
            queries.rows,
            queries.columns,
            queries.floats,
            queries.rowStride,
            memory,
            stride
        )
        return (UnsafeRawPointer(memory), stride)
    }

    /// The integers and bounds of a batch of queries.
    private struct Bounds {
        let bounds: UnsafeMutablePointer<gk_bound>
        let integers: UnsafeMutablePointer<UInt32>
        let stride: Int
    }

    /// Bounds for the scores of the queries; nil if a query has none, so that every row is scored in full.
    private func bounds(of queries: Tensor, in copy: CatalogueCopy) throws(ComputeError) -> Bounds? {
        let (kernels, depth) = (device.kernels, queries.columns)
        let stride = CatalogueCopy.integerStride(columns: depth, kernels)
        let numbers = try allocate(byteCount: 2 * depth * MemoryLayout<Double>.stride)
        let made = Bounds(
            bounds: try allocate(byteCount: queries.rows * MemoryLayout<gk_bound>.stride)
                .assumingMemoryBound(to: gk_bound.self),
            integers: try allocate(byteCount: queries.rows * 2 * stride * MemoryLayout<UInt32>.stride)
                .assumingMemoryBound(to: UInt32.self),
            stride: stride
        )
        for query in 0..<queries.rows {
            let hasBound = gk_bound_query(
                kernels,
                depth,
                queries.floats + query * queries.rowStride,
                copy.largest,
                numbers.assumingMemoryBound(to: Double.self),
                (numbers + depth * MemoryLayout<Double>.stride).assumingMemoryBound(to: Float.self),
                made.integers + 2 * query * stride,
                stride,
                made.bounds + query
            )
            guard hasBound != 0 else { return nil }
        }
        return made
    }

    package func selected(_ ticket: TopKTicket, query: Int) -> [ScoredRow] {
        precondition(selections.indices.contains(ticket.id), "the ticket is of another batch")
        let selection = selections[ticket.id]
        precondition(selection.first.indices.contains(query), "the operation has no such query")
        let rows = selection.found + selection.first[query]
        let count = Int(selection.counts[query])
        return [ScoredRow](unsafeUninitializedCapacity: count) { buffer, initialized in
            for index in 0..<count {
                buffer.initializeElement(at: index, to: ScoredRow(row: rows[index].row, score: rows[index].score))
            }
            initialized = count
        }
    }

    private func check(
        _ mask: SelectionMask,
        count: Int,
        query: Int,
        catalogue: CPUCatalogue
    ) throws(ComputeError) {
        guard count >= 1 else {
            throw ComputeError(.invalidArgument, "select top k: query \(query) asks for \(count) rows")
        }
        if let allowed = mask.allowed, allowed.count < catalogue.eligible.count {
            throw ComputeError(
                .invalidArgument,
                """
                select top k: query \(query) allows rows by \(allowed.count) words, the catalogue's \
                \(catalogue.rows) rows need \(catalogue.eligible.count)
                """
            )
        }
        var previous: Int32 = -1
        for row in mask.excluded {
            guard row > previous, Int(row) < catalogue.rows else {
                throw ComputeError(
                    .invalidArgument,
                    """
                    select top k: query \(query) excludes row \(row) after \(previous); rows ascend and lie below \
                    \(catalogue.rows)
                    """
                )
            }
            previous = row
        }
    }

    /// The queries, with their masks copied into the stream's memory, where threads can read them.
    private func copyWants(
        _ operation: TopKOperation,
        first: [Int],
        catalogue: CPUCatalogue
    ) throws(ComputeError) -> UnsafeMutablePointer<gk_scan_query> {
        let wants = try allocate(byteCount: operation.masks.count * MemoryLayout<gk_scan_query>.stride)
            .assumingMemoryBound(to: gk_scan_query.self)
        for (query, mask) in operation.masks.enumerated() {
            var want = gk_scan_query()
            want.count = min(operation.counts[query], catalogue.rows)
            want.first = first[query]
            if let allowed = mask.allowed {
                let words = try allocate(byteCount: allowed.count * MemoryLayout<UInt64>.stride)
                allowed.withUnsafeBytes {
                    words.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(words), byteCount: $0.count)
                }
                want.allowed = UnsafePointer(words.assumingMemoryBound(to: UInt64.self))
                want.words = allowed.count
            }
            if !mask.excluded.isEmpty {
                let rows = try allocate(byteCount: mask.excluded.count * MemoryLayout<Int32>.stride)
                mask.excluded.withUnsafeBytes {
                    rows.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(rows), byteCount: $0.count)
                }
                want.excluded = UnsafePointer(rows.assumingMemoryBound(to: Int32.self))
                want.excluded_count = mask.excluded.count
            }
            wants[query] = want
        }
        return wants
    }
}
