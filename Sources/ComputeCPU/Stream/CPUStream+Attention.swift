// HSTU and softmax attention: plans a jagged batch and divides its work among the threads.

internal import CKernels
package import Compute

extension CPUStream {
    package func attention(_ attention: AttentionOperation) throws(ComputeError) {
        let shape = try attention.checkedShape { (pages) throws(ComputeError) in
            try own(pages, as: CPUKeyValuePages.self, in: attention.name)
        }
        let layout = attention.layout
        guard layout.count > 0 else { return }

        var positionBias: CPUVector?
        var timeBias: CPUVector?
        if let bias = attention.bias, bias.applies.contains(true) {
            positionBias = try own(bias.position, as: CPUVector.self, in: attention.name)
            if let time = bias.time { timeBias = try own(time, as: CPUVector.self, in: attention.name) }
        }

        // If every sequence has one row, its last row is its only one, so the buckets are shared with the other layers.
        let lastOnly = attention.queryRows == .last && layout.rows > layout.count
        // The buckets outlive the operation; everything after the mark does not.
        var cache: BucketCache?
        var isReady = false
        if let bias = attention.bias, timeBias != nil, !lastOnly {
            (cache, isReady) = try bucketCache(for: layout, shape.whole, bias)
        }
        let mark = arena.mark
        defer { arena.release(to: mark) }

        let sequences = try self.sequences(of: attention, shape, isBiased: positionBias != nil, cache)
        var job = gk_attention()
        job.kernels = device.kernels
        job.weights = attention.weights == .silu ? .hstu : .softmax
        job.sequences = UnsafePointer(sequences)
        job.count = layout.count
        job.last_only = lastOnly ? 1 : 0
        job.query = UnsafePointer(attention.query.floats)
        job.query_stride = attention.query.rowStride
        job.key = UnsafePointer(attention.key.floats)
        job.key_stride = attention.key.rowStride
        job.value = UnsafePointer(attention.value.floats)
        job.value_stride = attention.value.rowStride
        job.output = attention.output.floats
        job.output_stride = attention.output.rowStride
        if let prefix = shape.prefix {
            job.pool = UnsafePointer(prefix.pages.floats(layer: prefix.layer))
            job.page_floats = prefix.pages.pageFloats
            job.head_floats = prefix.pages.headFloats
        }
        job.heads = attention.heads
        job.sharing = attention.heads / attention.keyHeads
        job.query_columns = shape.queryColumns
        job.value_columns = shape.valueColumns
        job.scale = attention.scale
        if let positionBias {
            job.position = positionBias.byDistance
            job.relative = positionBias.byPlace
            job.time = timeBias?.byBucket
        }

        let tiles = gk_attention_plan(sequences, layout.count, job.last_only)
        job.task_heads = headsOfTask(attention, shape, tiles: tiles, lastOnly: lastOnly)
        let longest = (0..<layout.count).reduce(0) { max($0, shape.whole.length(of: $1)) }
        let scratch = try allocateScratch(floats: gk_attention_scratch(&job, longest))
        job.scratch = scratch.base
        job.scratch_stride = scratch.stride
        try packOwnRows(of: &job, sequences)
        device.timeCells.withUnsafeBufferPointer { cells in
            job.cells = cells.baseAddress
            // Separate tasks, because several attention tasks may read the buckets of one tile.
            if cache != nil, !isReady { pool.run(gk_buckets_run, job: &job, count: tiles) }
            pool.run(gk_attention_run, job: &job, count: gk_attention_tasks(&job, tiles))
        }
        withExtendedLifetime((positionBias, timeBias, shape.prefix?.pages)) {}
        if let cache { buckets = cache }
    }

