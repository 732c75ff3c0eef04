// What the engine's thread computes on: its device, the fallback, and the models on each.

internal import Compute

/// A model on an engine, and its source.
struct HostedModel {
    let model: LoadedModel
    let source: ModelSource
}

/// A device with its models. The models of a variant share a stream and its working memory. Executors must not be
/// retained beyond a batch, because the device is reset when the last object made on it is released.
struct Workplace {
    let device: any Device
    /// The device itself and its variants, each with the stream that its models share.
    private var variants: [(device: any Device, stream: any Stream)] = []
    /// Indexed by the models' lanes.
    private(set) var executors: [Int: BatchExecutor] = [:]
    /// The service times measured by warm-ups, by lane.
    private(set) var times: [Int: ServiceTimeModel] = [:]

    init(_ device: any Device) throws(ComputeError) {
        self.device = device
        variants = [(device, try device.makeStream())]
    }

    /// The device as used for a model.
    mutating func device(for source: ModelSource) throws(ComputeError) -> any Device {
        let (dtype, threads) = (source.dtype ?? description.dtype, source.threads ?? description.threads)
        let known = variants.first { $0.device.description.dtype == dtype && $0.device.description.threads == threads }
        if let known { return known.device }
        let variant = try device.variant(dtype: dtype, threads: threads)
        variants.append((variant, try variant.makeStream()))
        return variant
    }

    /// The stream of a device that `device(for:)` returned.
    func stream(of device: any Device) -> (any Stream)? { variants.first { $0.device === device }?.stream }

    var description: DeviceDescription { device.description }

    /// Takes over a model that has passed its trial.
    mutating func take(_ part: Loading.Part, lane: Int) {
        guard case .success(let trial) = part.trial else { return }
        if let stream = stream(of: part.device) { trial.executor.move(to: stream) }
        add(trial.executor, trial.times, lane: lane)
    }

    mutating func add(_ executor: BatchExecutor, _ times: ServiceTimeModel, lane: Int) {
        executors[lane] = executor
        self.times[lane] = times
    }

    /// Removes the model of a lane.
    mutating func remove(lane: Int) -> BatchExecutor? {
        times[lane] = nil
        return executors.removeValue(forKey: lane)
    }
}

/// The device and the fallback of an engine.
struct Executors {
    /// The name of the device, available or not.
    var name = ""
    /// How long it took to make the device and its models the first time.
    var startNanoseconds: UInt64 = 0
    /// nil while the device is lost.
    var primary: Workplace?
    var fallback: Workplace?
    /// Every model by its lane, to be loaded again after a device failure.
    var hosted: [Int: HostedModel] = [:]

    func executor(lane: Int, onFallback: Bool) -> BatchExecutor? {
        (onFallback ? fallback : primary)?.executors[lane]
    }

    /// Removes a model from the device and the fallback.
    mutating func remove(lane: Int) -> Remains {
        let left = [primary?.remove(lane: lane), fallback?.remove(lane: lane)].compactMap(\.self)
        return Remains(hosted.removeValue(forKey: lane), left)
    }
}

/// The memory of a removed model.
///
/// `@unchecked Sendable`: it has one owner at a time.
final class Remains: @unchecked Sendable {
    private var hosted: HostedModel?
    private var executors: [BatchExecutor]

    init(_ hosted: HostedModel?, _ executors: [BatchExecutor]) {
        self.hosted = hosted
        self.executors = executors
    }

    /// Whether a thread other than the engine's may free it.
    var canBeFreedOnAnyThread: Bool { executors.allSatisfy(\.takesWeightsOnAnyThread) }

    func free() {
        executors = []
        hosted = nil
    }
}
