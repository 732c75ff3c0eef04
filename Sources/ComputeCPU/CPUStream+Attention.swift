// HSTU attention: checks, the plan of a jagged batch, and the time buckets that layers share.

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

    func holds(_ operation: HSTUAttentionOperation, _ bias: RelativeBias) -> Bool {
        timestamps == bias.timestamps.address && offsets == operation.layout.offsets && applies == bias.applies
    }
}

extension CPUStream {
    package func hstuAttention(_ operation: HSTUAttentionOperation) throws(ComputeError) {
        let shape = try check(operation)
        let layout = operation.layout
        guard layout.count > 0 else { return }

        var positionBias: CPUBias?
        var timeBias: CPUBias?
        if let bias = operation.bias, bias.applies.contains(true) {
            positionBias = try own(bias.position, as: CPUBias.self, in: "hstu attention")
            timeBias = try own(bias.time, as: CPUBias.self, in: "hstu attention")
        }
        let applies: [UInt8] = positionBias == nil ? [] : operation.bias?.applies.map { $0 ? 1 : 0 } ?? []

        // The buckets outlive the operation; what comes after the mark does not.
        let lastOnly = operation.queryRows == .last
        var cache: BucketCache?
        var isReady = false
        if let bias = operation.bias, positionBias != nil, !lastOnly {
            (cache, isReady) = try bucketCache(for: operation, bias)
        }
        let mark = arena.mark
        defer { arena.release(to: mark) }

        var job = gk_hstu()
        job.kernels = device.kernels
        job.sequences = layout.count
        job.last_only = lastOnly ? 1 : 0
        job.query = UnsafePointer(operation.query.floats)
        job.query_stride = operation.query.rowStride
        job.key = UnsafePointer(operation.key.floats)
        job.key_stride = operation.key.rowStride
        job.value = UnsafePointer(operation.value.floats)
        job.value_stride = operation.value.rowStride
        job.output = operation.output.floats
        job.output_stride = operation.output.rowStride
        job.heads = operation.heads
        job.query_columns = shape.queryColumns
        job.value_columns = shape.valueColumns
        job.scale = operation.scale
        if let bias = operation.bias, let positionBias, let timeBias {
            job.times = bias.timestamps.int64s
            job.position = positionBias.byDistance
            job.time = timeBias.byBucket
            job.buckets = cache?.bytes
            job.bucket_offsets = cache.map { UnsafePointer($0.sequenceOffsets) }
            job.buckets_ready = isReady ? 1 : 0
        }
        let tiles = try allocate(byteCount: (layout.count + 1) * MemoryLayout<UInt32>.stride)
            .assumingMemoryBound(to: UInt32.self)
        job.tiles = UnsafePointer(tiles)

        try layout.offsets.withUnsafeBufferPointer { (offsets) throws(ComputeError) in
            try applies.withUnsafeBufferPointer { (applies) throws(ComputeError) in
                try device.timeCells.withUnsafeBufferPointer { (cells) throws(ComputeError) in
                    job.offsets = offsets.baseAddress
                    job.cells = cells.baseAddress
                    job.biased = applies.isEmpty ? nil : applies.baseAddress
                    gk_hstu_plan(layout.count, offsets.baseAddress, job.last_only, tiles, nil)
                    let scratch = try allocateScratch(floats: gk_hstu_scratch(&job, shape.longest))
                    job.scratch = scratch.base
                    job.scratch_stride = scratch.stride
                    device.pool.run(gk_hstu_run, job: &job, count: Int(tiles[layout.count]))
                }
            }
        }
        withExtendedLifetime((positionBias, timeBias)) {}
        if let cache, !isReady { buckets = cache }
    }

    /// The batch's bucket cache and whether it is filled; nil where the batch is too long for one.
    private func bucketCache(
        for operation: HSTUAttentionOperation,
        _ bias: RelativeBias
    ) throws(ComputeError) -> (BucketCache?, isReady: Bool) {
        if let buckets, buckets.holds(operation, bias) { return (buckets, true) }
        let layout = operation.layout
        let sequenceOffsets = try allocate(byteCount: (layout.count + 1) * MemoryLayout<Int>.stride)
            .assumingMemoryBound(to: Int.self)
        let tiles = try allocate(byteCount: (layout.count + 1) * MemoryLayout<UInt32>.stride)
            .assumingMemoryBound(to: UInt32.self)
        layout.offsets.withUnsafeBufferPointer {
            gk_hstu_plan(layout.count, $0.baseAddress, 0, tiles, sequenceOffsets)
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

    /// Throws unless all parts fit each other; widths of a head and the longest sequence.
    private func check(
        _ operation: HSTUAttentionOperation
    ) throws(ComputeError) -> (queryColumns: Int, valueColumns: Int, longest: Int) {
        let layout = operation.layout
        let heads = operation.heads
        guard heads > 0, operation.query.columns > 0, operation.query.columns % heads == 0,
            operation.value.columns > 0, operation.value.columns % heads == 0
        else {
            throw ComputeError(
                .invalidArgument,
                """
                hstu attention: query rows of \(operation.query.columns) and value rows of \(operation.value.columns) \
                columns cannot be split into \(heads) heads
                """
            )
        }
        var longest = 0
        for sequence in 0..<layout.count {
            let length = Int(layout.offsets[sequence + 1]) - Int(layout.offsets[sequence])
            guard length > 0 else {
                throw ComputeError(.invalidArgument, "hstu attention: sequence \(sequence) has \(length) rows")
            }
            longest = max(longest, length)
        }
        let name: StaticString = "hstu attention"
        let asking = operation.queryRows == .last ? layout.count : layout.rows
        let (q, v) = (operation.query.columns, operation.value.columns)
        try operation.query.require(.float32, rows: asking, columns: q, in: name, as: "query")
        try operation.key.require(.float32, rows: layout.rows, columns: q, in: name, as: "key")
        try operation.value.require(.float32, rows: layout.rows, columns: v, in: name, as: "value")
        try operation.output.require(.float32, rows: asking, columns: v, in: name, as: "output")
        if let bias = operation.bias { try check(bias, layout: layout) }
        return (q / heads, v / heads, longest)
    }

    private func check(_ bias: RelativeBias, layout: Jagged) throws(ComputeError) {
        let (entries, overflow) = bias.maximumLength.multipliedReportingOverflow(by: 2)
        guard bias.maximumLength > 0, !overflow, bias.position.count == entries - 1 else {
            throw ComputeError(
                .invalidArgument,
                """
                hstu attention: the positional bias has \(bias.position.count) entries, a maximum length of \
                \(bias.maximumLength) needs twice that less one
                """
            )
        }
        guard bias.applies.count == layout.count else {
            throw ComputeError(
                .invalidArgument,
                "hstu attention: \(bias.applies.count) entries say where the bias applies, for \(layout.count) sequences"
            )
        }
        try bias.timestamps.require(
            .int64,
            rows: 1,
            columns: layout.rows + layout.count,
            in: "hstu attention",
            as: "timestamps tensor"
        )
        for sequence in 0..<layout.count where bias.applies[sequence] {
            guard layout.length(of: sequence) <= bias.maximumLength else {
                throw ComputeError(
                    .invalidArgument,
                    """
                    hstu attention: sequence \(sequence) has \(layout.length(of: sequence)) rows, the positional bias \
                    reaches \(bias.maximumLength)
                    """
                )
            }
        }
    }
}
