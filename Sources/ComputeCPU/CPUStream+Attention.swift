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
        let shape = try attention.checkedShape()
        let layout = attention.layout
        guard layout.count > 0 else { return }

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
