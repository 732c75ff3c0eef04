// Makes a served model of a bundle's directory: reads and checks the files, makes the engines, starts them on their devices.

internal import Compute
internal import Devices
internal import Engine
internal import Files
internal import Locking
internal import Logging
internal import Models

/// Loads models, the first one and those that replace it.
final class ModelLoader: Sendable {
    private let directory: String
    private let compute: ComputeSettings
    private let scheduler: SchedulerConfiguration
    private let cache: CacheConfiguration
    private let logger: Logger
    private let life: Lifecycle

    init(directory: String, configuration: ServiceConfiguration, logger: Logger, life: Lifecycle) {
        self.directory = directory
        compute = configuration.compute
        scheduler = configuration.scheduler
        cache = configuration.cache
        self.logger = logger
        self.life = life
    }

    /// Reads and checks the bundle's files. Takes as long as reading the weights takes.
    func loadBundle() throws(FileError) -> ModelBundle { try ModelBundle.load(directory: directory) }

    /// A model whose engines have not been started.
    ///
    /// - Parameter loaded: called when all engines are ready, or one has failed or stopped before; with the device of the first.
    func makeModel(
        _ bundle: ModelBundle,
        metrics: ServiceMetrics,
        loaded: @escaping @Sendable (EnginePhase) -> Void
    ) -> ServedModel {
        let window = bundle.architecture.configuration.maxSequenceLength
        let gate = LoadGate(count: compute.devices.count, loaded)
        let engines = compute.devices.enumerated().map { index, device in
            Engine(
                scheduler,
                cache: cache,
                window: window,
                catalogue: bundle.catalogue,
                observer: ServiceObserver(device: device.description, metrics: metrics.engine, logger: logger) {
                    phase in
                    gate.report(phase, of: index)
                }
            )
        }
        return ServedModel(
            bundle: bundle,
            engines: EngineGroup(engines),
            devices: compute.devices.map(\.description)
        )
    }

    /// Starts the model's engines, each of which hands the weights to a device of its own. The server does not end before
    /// they do.
    ///
    /// - Throws: `EngineError` if the system has no thread to give. Engines that were started before go on until whoever calls
    ///   stops them or lets the model go; `loaded` has not been called by then.
    func start(_ model: ServedModel) throws(EngineError) {
        for (device, engine) in zip(compute.devices, model.engines.engines) {
            life.engineStarts()
            do throws(EngineError) {
                try engine.start(source(of: model.bundle, on: device), ended: { [life] in life.engineEnded() })
            } catch {
                life.engineEnded()
                throw error
            }
        }
    }

    /// Where an engine gets the model from, now and whenever its device has to be made again.
    private func source(of bundle: ModelBundle, on kind: ComputeSettings.DeviceKind) -> ModelSource {
        @Sendable func load(_ device: any Device) throws -> LoadedModel {
            LoadedModel(device: device, model: try ModelRegistry.makeModel(bundle, on: device), owner: bundle)
        }
        var source = ModelSource(
            backoff: compute.backoff,
            load: { [compute] in try load(try compute.makeDevice(kind)) }
        )
        if compute.fallback == .cpu {
            source.fallback = { [compute] in try load(try compute.makeFallback()) }
        }
        return source
    }
}

/// Waits until the engines of a model have all come as far as they will.
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

    /// Called more than once for an engine that serves and then stops; only what comes first counts.
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
