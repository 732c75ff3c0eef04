// Makes a served model of a bundle's directory: reads and checks the files, makes the engine, starts it on its device.

internal import Compute
internal import Engine
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
    func loadBundle() throws(BundleError) -> ModelBundle { try ModelBundle.load(directory: directory) }

    /// A model whose engine has not been started.
    ///
    /// - Parameter loaded: called when the engine has come as far as it will: ready, failed or stopped. Called again when
    ///   an engine that was ready stops.
    func makeModel(
        _ bundle: ModelBundle,
        metrics: ServiceMetrics,
        loaded: @escaping @Sendable (EnginePhase) -> Void
    ) -> ServedModel {
        let observer = ServiceObserver(metrics: metrics, logger: logger, loaded: loaded)
        let window = bundle.architecture.configuration.maxSequenceLength
        let engine = Engine(
            scheduler,
            cache: cache,
            window: window,
            catalogue: bundle.catalogue,
            observer: observer
        )
        return ServedModel(bundle: bundle, engine: engine)
    }

    /// Starts the model's engine, which hands the weights to a device of its own. The server does not end before it does.
    ///
    /// - Throws: `EngineError` if the system has no thread to give; `loaded` is not called then.
    func start(_ model: ServedModel) throws(EngineError) {
        life.engineStarts()
        do throws(EngineError) {
            try model.engine.start(
                load: { [bundle = model.bundle, compute] in
                    let device = try compute.makeDevice()
                    return LoadedModel(
                        device: device,
                        model: try ModelRegistry.makeModel(bundle, on: device),
                        owner: bundle
                    )
                },
                ended: { [life] in life.engineEnded() }
            )
        } catch {
            life.engineEnded()
            throw error
        }
    }
}
