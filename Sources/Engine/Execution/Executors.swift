// The engine thread's means of computing: its device, the fallback, and the models on each.

internal import Compute

/// A model that an engine has been given.
struct HostedModel {
    let model: LoadedModel
    let source: ModelSource
}

/// A device with its models, which share a stream and its working memory. Executors are not retained beyond a batch:
/// the device is reset when the last object made on it is released.
struct Workplace {
    let device: any Device
    /// The device itself and its variants, each with the stream that its models share.
    private var variants: [(device: any Device, stream: any Stream)] = []
    /// Indexed by the models' lanes.
    private(set) var executors: [Int: BatchExecutor] = [:]
    /// The findings of warm-ups.
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

    /// The stream of what `device(for:)` gave.
    func stream(of device: any Device) -> (any Stream)? { variants.first { $0.device === device }?.stream }

    var description: DeviceDescription { device.description }

    mutating func add(_ executor: BatchExecutor, _ times: ServiceTimeModel, lane: Int) {
        executors[lane] = executor
        self.times[lane] = times
    }

    mutating func remove(lane: Int) {
        executors[lane] = nil
        times[lane] = nil
    }
}

/// The places at which an engine computes.
struct Executors {
    /// The description of the device, whether or not it is there.
    var name = ""
    /// How long it took to make the device and its models the first time.
    var startNanoseconds: UInt64 = 0
    /// nil: the device failed, and has not been made again.
    var primary: Workplace?
    var fallback: Workplace?
    /// Every model, by its lane; what is made again after a failure.
    var hosted: [Int: HostedModel] = [:]

    func executor(lane: Int, onFallback: Bool) -> BatchExecutor? {
        (onFallback ? fallback : primary)?.executors[lane]
    }
}
