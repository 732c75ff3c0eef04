// Turns an engine's reports into metrics, log lines and stages of the server's life cycle.

internal import Compute
internal import Engine
internal import Locking
internal import Logging
internal import Telemetry

/// Observes one engine.
final class ServiceObserver: EngineObserver {
    private let metrics: EngineMetrics
    private let logger: Logger
    private let loaded: @Sendable (EnginePhase) -> Void
    /// Name of the engine's own device.
    private let device: String
    /// This engine's share of the queue depth gauge, to which every engine adds.
    private let depth = Lock(0)
    /// This engine's share of the cache metrics of each model, to which every engine adds.
    private let caches = Lock<[ModelID: CacheShare]>([:])

    /// - Parameter loaded: called when the engine is ready, fails or stops, and whenever it is ready again.
    init(
        device: String,
        metrics: EngineMetrics,
        logger: Logger,
        loaded: @escaping @Sendable (EnginePhase) -> Void
    ) {
        self.device = device
        self.metrics = metrics
        self.logger = logger
        self.loaded = loaded
    }

    func batchFinished(_ report: BatchReport) {
        for wait in report.queueWaits { metrics.waited(nanoseconds: wait) }
        if let model = metrics.models[report.model] {
            model.batches.finished(report)
            model.paths.finished(report.paths)
        }
        metrics.devices.batchFinished(report, replacing: report.isFallback ? device : nil)
    }

    func deviceFailed(_ error: ComputeError, device name: String) {
        metrics.devices.failed(error, device: name)
        logger.error(
            "the device failed",
            metadata: [
                "device.name": "\(name)", "device.code": "\(error.code.rawValue)", "device.error": "\(error.message)",
            ]
        )
    }

    func deviceRecovered(_ device: String) {
        metrics.devices.recovered(device)
        logger.notice("the device is available again", metadata: ["device.name": "\(device)"])
    }

    func cancelled(at stage: CancellationStage) { metrics.count(stage) }

    func deduplicated(_ model: ModelID) { metrics.models[model]?.deduplicated.increment() }

    func computedInVain(nanoseconds: UInt64) { metrics.computedInVain(nanoseconds: nanoseconds) }

    func cachesChanged(to statistics: [ModelID: UserCache.Statistics]) {
        caches.withLock { shares in
            for (model, reported) in statistics {
                guard let metrics = metrics.models[model]?.cache ?? shares[model]?.metrics else { continue }
                shares[model, default: CacheShare(metrics)].change(to: reported, in: metrics)
            }
            // Models that the engine no longer has. Another engine may continue their series.
            for (model, share) in shares where statistics[model] == nil {
                share.end()
                shares[model] = nil
            }
        }
    }

    func queueDepthChanged(to depth: Int) {
        self.depth.withLock { known in
            metrics.changeQueueDepth(by: depth - known)
            known = depth
        }
    }

    func phaseChanged(to phase: EnginePhase) {
        switch phase {
        case .loading: break
        case .warming: logger.info("warming up")
        case .ready(let description):
            metrics.devices.setReady(description.name == device, device: device)
            for note in description.notes {
                logger.info("\(note)", metadata: ["device.name": "\(description.name)"])
            }
            if description.name != device {
                logger.warning(
                    "the fallback serves instead of the device",
                    metadata: ["device.name": "\(device)", "device.fallback": "\(description.name)"]
                )
            }
            loaded(phase)
        case .recovering(let reason):
            metrics.devices.setReady(false, device: device)
            logger.error("no device is available", metadata: ["device.name": "\(device)", "device.error": "\(reason)"])
        case .draining: logger.info("the engine finishes what it has admitted")
        case .failed: loaded(phase)
        case .stopped:
            // Reports of different threads may overtake each other. A stopped engine must leave nothing behind.
            queueDepthChanged(to: 0)
            cachesChanged(to: [:])
            loaded(phase)
        }
    }
}

/// What an engine has added to the cache metrics of a model.
private struct CacheShare {
    private(set) var metrics: UserCacheMetrics
    private(set) var statistics = UserCache.Statistics()

    init(_ metrics: UserCacheMetrics) { self.metrics = metrics }

    mutating func change(to reported: UserCache.Statistics, in current: UserCacheMetrics) {
        if !current.isSame(as: metrics) {
            // New items make another version: the user cache moves to it, the counts stay with the old one.
            end()
            metrics = current
            statistics.entries = 0
            statistics.bytes = 0
        }
        // Reports of different threads may overtake each other, but counters must not decrease.
        var next = reported
        next.hits = max(next.hits, statistics.hits)
        next.partialHits = max(next.partialHits, statistics.partialHits)
        next.misses = max(next.misses, statistics.misses)
        next.evictions = max(next.evictions, statistics.evictions)
        metrics.changed(from: statistics, to: next)
        statistics = next
    }

    /// Subtracts what is cached from the gauges, since nothing is cached any more.
    func end() {
        var none = statistics
        none.entries = 0
        none.bytes = 0
        metrics.changed(from: statistics, to: none)
    }
}
