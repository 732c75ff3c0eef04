// Captures repeated batches: all operators of a batch become a sequence that CANN runs with one call, instead of about
// ten host calls per operator. A capture contains addresses; each batch writes its own inputs there.

internal import CAscend
internal import Compute

/// The captured sequences of one stream, by key. The least recently used are removed when there are too many.
final class CapturedBatches {
    /// The most sequences to keep. Each holds device resources, so this shrinks if they run out.
    private var most = 32
    /// The most keys remembered as seen.
    private static let mostSeen = 256

    private struct Sequence {
        var handle: UnsafeMutableRawPointer
        var lastUse: Int
    }

    private let context: AscendContext
    private let queue: AscendQueue
    private var sequences: [[UInt64]: Sequence] = [:]
    /// Hashes of keys, oldest first. A collision only causes a capture too early.
    private var seen: [Int] = []
    private var uses = 0
    /// CANN's refusal of a capture, after which none is tried again.
    private(set) var refusal: ComputeError?
    var count: Int { sequences.count }

    /// nil if CANN cannot capture.
    init?(context: AscendContext, queue: AscendQueue) {
        let runtime = context.runtime
        guard runtime.aclmdlRICaptureBegin != nil, runtime.aclmdlRICaptureEnd != nil,
            runtime.aclmdlRIExecuteAsync != nil, runtime.aclmdlRIDestroy != nil
        else { return nil }
        self.context = context
        self.queue = queue
    }

    deinit {
        guard context.canRelease else { return }
        for sequence in sequences.values { _ = context.runtime.aclmdlRIDestroy?(sequence.handle) }
    }

    /// Enqueues the steps' operators: one by one the first time, captured the second time, and by one call from then
    /// on.
    func enqueue(_ steps: [AscendStream.Step]) throws(ComputeError) {
        uses += 1
        guard refusal == nil else { return try run(steps) }
        let key = try queue.calls.key(of: steps)
        if sequences[key] != nil { return try execute(key) }
        var hasher = Hasher()
        hasher.combine(key)
        let hash = hasher.finalize()
        guard seen.contains(hash) else {
            if seen.count == Self.mostSeen { seen.removeFirst() }
            seen.append(hash)
            return try run(steps)
        }
        guard let handle = try capture(steps) else { return try run(steps) }
        sequences[key] = Sequence(handle: handle, lastUse: uses)
        try execute(key)
    }

    /// Destroys the least recently used sequences beyond the limit. Only while nothing runs.
    func trim() throws(ComputeError) {
        while sequences.count > most { try destroyOldest() }
    }

    private func destroyOldest() throws(ComputeError) {
        guard let oldest = sequences.min(by: { $0.value.lastUse < $1.value.lastUse }) else { return }
        sequences[oldest.key] = nil
        let status = context.runtime.aclmdlRIDestroy?(oldest.value.handle) ?? 0
        try context.check(status, "aclmdlRIDestroy")
    }

    /// Whether a call failed because no stream, event or other resource was left.
    private static func isExhaustion(_ failure: AscendContext.Tolerated) -> Bool {
        switch CAscend_status(rawValue: failure.status) {
        case ACL_ERROR_RT_RESOURCE_ALLOC_FAIL, ACL_ERROR_RT_NO_EVENT_RESOURCE, ACL_ERROR_RT_NO_STREAM_RESOURCE,
            ACL_ERROR_RT_NO_NOTIFY_RESOURCE, ACL_ERROR_RT_NO_MODEL_RESOURCE:
            true
        default: false
        }
    }

    private func run(_ steps: [AscendStream.Step]) throws(ComputeError) {
        for step in steps { try step(queue.calls) }
    }

    private func execute(_ key: [UInt64]) throws(ComputeError) {
        sequences[key]?.lastUse = uses
        let status = context.runtime.aclmdlRIExecuteAsync?(sequences[key]?.handle, queue.handle) ?? 0
        try context.check(status, "aclmdlRIExecuteAsync")
    }

    /// Captures the steps as a sequence without running them; nil if CANN refused, and the steps can be run directly.
    ///
    /// Captured sequences use up the chip's streams (vllm-ascend, acl_graph.py). When none is left, the oldest sequence
    /// is removed. A shape that an operator refuses is refused again when the steps are run. After any other error,
    /// nothing more is captured. The capture mode is thread-local, so other devices' threads may make any calls
    /// meanwhile.
    private func capture(_ steps: [AscendStream.Step]) throws(ComputeError) -> UnsafeMutableRawPointer? {
        let runtime = context.runtime
        var handle: UnsafeMutableRawPointer?
        do throws(ComputeError) {
            try context.tolerating { () throws(ComputeError) in
                let begun = runtime.aclmdlRICaptureBegin?(queue.handle, ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL) ?? 0
                try context.check(begun, "aclmdlRICaptureBegin")
                var failure: ComputeError?
                do throws(ComputeError) { try run(steps) } catch { failure = error }
                let ended = runtime.aclmdlRICaptureEnd?(queue.handle, &handle) ?? 0
                if let failure { throw failure }
                try context.check(ended, "aclmdlRICaptureEnd")
            }
            return handle
        } catch {
            if let handle { _ = runtime.aclmdlRIDestroy?(handle) }
            if context.tolerated.contains(where: Self.isExhaustion), !sequences.isEmpty {
                // Nothing runs now: the previous batch has ended, and this one has enqueued only its inputs.
                most = max(sequences.count - 1, 1)
                try destroyOldest()
            } else if context.tolerated.first?.phase != .plan {
                refusal = error
            }
            return nil
        }
    }
}
