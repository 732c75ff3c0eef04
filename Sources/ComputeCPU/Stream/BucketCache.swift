// The time buckets that the layers of a batch share.

internal import CKernels
internal import Compute

/// The time buckets of all pairs of a batch, one byte each. They depend only on timestamps, so the first layer computes
/// them for all layers.
struct BucketCache {
    let timestamps: DeviceAddress
    /// Layouts of the batch's own rows, and of all rows.
    let own: [Int32]
    let whole: [Int32]
    let applies: [Bool]
    /// The buckets of one sequence after the other, `gk_attention_bucket_bytes` each.
    let bytes: UnsafeMutablePointer<UInt8>

    /// The most bytes kept; longer batches compute their buckets in every layer.
    static let mostBytes = 32 << 20
}

extension CPUStream {
    /// The bucket cache of the batch and whether it is filled; nil if the batch is too long for one.
    func bucketCache(
        for layout: Jagged,
        _ whole: Jagged,
        _ bias: RelativeBias
    ) throws(ComputeError) -> (BucketCache?, isReady: Bool) {
        if let buckets, buckets.timestamps == bias.timestamps.address, buckets.own == layout.offsets,
            buckets.whole == whole.offsets, buckets.applies == bias.applies
        {
            return (buckets, true)
        }
        var byteCount = 0
        for sequence in 0..<layout.count {
            let own = layout.length(of: sequence)
            byteCount += gk_attention_bucket_bytes(whole.length(of: sequence) - own, own)
        }
        guard byteCount <= BucketCache.mostBytes else { return (nil, false) }
        let bytes = try allocateKept(byteCount: byteCount).assumingMemoryBound(to: UInt8.self)
        let cache = BucketCache(
            timestamps: bias.timestamps.address,
            own: layout.offsets,
            whole: whole.offsets,
            applies: bias.applies,
            bytes: bytes
        )
        return (cache, false)
    }
}
