// Attention, HSTU's and softmax: the plan of a jagged batch, and the time buckets that layers share.

internal import CKernels
package import Compute
internal import Glibc

/// The time buckets of all pairs of a batch, one byte each: they depend on timestamps alone, so one layer computes them
/// for all. Tiles are written by whichever thread computes them first.
struct BucketCache {
    let timestamps: DeviceAddress
    let offsets: [Int32]
    let applies: [Bool]
    let bytes: UnsafeMutablePointer<UInt8>
    /// B + 1.
    let sequenceOffsets: UnsafeMutablePointer<Int>

    /// The most that is kept; longer batches compute their buckets in every layer.
    static let mostBytes = 32 << 20

    func holds(_ layout: Jagged, _ bias: RelativeBias) -> Bool {
        timestamps == bias.timestamps.address && offsets == layout.offsets && applies == bias.applies
    }
}

extension CPUStream {
    package func hstuAttention(_ operation: HSTUAttentionOperation) throws(ComputeError) {
        try run(Attention(operation))
    }

    package func softmaxAttention(_ operation: SoftmaxAttentionOperation) throws(ComputeError) {
        try run(Attention(operation))
    }

    private func run(_ attention: Attention) throws(ComputeError) {
        let shape = try attention.checkedShape(on: device)
        let layout = attention.layout
        guard layout.count > 0 else { return }
        if let prefix = shape.prefix {
            let mark = arena.mark
            defer { arena.release(to: mark) }
            try runWhole(attention, prefix)
            return
        }

        var positionBias: CPUVector?
        var timeBias: CPUVector?
        var applies: [UInt8] = []
        if let bias = attention.bias, bias.applies.contains(true) {
            positionBias = try own(bias.position, as: CPUVector.self, in: attention.name)
            if let time = bias.time { timeBias = try own(time, as: CPUVector.self, in: attention.name) }
            applies = bias.applies.map { $0 ? 1 : 0 }
        }

        // The buckets outlive the operation; what comes after the mark does not.
        let lastOnly = attention.queryRows == .last
        var cache: BucketCache?
        var isReady = false
        if let bias = attention.bias, timeBias != nil, !lastOnly {
            (cache, isReady) = try bucketCache(for: layout, bias)
        }
        let mark = arena.mark
        defer { arena.release(to: mark) }

        var job = gk_attention()
        job.kernels = device.kernels
        job.weights = attention.weights
        job.sequences = layout.count
        job.last_only = lastOnly ? 1 : 0
        job.query = UnsafePointer(attention.query.floats)
        job.query_stride = attention.query.rowStride
        job.key = UnsafePointer(attention.key.floats)
        job.key_stride = attention.key.rowStride
        job.value = UnsafePointer(attention.value.floats)
        job.value_stride = attention.value.rowStride
        job.output = attention.output.floats
        job.output_stride = attention.output.rowStride
        job.heads = attention.heads
        job.sharing = attention.heads / attention.keyHeads
        job.query_columns = shape.queryColumns
        job.value_columns = shape.valueColumns
        job.scale = attention.scale
        if let bias = attention.bias, let positionBias {
            job.position = positionBias.byDistance
            if let timeBias {
                job.times = bias.timestamps.int64s
                job.time = timeBias.byBucket
                job.buckets = cache?.bytes
                job.bucket_offsets = cache.map { UnsafePointer($0.sequenceOffsets) }
                job.buckets_ready = isReady ? 1 : 0
            }
        }
        let tiles = try allocate(byteCount: (layout.count + 1) * MemoryLayout<UInt32>.stride)
            .assumingMemoryBound(to: UInt32.self)
        job.tiles = UnsafePointer(tiles)
        if let weights = attention.firstRowWeights {
            let copy = try allocate(byteCount: weights.count * MemoryLayout<Float>.stride)
                .assumingMemoryBound(to: Float.self)
            for (sequence, weight) in weights.enumerated() { copy[sequence] = weight }
            job.first_weights = UnsafePointer(copy)
        }

        try layout.offsets.withUnsafeBufferPointer { (offsets) throws(ComputeError) in
            try applies.withUnsafeBufferPointer { (applies) throws(ComputeError) in
                try device.timeCells.withUnsafeBufferPointer { (cells) throws(ComputeError) in
                    job.offsets = offsets.baseAddress
                    job.cells = cells.baseAddress
                    job.biased = applies.isEmpty ? nil : applies.baseAddress
                    gk_attention_plan(layout.count, offsets.baseAddress, job.last_only, tiles, nil)
                    let scratch = try allocateScratch(floats: gk_attention_scratch(&job, shape.longest))
                    job.scratch = scratch.base
                    job.scratch_stride = scratch.stride
                    device.pool.run(gk_attention_run, job: &job, count: Int(tiles[layout.count]))
                }
            }
        }
        withExtendedLifetime((positionBias, timeBias)) {}
        if let cache, !isReady { buckets = cache }
    }

