// What the engine reports becomes metrics, log lines and stages of the server's life.

internal import Compute
internal import Engine
internal import Logging
internal import Models
internal import Synchronization

final class ServiceObserver: EngineObserver {
    private let metrics: ServiceMetrics
    private let logger: Logger
    private let bundle: ModelBundle
    private let life: Lifecycle
    /// Name of the device, once there is one.
    private let device = Mutex("none")

    init(metrics: ServiceMetrics, logger: Logger, bundle: ModelBundle, life: Lifecycle) {
        self.metrics = metrics
        self.logger = logger
        self.bundle = bundle
        self.life = life
    }

    func batchFinished(_ report: BatchReport) {
        metrics.batchFinished(report, device: device.withLock { $0 })
    }

    func deviceFailed(_ error: ComputeError) {
        let name = device.withLock { $0 }
        metrics.deviceFailed(error, device: name)
        logger.error(
            "the device failed",
            metadata: [
                "device.name": "\(name)", "device.code": "\(error.code.rawValue)", "device.error": "\(error.message)",
            ]
        )
    }

    func cancelled(at stage: CancellationStage) { metrics.count(stage) }
    func queueDepthChanged(to depth: Int) { metrics.setQueueDepth(depth) }

    func phaseChanged(to phase: EnginePhase) {
        switch phase {
        case .loading: break
        case .warming: logger.info("warming up")
        case .ready(let description):
            device.withLock { $0 = description.name }
            metrics.modelLoaded(
                name: bundle.configuration.name,
                version: bundle.configuration.version,
                architecture: bundle.architecture.name.rawValue,
                device: description
            )
            life.engineLoaded(phase)
        case .failed(let reason):
            logger.critical("the model could not be loaded", metadata: ["error": "\(reason)"])
            life.engineLoaded(phase)
        case .draining: logger.info("the engine finishes what it has admitted")
        case .stopped: life.engineLoaded(phase)
        }
    }
}
