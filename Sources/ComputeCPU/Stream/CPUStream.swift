// A stream on the CPU: operations run immediately, on the calling thread and the device's workers, in memory that is
// reused for every batch.

internal import CKernels
package import Compute
internal import Glibc

/// An order of operations on the CPU. An operation has run when its call returns, so `synchronize()` only reports.
package final class CPUStream: Compute.Stream {
    let device: CPUDevice
    /// The threads that compute.
    let pool: WorkerPool
    var arena = Arena()
    /// Memory that outlives `withTemporaries`: the time buckets.
    var keptArena = Arena()
    /// The selections of the batch's top-k operations.
    var selections: [Selection] = []
    /// The scores of the batch's operations on named rows.
    var scorings: [Scoring] = []
    /// The log-probabilities of the batch's `tokenScores` operations.
    var tokenResults: [[Float]] = []
    /// The time buckets of the batch's sequences, computed by the first layer that needs them and kept for the others.
    var buckets: BucketCache?
    private var accountedBytes = 0

    init(device: CPUDevice, pool: WorkerPool) {
        self.device = device
        self.pool = pool
    }

    deinit { device.account.addWorkspace(-accountedBytes) }

    package func begin() throws(ComputeError) {
        arena.reset()
        keptArena.reset()
        selections.removeAll(keepingCapacity: true)
        scorings.removeAll(keepingCapacity: true)
        tokenResults.removeAll(keepingCapacity: true)
        buckets = nil
        account()
        pool.beginBatch()
    }

    package func makeTensor(rows: Int, columns: Int, dtype: DType) throws(ComputeError) -> Tensor {
        guard rows >= 0, columns >= 0 else {
            throw ComputeError(.invalidArgument, "a tensor of \(rows) × \(columns) cannot be made")
        }
        let stride = Self.rowStride(columns: columns, dtype: dtype)
        let (elements, tooMany) = rows.multipliedReportingOverflow(by: stride)
        let (byteCount, tooLarge) = elements.multipliedReportingOverflow(by: dtype.byteCount)
        guard !tooMany, !tooLarge else {
            throw ComputeError(.outOfMemory, "there is not enough memory for a tensor of \(rows) × \(columns)")
        }
        let address = try allocate(byteCount: byteCount)
        return Tensor(
            address: DeviceAddress(bits: UInt(bitPattern: address)),
            dtype: dtype,
            rows: rows,
            columns: columns,
            rowStride: stride
        )
    }

    package func withTemporaries(_ body: () throws(ComputeError) -> Void) throws(ComputeError) {
        let mark = arena.mark
        defer {
            arena.release(to: mark)
            // The timestamps of the cached buckets have been released, so other data may reuse their address.
            if let buckets, !arena.holds(buckets.timestamps) {
                self.buckets = nil
                keptArena.reset()
            }
        }
        try body()
    }

    /// The rough size of the second-level caches of the threads' cores: one or two megabytes each on today's servers.
    /// Measured with 1 MB: up to 2.4 MB nothing is lost, with 5 MB a sixth, with 10 MB a quarter.
    package var reusedMemoryBytes: Int? { pool.threads * (2 << 20) }

    package func upload(_ values: UnsafeRawBufferPointer, dtype: DType) throws(ComputeError) -> Tensor {
        guard values.count % dtype.byteCount == 0 else {
            throw ComputeError(
                .invalidArgument,
                "upload: \(values.count) bytes are not whole elements of \(dtype.rawValue)"
            )
        }
        let address = try allocate(byteCount: values.count)
        if let source = values.baseAddress { memcpy(address, source, values.count) }
        return Tensor(
            address: DeviceAddress(bits: UInt(bitPattern: address)),
            dtype: dtype,
            rows: 1,
            columns: values.count / dtype.byteCount
        )
    }

    package func synchronize() throws(ComputeError) { pool.endBatch() }

    package func read(_ tensor: Tensor) throws(ComputeError) -> [Float] {
        try tensor.require(.float32, in: "read", as: "tensor")
        let source = tensor.floats
        return [Float](unsafeUninitializedCapacity: tensor.rows * tensor.columns) { buffer, count in
            for row in 0..<tensor.rows {
                for column in 0..<tensor.columns {
                    buffer[row * tensor.columns + column] = source[row * tensor.rowStride + column]
                }
            }
            count = tensor.rows * tensor.columns
        }
    }

    // MARK: Memory

    /// Memory until the next `begin()`, or until it is released to a mark.
    func allocate(byteCount: Int) throws(ComputeError) -> UnsafeMutableRawPointer {
        let address = try arena.allocate(byteCount: byteCount)
        account()
        return address
    }

    /// Memory until the next `begin()`, unaffected by releases.
    func allocateKept(byteCount: Int) throws(ComputeError) -> UnsafeMutableRawPointer {
        let address = try keptArena.allocate(byteCount: byteCount)
        account()
        return address
    }

    /// Scratch of `floats` floats for each thread; the stride between the threads' shares is whole cache lines.
    func allocateScratch(floats: Int) throws(ComputeError) -> (base: UnsafeMutablePointer<Float>, stride: Int) {
        let stride = (floats + 15) / 16 * 16
        let memory = try allocate(byteCount: stride * pool.threads * MemoryLayout<Float>.stride)
        return (memory.assumingMemoryBound(to: Float.self), stride)
    }

    private func account() {
        let reserved = arena.reservedBytes + keptArena.reservedBytes
        guard accountedBytes != reserved else { return }
        device.account.addWorkspace(reserved - accountedBytes)
        accountedBytes = reserved
    }

    /// Elements from one row to the next: whole cache lines, and from 1 kB on an odd number of them, because rows a
    /// power of two apart would compete for a few sets of the cache.
    private static func rowStride(columns: Int, dtype: DType) -> Int {
        let (byteCount, overflow) = columns.multipliedReportingOverflow(by: dtype.byteCount)
        guard !overflow, byteCount <= Int.max - 2 * 64 else { return columns }
        var lines = (byteCount + 63) / 64
        if lines >= 16 { lines |= 1 }
        return lines * 64 / dtype.byteCount
    }
}
