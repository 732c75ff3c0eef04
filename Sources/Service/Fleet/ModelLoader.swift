// Makes served models from bundle directories: reads and checks files, makes engines, and loads weights onto devices.

internal import Catalogue
internal import Compute
internal import Devices
internal import Engine
internal import Files
internal import Locking
internal import Logging
internal import Models

/// Loads models: initial, added and replacing ones.
final class ModelLoader: Sendable {
    private let compute: ComputeSettings
    private let scheduler: SchedulerConfiguration
    private let cache: CacheConfiguration
    private let logger: Logger
    private let life: Lifecycle

    init(configuration: ServiceConfiguration, logger: Logger, life: Lifecycle) {
        compute = configuration.compute
        scheduler = configuration.scheduler
        cache = configuration.cache
        self.logger = logger
        self.life = life
    }

    /// Reads and checks a bundle's files. Takes as long as reading the weights.
    ///
    /// - Parameter progress: called with the checked and total bytes of the weights.
    func loadBundle(
        _ directory: String,
        progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
    ) throws(FileError) -> ModelBundle {
        try ModelBundle.load(directory: directory, progress: progress)
    }

    /// An engine for each device, none of them started.
    ///
    /// - Parameter loaded: called once: with the first engine's phase when all are ready, or with that of a failed one.
    func makeEngines(
        metrics: ServiceMetrics,
        loaded: @escaping @Sendable (EnginePhase) -> Void
    ) -> EngineGroup {
        let gate = LoadGate(count: compute.devices.count, loaded)
        return EngineGroup(
            compute.devices.enumerated().map { index, device in
                Engine(
                    scheduler,
                    observer: ServiceObserver(device: device.description, metrics: metrics.engine, logger: logger) {
                        phase in
                        gate.report(phase, of: index)
                    }
                )
            }
        )
    }

    /// A model whose weights are on no device yet.
    ///
    /// - Parameters:
    ///   - placement: checked against the settings.
    ///   - engines: of all devices.
    func makeModel(_ bundle: ModelBundle, _ placement: ModelPlacement, on engines: EngineGroup) -> ServedModel {
        let places = compute.devices.indices.filter { placement.devices?.contains(compute.devices[$0]) ?? true }
        return ServedModel(
            bundle: bundle,
            model: LoadedModel(bundle, windowStride: cache.windowStride),
            engines: engines.subset(places),
            devices: places.map { compute.devices[$0].description }
        )
    }

    /// A model with the items of a bundle whose weights are the same, so that they need not be loaded again. nil if the
    /// bundle differs in more than items, or has golden cases to check.
    func model(_ old: ServedModel, withItemsOf bundle: ModelBundle) -> ServedModel? {
        // If the old file is unreadable, there is nothing to compare with.
        guard bundle.golden == nil, (try? old.bundle.mayTakeItems(of: bundle)) == true else { return nil }
        return old.with(itemsOf: bundle, windowStride: cache.windowStride)
    }

    /// Starts the engines with their models. Each engine makes its own device. The server ends after the engines.
    ///
    /// - Throws: `EngineError` if the system cannot create a thread. Engines started before keep running until the
    ///   caller stops them; `loaded` has not been called by then.
    func start(
        _ engines: EngineGroup,
        _ models: [(model: ServedModel, placement: ModelPlacement)]
    ) throws(EngineError) {
        for (device, engine) in zip(compute.devices, engines.engines) {
            life.engineStarts()
            let own = models.filter { $0.placement.devices?.contains(device) ?? true }
            do throws(EngineError) {
                try engine.start(
                    source(of: device),
                    own.map { ($0.model.model, source(of: $0.model.bundle, $0.placement)) },
                    ended: { [life] in life.engineEnded() }
                )
            } catch {
                life.engineEnded()
                throw error
            }
        }
    }

    /// Loads a model into running engines.
    ///
    /// - Parameter loaded: called once, on any thread, with the error of the first device that refused it.
    func load(
        _ model: ServedModel,
        _ placement: ModelPlacement,
        loaded: @escaping @Sendable (Result<Void, any Error>) -> Void
    ) {
        model.engines.load(model.model, source(of: model.bundle, placement), loaded: loaded)
    }

    /// The source of an engine's device, used at the start and whenever the device must be remade.
    private func source(of kind: ComputeSettings.DeviceKind) -> DeviceSource {
        var source = DeviceSource(backoff: compute.backoff, make: { [compute] in try compute.makeDevice(kind) })
        if compute.fallback == .cpu { source.makeFallback = { [compute] in try compute.makeFallback() } }
        return source
    }

    /// A model's own type; nil: the device's. An unreadable type was already refused with the settings.
    private func ownDtype(of placement: ModelPlacement) -> DType? {
        let kind = placement.devices?.first ?? compute.devices[0]
        return placement.dtype.flatMap { try? ComputeSettings.dtype($0, for: kind) }
    }

    /// The type in which a CPU computes a model.
    func dtype(of placement: ModelPlacement) -> DType { ownDtype(of: placement) ?? compute.dtype ?? .float32 }

    /// Whether only the CPU computes a model.
    func placesOnCPU(_ placement: ModelPlacement) -> Bool { (placement.devices ?? compute.devices) == [.cpu] }

    /// The source of an engine's model.
    private func source(of bundle: ModelBundle, _ placement: ModelPlacement) -> ModelSource {
        var source = ModelSource(cacheBytes: cache.byteCount, golden: bundle.golden) { device in
            ResidentModel(device: device, model: try ModelRegistry.makeModel(bundle, on: device))
        }
        source.dtype = ownDtype(of: placement)
        source.threads = placement.threads
        source.label = "\(bundle.configuration.name) \(bundle.configuration.version)"
        return source
    }
}

/// Waits until all engines are ready or one has failed.
private final class LoadGate: Sendable {
    private struct State {
        var ready: [Int: EnginePhase] = [:]
        var isOpen = false
    }

    private let state = Lock(State())
    private let count: Int
    private let loaded: @Sendable (EnginePhase) -> Void

    init(count: Int, _ loaded: @escaping @Sendable (EnginePhase) -> Void) {
        self.count = count
        self.loaded = loaded
    }

    /// Called more than once for an engine that serves and then stops; only the first call counts.
    func report(_ phase: EnginePhase, of engine: Int) {
        let outcome: EnginePhase? = state.withLock { state in
            guard !state.isOpen else { return nil }
            if case .ready = phase {
                state.ready[engine] = phase
                guard state.ready.count == count else { return nil }
                state.isOpen = true
                return state.ready[0]
            }
            state.isOpen = true
            return phase
        }
        if let outcome { loaded(outcome) }
    }
}
