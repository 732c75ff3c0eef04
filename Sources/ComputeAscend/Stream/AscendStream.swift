// A stream on the NPU. Operations are checked and recorded when they are called, and run together when the batch is
// synchronised, after one copy has transferred all inputs.

internal import CAscend
package import Compute

/// An order of operations on an Ascend device.
///
/// A batch is: one copy of the packed inputs on the copy stream, an event for which the compute stream waits, the
/// recorded operators in order, one copy of each result back, an event for which the host waits with a time-out. In its
/// steady state it allocates nothing and waits once. An operation's temporary memory is reused by the next, because the
/// compute stream runs them in order.
package final class AscendStream: Compute.Stream {
    /// Enqueues operators of one operation.
    typealias Step = (OperatorCalls) throws(ComputeError) -> Void

    let device: AscendDevice
    private let context: AscendContext
    private let compute: AscendQueue
    private let transfer: AscendQueue
    private let inputsArrived: AscendEvent
    private let batchDone: AscendEvent
    /// nil if batches are run operator by operator.
    let captured: CapturedBatches?

    var arena: Arena
    private var staging: Staging
    private var steps: [Step] = []
    var selections: [Selection] = []
    var scorings: [Scoring] = []
    /// Total bytes of the batch's results.
    private(set) var resultBytes = 0
    var tokenResults: [TokenScores] = []
    /// The parts of attention shared by a batch's layers.
    var attention: [PlannedAttention] = []
    /// Pinned memory for the host copies of selections and scores.
    private var results: PinnedBlock?

    var half: DType { device.description.dtype }

    /// - Parameter captures: whether repeated batches are captured.
    init(device: AscendDevice, captures: Bool) throws(ComputeError) {
        self.device = device
        context = device.context
        compute = try AscendQueue(context: context)
        transfer = try AscendQueue(context: context)
        inputsArrived = try AscendEvent(context: context)
        batchDone = try AscendEvent(context: context)
        captured = captures ? CapturedBatches(context: context, queue: compute) : nil
        arena = Arena(context: context)
        staging = Staging(context: context)
    }

    deinit {
        // Nothing to wait for: a batch that was never synchronised has enqueued nothing, and one that failed and may
        // still run keeps its memory until the device is reset.
    }

    package func begin() throws(ComputeError) {
        try context.requireUsable()
        steps.removeAll(keepingCapacity: true)
        selections.removeAll(keepingCapacity: true)
        scorings.removeAll(keepingCapacity: true)
        resultBytes = 0
        tokenResults.removeAll(keepingCapacity: true)
        attention.removeAll(keepingCapacity: true)
        arena.reset()
        staging.reset()
    }

    package func makeTensor(rows: Int, columns: Int, dtype: DType) throws(ComputeError) -> Tensor {
        guard rows >= 0, columns >= 0 else {
            throw ComputeError(.invalidArgument, "a tensor of \(rows) × \(columns) cannot be made")
        }
        let address = try arena.allocate(byteCount: try Self.byteCount([rows, columns], dtype))
        return Tensor(address: address, dtype: dtype, rows: rows, columns: columns)
    }

    package func upload(_ values: UnsafeRawBufferPointer, dtype: DType) throws(ComputeError) -> Tensor {
        guard values.count % dtype.byteCount == 0 else {
            throw ComputeError(
                .invalidArgument,
                "upload: \(values.count) bytes are not whole elements of \(dtype.rawValue)"
            )
        }
        let place = try staging.allocate(byteCount: values.count)
        if let source = values.baseAddress { place.host.copyMemory(from: source, byteCount: values.count) }
        return Tensor(address: place.device, dtype: dtype, rows: 1, columns: values.count / dtype.byteCount)
    }

    package func synchronize() throws(ComputeError) {
        try context.requireUsable()
        defer { steps.removeAll(keepingCapacity: true) }
        do throws(ComputeError) {
            try enqueue()
        } catch {
            // Work enqueued before the failure still uses memory that the caller may now free.
            if !error.code.losesDevice {
                try transfer.synchronize(timeout: device.timeout)
                try compute.synchronize(timeout: device.timeout)
            }
            throw error
        }
        try batchDone.synchronize(timeout: device.timeout)
        compute.calls.releaseOutgrown()
        try captured?.trim()
        try finishSelections()
        try finishScorings()
        try finishTokenScores()
    }

    /// Enqueues the whole batch and the event that ends it.
    private func enqueue() throws(ComputeError) {
        if try staging.copy(on: transfer.handle) {
            try inputsArrived.record(on: transfer)
            try inputsArrived.hold(compute)
        }
        if let captured {
            try captured.enqueue(steps)
        } else {
            for step in steps { try step(compute.calls) }
        }
        try copyResults()
        try batchDone.record(on: compute)
    }

    package func read(_ tensor: Tensor) throws(ComputeError) -> [Float] {
        try tensor.require(.float32, in: "read", as: "tensor")
        guard tensor.rows > 0, tensor.columns > 0 else { return [] }
        let span = (tensor.rows - 1) * tensor.rowStride + tensor.columns
        let values: [Float] = try readBack(tensor.address, count: span)
        guard tensor.rowStride != tensor.columns else { return values }
        return (0..<tensor.rows).flatMap { values[$0 * tensor.rowStride..<$0 * tensor.rowStride + tensor.columns] }
    }

    /// Copies elements from the device to the host synchronously.
    func readBack<Element: BitwiseCopyable>(_ address: DeviceAddress, count: Int) throws(ComputeError) -> [Element] {
        try context.requireUsable()
        let size = count * MemoryLayout<Element>.stride
        var status: Int32 = 0
        let values = [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
            let source = UnsafeRawPointer(bitPattern: address.bits)
            status = context.runtime.aclrtMemcpy(buffer.baseAddress, size, source, size, ACL_MEMCPY_DEVICE_TO_HOST)
            // If the copy failed, fills the elements with zeros, which are never read.
            if status != 0, size > 0 {
                UnsafeMutableRawBufferPointer(buffer).initializeMemory(as: UInt8.self, repeating: 0)
            }
            initialized = count
        }
        try context.check(status, "aclrtMemcpy")
        return values
    }

    // MARK: Recording operations

    /// Records what an operation enqueues. Objects captured by the closure live until the batch has run.
    func note(_ step: @escaping Step) { steps.append(step) }

    /// Memory until the next batch, or until it is released to a mark.
    func temporary(_ dtype: DType, _ dims: [Int]) throws(ComputeError) -> View {
        View(try arena.allocate(byteCount: try Self.byteCount(dims, dtype)), dtype, dims)
    }

    /// Runs the body with its own temporary memory.
    func withTemporaries<Result>(_ body: () throws(ComputeError) -> Result) throws(ComputeError) -> Result {
        let mark = arena.mark
        defer { arena.release(to: mark) }
        return try body()
    }

    /// Uploads host values with the batch's inputs. Their byte count must be the view's.
    func input<Element: BitwiseCopyable>(
        _ values: [Element],
        _ dtype: DType,
        _ dims: [Int]
    ) throws(ComputeError) -> View {
        try values.withUnsafeBufferPointer { (values) throws(ComputeError) in
            let bytes = UnsafeRawBufferPointer(values)
            let view = View(try upload(bytes, dtype: dtype).address, dtype, dims)
            precondition(view.byteCount == bytes.count, "values of another view")
            return view
        }
    }

    /// The host values of an uploaded vector; nil if the tensor was not uploaded in this batch.
    func hostValues<Element: BitwiseCopyable>(_ tensor: Tensor, as type: Element.Type) -> UnsafeBufferPointer<Element>?
    {
        let size = tensor.columns * MemoryLayout<Element>.stride
        guard tensor.rows == 1, let raw = staging.host(of: tensor.address, byteCount: size) else { return nil }
        return UnsafeBufferPointer(start: raw.assumingMemoryBound(to: Element.self), count: tensor.columns)
    }

    private static func byteCount(_ dims: [Int], _ dtype: DType) throws(ComputeError) -> Int {
        var bytes = dtype.byteCount
        for extent in dims {
            let (product, overflow) = bytes.multipliedReportingOverflow(by: extent)
            guard !overflow else {
                throw ComputeError(.outOfMemory, "there is not enough memory for a tensor of \(dims)")
            }
            bytes = product
        }
        return bytes
    }

    /// Reserves room for a result among the batch's results.
    ///
    /// - Returns: bytes from the start of the results.
    func reserveResult(byteCount: Int) -> Int {
        let offset = (resultBytes + 63) / 64 * 64
        resultBytes = offset + byteCount
        return offset
    }

    /// Enqueues the copies of selections and scores to the host.
    private func copyResults() throws(ComputeError) {
        guard resultBytes > 0 else { return }
        let memory = try resultMemory(byteCount: resultBytes)
        for selection in selections where !selection.counts.isEmpty {
            try copyBack(selection.result, to: memory.base + selection.offset)
        }
        for scoring in scorings where scoring.result.count > 0 {
            try copyBack(scoring.result, to: memory.base + scoring.offset)
        }
    }

    /// Pinned memory for the results of a batch; grows only while no copy is in progress.
    func resultMemory(byteCount: Int) throws(ComputeError) -> PinnedBlock {
        if let results, results.byteCount >= byteCount { return results }
        var size = 1 << 14
        while size < byteCount { size *= 2 }
        results = nil
        let made = try PinnedBlock(byteCount: size, context: context)
        results = made
        return made
    }

    /// Enqueues a copy of device memory to pinned memory.
    func copyBack(_ view: View, to target: UnsafeMutableRawPointer) throws(ComputeError) {
        let status = context.runtime.aclrtMemcpyAsync(
            target,
            view.byteCount,
            UnsafeRawPointer(bitPattern: view.address.bits),
            view.byteCount,
            ACL_MEMCPY_DEVICE_TO_HOST,
            compute.handle
        )
        try context.check(status, "aclrtMemcpyAsync")
    }
}
