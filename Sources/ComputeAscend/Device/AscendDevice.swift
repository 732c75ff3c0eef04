// An Ascend NPU as a device. It finds out what the chip supports, packs weights and makes streams.

internal import CAscend
package import Compute
internal import Glibc

/// Computes on an Ascend NPU through CANN: products in half precision with float32 sums, everything else in float32.
///
/// Belongs to the thread that made it, like everything it makes, because CANN binds a device to a thread. After a
/// failure that leaves the device in an unknown state (`timedOut`, `executionFailed`, `deviceLost`), every further call
/// is refused. When the device and everything made from it are released, the NPU is reset, and a new device can be
/// made.
package final class AscendDevice: Device {
    private let identification: DeviceDescription
    package var description: DeviceDescription {
        var description = identification
        description.notes = [attentionNote, captureNote] + (weightsNote.isEmpty ? [] : [weightsNote])
        return description
    }
    let context: AscendContext
    let support: OperatorSupport
    let identity = DeviceIdentity()
    /// How long a batch may take on the device.
    let timeout: Int32
    /// The queue for the device's own calls, such as rewriting weights.
    private let loading: AscendQueue
    /// 1, 2, 4 … 128, to separate the bits of a byte.
    let bitValues: DeviceBlock
    /// Zeros of any type, for fewer than `FusedLimits.columnUnit` columns.
    let zeros: DeviceBlock

    /// RecSDK's operator for HSTU attention that gave correct results; nil if none did.
    var provenFusion: FusedVariant?
    /// Whether products with weights in FRACTAL_NZ were found equal to those with plain weights.
    private(set) var blocksWeights = false
    /// Whether Topk orders float32 in full precision. If not, the best rows are chosen on the host.
    private(set) var ranksExactly = true
    let trials: Trials
    /// Whether a captured batch gave correct results.
    private var isCaptureProven = false
    /// Whether repeated batches are captured, and if not, why: a line for people.
    package private(set) var captureNote = ""
    /// The number of existing key and value pools.
    var poolCount = 0
    /// The operator that computes HSTU attention where it fits; nil: attention is composed.
    var fusion: FusedVariant? { poolCount == 0 ? provenFusion : nil }
    /// The result of the attention trial when the device was made: a line for people.
    private(set) var fusionNote = ""

    /// Whether HSTU attention is fused, and if not, why: a line for people.
    package var attentionNote: String {
        provenFusion != nil && fusion == nil
            ? "HSTU attention is composed: a user cache needs the same bits with and without it" : fusionNote
    }

    package var memory: DeviceMemory { context.memory }

    /// How weights are laid out: a line for people; empty if there is no choice.
    package private(set) var weightsNote = ""

    /// Opens an NPU as a device. If trying a feature (a fused operator, a capture) loses the chip, the device is made
    /// again without it.
    ///
    /// - Parameters:
    ///   - number: CANN's number of the device among those that the process sees, from 0.
    ///   - dtype: float16 or bfloat16; nil: bfloat16 if the chip has it, otherwise float16.
    ///   - timeoutMilliseconds: how long a batch may take before the device counts as lost; at least 1.
    ///   - fusesAttention: false: HSTU attention is composed even if RecSDK's operator is installed and correct.
    ///   - capturesBatches: false: batches run operator by operator even if CANN can capture them.
    /// - Throws: `ComputeError.deviceLost` if CANN or the device is missing, with one sentence that says what to do;
    ///   `.unsupported` for a type that the chip does not have.
    package static func open(
        number: Int,
        dtype: DType? = nil,
        timeoutMilliseconds: Int = 10_000,
        fusesAttention: Bool = true,
        capturesBatches: Bool = true
    ) throws(ComputeError) -> AscendDevice {
        let device = Int32(clamping: number)
        while true {
            let trials = Trials(lost: AscendProcess.lostTrials(of: device))
            do throws(ComputeError) {
                return try AscendDevice(
                    number: number,
                    dtype: dtype,
                    timeoutMilliseconds: timeoutMilliseconds,
                    fusesAttention: fusesAttention,
                    capturesBatches: capturesBatches,
                    trials: trials
                )
            } catch {
                // The loop ends because a trial that lost the device is not repeated.
                guard let trial = trials.current else { throw error }
                AscendProcess.note(lost: trial, error.message, of: device)
            }
        }
    }

    private init(
        number: Int,
        dtype: DType?,
        timeoutMilliseconds: Int,
        fusesAttention: Bool,
        capturesBatches: Bool,
        trials: Trials
    ) throws(ComputeError) {
        guard (1...Int(Int32.max)).contains(timeoutMilliseconds) else {
            throw ComputeError(.invalidArgument, "a batch cannot time out after \(timeoutMilliseconds) ms")
        }
        self.trials = trials
        timeout = Int32(timeoutMilliseconds)
        context = try AscendContext(device: number)
        let chip = context.chip
        let half = dtype ?? (chip.hasBFloat16 ? .bfloat16 : .float16)
        guard half == .float16 || (half == .bfloat16 && chip.hasBFloat16) else {
            throw ComputeError(.unsupported, "\(chip.name) does not compute in \(half.rawValue)")
        }
        identification = DeviceDescription(
            name: "ascend:\(number)",
            architecture: chip.shortName,
            dtype: half,
            threads: 1
        )
        // Requests the same sums in every run: operators read the process's option, not the context's (opbase,
        // op_executor.cpp), so both are set, as torch_npu does (OpParamMaker.cpp).
        try context.check(context.runtime.aclrtCtxSetSysParamOpt(ACL_OPT_DETERMINISTIC, 1), "aclrtCtxSetSysParamOpt")
        try context.check(context.runtime.aclrtSetSysParamOpt?(ACL_OPT_DETERMINISTIC, 1) ?? 0, "aclrtSetSysParamOpt")
        // The chip also ends a hanging operator, in whole seconds. A CANN that refuses this setting has a limit of its
        // own.
        let seconds = UInt32((timeoutMilliseconds + 999) / 1000)
        if context.runtime.aclrtSetOpExecuteTimeOut?(seconds) ?? 0 != 0 {
            _ = context.runtime.aclGetRecentErrMsg()
            _ = context.runtime.aclrtGetLastError?(ACL_RT_THREAD_LEVEL)
        }
        loading = try AscendQueue(context: context)
        let sample = try DeviceBlock(byteCount: 1 << 16, use: .workspace, context: context, for: "probing operators")
        try sample.fill([UInt8](repeating: 0, count: 1 << 16))
        support = try OperatorSupport.probe(loading.calls, half: half, memory: sample)
        try loading.synchronize(timeout: timeout)
        bitValues = try DeviceBlock(byteCount: 64, use: .weights, context: context, for: "the values of bits")
        try bitValues.fill((0..<8).map { UInt8(1) << $0 })
        zeros = try DeviceBlock(byteCount: 64, use: .weights, context: context, for: "zeros")
        try zeros.fill([UInt8](repeating: 0, count: 64))
        if half == .float16 {
            let refusal = try reasonNotToBlock()
            blocksWeights = refusal == nil
            weightsNote = "weights are \(refusal.map { "not in FRACTAL_NZ: \($0)" } ?? "in FRACTAL_NZ")"
        }
        ranksExactly = try doesRankExactly()
        fusionNote = try decideFusion(isWanted: fusesAttention)
        let refusal = try capturesBatches ? reasonNotToCapture() : "as requested"
        isCaptureProven = refusal == nil
        captureNote =
            refusal.map { "batches are run operator by operator: \($0)" } ?? "repeated batches are captured"
    }

    package func supports(_ operation: OperationKind) -> Bool { missing(for: operation) == nil }

    /// A sentence about what this chip lacks for an operation; nil if nothing.
    func missing(for operation: OperationKind) -> String? {
        let every: [Operator]
        switch operation {
        case .embed: every = [.gather, .cast, .multiplyByScalar, .add, .copy]
        case .linear: every = [.cast, .mm, .add, .multiply, .silu, .relu, .geluTanh, .copy, .concatenate] + norms
        case .normalize: every = norms + [.copy]
        case .gatherRows: every = [.gather, .copy]
        case .zeroRows: every = [.fill]
        case .rotate: every = [.gather, .multiply, .subtract, .add, .copy]
        case .hstuAttention: every = attention + [.silu]
        case .softmaxAttention: every = attention + [.softmax]
        case .store: every = [.cast, .copy]
        case .beamAttention: every = attention + [.softmax]
        case .tokenScores: every = [.cast, .mm]
        case .selectTopK: every = [.cast, .mm, .notEqual, .logicalOr, .fill, .topk]
        case .scoreRows: every = [.cast, .gather, .mm]
        }
        for kind in every {
            if let reason = support.missing[kind] { return "\(operation.rawValue): \(reason)" }
        }
        return nil
    }

    /// The operators for norms. If the chip lacks the fused ones, norms are composed of the others.
    private var norms: [Operator] {
        var every: [Operator] = [.norm, .clampAtLeast, .divide, .multiplyInPlace]
        if !support.has(.layerNorm) { every += [.mean, .subtract] }
        if !support.has(.layerNorm) || !support.has(.rmsNorm) { every += [.concatenate, .multiplyByScalar] }
        return every
    }

    private let attention: [Operator] = [
        .cast, .gather, .copy, .batchMatMul, .concatenate, .add, .multiplyByScalar, .subtractIntegers, .clamp, .greater,
        .fill,
    ]

    package func makeStream() throws(ComputeError) -> any Stream {
        try AscendStream(device: self, captures: isCaptureProven)
    }

    /// Rewrites a (k, n) matrix as FRACTAL_NZ, in its own memory, and waits.
    func block(_ weight: View) throws(ComputeError) {
        try loading.calls.transMatmulWeight(weight)
        try loading.synchronize(timeout: timeout)
    }

    /// The number of elements of a (k, n) matrix in FRACTAL_NZ.
    func blockedCount(_ dims: [Int]) throws(ComputeError) -> Int {
        try loading.calls.blockedCount(dims, description.dtype)
    }
}