    /// Packs the batch's own keys and values as pages if attention is in bfloat16.
    private func packOwnRows(
        of job: inout gk_attention,
        _ sequences: UnsafeMutablePointer<gk_attention_sequence>
    ) throws(ComputeError) {
        guard device.attentionDtype == .bfloat16 else { return }
        job.own_pages = gk_own_pages_plan(sequences, job.count)
        let keyHeads = job.heads / job.sharing
        let words = gk_page_words(job.query_columns, job.value_columns)
        // The rows already exist as float32, so half as many bytes cannot overflow. Padded pages could.
        let (pages, tooMany) = job.own_pages.multipliedReportingOverflow(by: keyHeads)
        let (count, tooLarge) = pages.multipliedReportingOverflow(by: words)
        guard !tooMany, !tooLarge, count < Int.max / 4 else {
            throw ComputeError(.outOfMemory, "there is not enough memory for \(job.own_pages) pages of keys and values")
        }
        job.own = try allocate(byteCount: count * MemoryLayout<UInt32>.stride).assumingMemoryBound(to: UInt32.self)
        pool.run(gk_own_pages_run, job: &job, count: job.own_pages)
    }

    /// The batch's sequences in the kernels' form, in the stream's memory.
    private func sequences(
        of attention: AttentionOperation,
        _ shape: AttentionShape<CPUKeyValuePages>,
        isBiased: Bool,
        _ cache: BucketCache?
    ) throws(ComputeError) -> UnsafeMutablePointer<gk_attention_sequence> {
        let layout = attention.layout
        let sequences = try allocate(byteCount: layout.count * MemoryLayout<gk_attention_sequence>.stride)
            .assumingMemoryBound(to: gk_attention_sequence.self)
        var bucketOffset = 0
        for number in 0..<layout.count {
            var sequence = gk_attention_sequence()
            sequence.begin = Int(layout.offsets[number])
            sequence.rows = layout.length(of: number)
            if let prefix = shape.prefix, prefix.sequences[number].rows > 0 {
                sequence.cached = prefix.sequences[number].rows
                sequence.pages = try copyPages(prefix.sequences[number], pageRows: prefix.pages.pageRows)
            }
            sequence.first_weight = attention.firstRowWeights?[number] ?? 0
            if isBiased, let bias = attention.bias, bias.applies[number] {
                sequence.biased = 1
                if bias.time != nil {
                    sequence.times = bias.timestamps.int64s + Int(shape.whole.offsets[number]) + number
                }
            }
            if let cache {
                sequence.buckets = cache.bytes + bucketOffset
                bucketOffset += gk_attention_bucket_bytes(sequence.cached, sequence.rows)
            }
            sequences[number] = sequence
        }
        return sequences
    }

    /// The numbers of the pages of a sequence's cached rows, in the stream's memory.
    private func copyPages(
        _ sequence: PagedSequence,
        pageRows: Int
    ) throws(ComputeError) -> UnsafePointer<Int32> {
        let count = (sequence.rows + pageRows - 1) / pageRows
        let pages = try allocate(byteCount: count * MemoryLayout<Int32>.stride).assumingMemoryBound(to: Int32.self)
        for index in 0..<count { pages[index] = sequence.pages[index] }
        return UnsafePointer(pages)
    }

    /// The number of a tile's heads per task. Fewer than all only if there are not enough tiles for the threads,
    /// because each task recomputes the tile's bias.
    private func headsOfTask(
        _ attention: AttentionOperation,
        _ shape: AttentionShape<CPUKeyValuePages>,
        tiles: Int,
        lastOnly: Bool
    ) -> Int {
        // About four tasks per thread, so that a delayed thread leaves its share to the others.
        let wantedTasks = pool.threads * 4
        guard pool.threads > 1, tiles < wantedTasks else { return attention.heads }
        let pairs = (0..<attention.layout.count).reduce(0.0) { sum, number in
            sum + Double(lastOnly ? 1 : attention.layout.length(of: number)) * Double(shape.whole.length(of: number))
        }
        // Less work than this is done before a worker has woken.
        guard pairs * Double(attention.query.columns + attention.output.columns) > 200_000 else {
            return attention.heads
        }
        let shares = min(attention.heads, (wantedTasks + tiles - 1) / tiles)
        return (attention.heads + shares - 1) / shares
    }
}