    /// Computes the cached rows' sequences whole.
    private func runWhole(_ attention: Attention, _ prefix: CheckedPrefix) throws(ComputeError) {
        let own = attention.layout
        var whole = attention
        whole.prefix = nil
        whole.layout = own.extended(by: attention.prefix?.cached)
        whole.key = try makeTensor(rows: whole.layout.rows, columns: attention.key.columns, dtype: .float32)
        whole.value = try makeTensor(rows: whole.layout.rows, columns: attention.value.columns, dtype: .float32)
        let isAll = attention.queryRows == .all
        if isAll {
            whole.query = try makeTensor(rows: whole.layout.rows, columns: attention.query.columns, dtype: .float32)
            whole.output = try makeTensor(rows: whole.layout.rows, columns: attention.output.columns, dtype: .float32)
        }
        func copy(_ from: Tensor, _ row: Int, to: Tensor, _ place: Int) {
            memcpy(to.floats + place * to.rowStride, from.floats + row * from.rowStride, from.columns * 4)
        }
        let shape = prefix.pages.shape
        for (b, sequence) in prefix.sequences.enumerated() {
            let start = Int(whole.layout.offsets[b])
            for row in 0..<sequence.rows {
                let page = Int(sequence.pages[row / gk_page_rows])
                let slot = row % gk_page_rows
                let base = prefix.pages.floats(layer: prefix.layer) + page * prefix.pages.pageFloats
                let key = whole.key.floats + (start + row) * whole.key.rowStride
                let value = whole.value.floats + (start + row) * whole.value.rowStride
                for head in 0..<shape.heads {
                    let keys = base + head * prefix.pages.headFloats
                    let values = keys + gk_page_rows * shape.keyColumns
                    for c in 0..<shape.keyColumns { key[head * shape.keyColumns + c] = keys[gk_page_rows * c + slot] }
                    for c in 0..<shape.valueColumns {
                        value[head * shape.valueColumns + c] = values[slot * shape.valueColumns + c]
                    }
                }
                if isAll {
                    memset(whole.query.floats + (start + row) * whole.query.rowStride, 0, whole.query.columns * 4)
                }
            }
            for row in 0..<own.length(of: b) {
                let from = Int(own.offsets[b]) + row
                copy(attention.key, from, to: whole.key, start + sequence.rows + row)
                copy(attention.value, from, to: whole.value, start + sequence.rows + row)
                if isAll { copy(attention.query, from, to: whole.query, start + sequence.rows + row) }
            }
        }
        // Buckets are of another layout, and in memory that is taken back.
        let kept = buckets
        buckets = nil
        defer { buckets = kept }
        try run(whole)
        guard isAll else { return }
        for (b, sequence) in prefix.sequences.enumerated() {
            for row in 0..<own.length(of: b) {
                let from = Int(whole.layout.offsets[b]) + sequence.rows + row
                copy(whole.output, from, to: attention.output, Int(own.offsets[b]) + row)
            }
        }
    }

    /// The batch's bucket cache and whether it is filled; nil where the batch is too long for one.
    private func bucketCache(
        for layout: Jagged,
        _ bias: RelativeBias
    ) throws(ComputeError) -> (BucketCache?, isReady: Bool) {
        if let buckets, buckets.holds(layout, bias) { return (buckets, true) }
        let sequenceOffsets = try allocate(byteCount: (layout.count + 1) * MemoryLayout<Int>.stride)
            .assumingMemoryBound(to: Int.self)
        let tiles = try allocate(byteCount: (layout.count + 1) * MemoryLayout<UInt32>.stride)
            .assumingMemoryBound(to: UInt32.self)
        layout.offsets.withUnsafeBufferPointer {
            gk_attention_plan(layout.count, $0.baseAddress, 0, tiles, sequenceOffsets)
        }
        let byteCount = sequenceOffsets[layout.count]
        guard byteCount <= BucketCache.mostBytes else { return (nil, false) }
        let bytes = try allocate(byteCount: byteCount).assumingMemoryBound(to: UInt8.self)
        let cache = BucketCache(
            timestamps: bias.timestamps.address,
            offsets: layout.offsets,
            applies: bias.applies,
            bytes: bytes,
            sequenceOffsets: sequenceOffsets
        )
        return (cache, false)
    }
}