/// A CANN stream and the operator calls on it.
final class AscendQueue {
    let handle: UnsafeMutableRawPointer
    let calls: OperatorCalls
    private let context: AscendContext

    init(context: AscendContext) throws(ComputeError) {
        var handle: UnsafeMutableRawPointer?
        let status = context.runtime.aclrtCreateStreamWithConfig(&handle, 0, ACL_STREAM_FAST_LAUNCH.rawValue)
        try context.check(status, "aclrtCreateStreamWithConfig")
        guard let handle else { throw ComputeError(.deviceLost, "aclrtCreateStreamWithConfig made no stream") }
        self.handle = handle
        self.context = context
        calls = OperatorCalls(context: context, stream: handle)
    }

    deinit { context.release(stream: handle) }

    /// Waits for all enqueued work.
    func synchronize(timeout: Int32) throws(ComputeError) {
        let status = context.runtime.aclrtSynchronizeStreamWithTimeout(handle, timeout)
        try context.check(status, "aclrtSynchronizeStreamWithTimeout")
        calls.releaseOutgrown()
    }
}

/// An event that one stream records and another stream, or the host, waits for.
final class AscendEvent {
    let handle: UnsafeMutableRawPointer
    private let context: AscendContext

    init(context: AscendContext) throws(ComputeError) {
        var handle: UnsafeMutableRawPointer?
        try context.check(
            context.runtime.aclrtCreateEventExWithFlag(&handle, ACL_EVENT_SYNC.rawValue),
            "aclrtCreateEventExWithFlag"
        )
        guard let handle else { throw ComputeError(.deviceLost, "aclrtCreateEventExWithFlag made no event") }
        self.handle = handle
        self.context = context
    }

    deinit { if context.canRelease { _ = context.runtime.aclrtDestroyEvent(handle) } }

    func record(on queue: AscendQueue) throws(ComputeError) {
        try context.check(context.runtime.aclrtRecordEvent(handle, queue.handle), "aclrtRecordEvent")
    }

    /// Makes later work on the queue wait for the event.
    func hold(_ queue: AscendQueue) throws(ComputeError) {
        try context.check(context.runtime.aclrtStreamWaitEvent(queue.handle, handle), "aclrtStreamWaitEvent")
    }

    /// Makes the host wait for the event.
    func synchronize(timeout: Int32) throws(ComputeError) {
        let status = context.runtime.aclrtSynchronizeEventWithTimeout(handle, timeout)
        try context.check(status, "aclrtSynchronizeEventWithTimeout")
    }
}
