// The queue in front of an engine. What an engine reports beside it has a group each: batches, users' cache, devices.

internal import Engine
internal import Synchronization
internal import Telemetry

/// The instruments of engines; all engines of the process count into the same ones.
final class EngineMetrics: Sendable {
    let batches: BatchMetrics
    let cache: UserCacheMetrics
    let devices: DeviceMetrics
    let paths: PathMetrics
    let deduplicated: Counter
    private let queueDepth: Gauge
    private let cancelled: [CancellationStage: Counter]
    private let wasted = WastedTime()

    /// - Parameter scheduler: limits of a batch, which bound the histograms of batches.
    init(_ registry: MetricRegistry, scheduler: SchedulerConfiguration) {
        batches = BatchMetrics(registry, scheduler: scheduler)
        cache = UserCacheMetrics(registry)
        devices = DeviceMetrics(registry)
        paths = PathMetrics(registry)
        deduplicated = registry.counter(
            "genrec_deduplicated_requests_total",
            help: "Requests answered by the computation of an identical one that was waiting."
        )
        queueDepth = registry.gauge("genrec_queue_depth", help: "Requests that wait to be computed.")
        cancelled = registry.counter(
            "genrec_cancelled_total",
            help: "Requests whose caller disconnected, by how far they had come.",
            labels: ["stage"]
        ).all(CancellationStage.self)
        registry.counter(
            "genrec_wasted_compute_seconds_total",
            help: "Device time of requests whose callers had disconnected, without rows that stay in the user cache.",
            unit: "seconds",
            read: { [wasted] in wasted.seconds }
        )
    }

    func changeQueueDepth(by difference: Int) { queueDepth.add(difference) }
    func count(_ stage: CancellationStage) { cancelled[stage]?.increment() }
    func computedInVain(nanoseconds: UInt64) { wasted.add(nanoseconds) }
}

/// Time that adds up, read as seconds.
private final class WastedTime: Sendable {
    private let nanoseconds = Atomic<UInt64>(0)

    func add(_ nanoseconds: UInt64) { self.nanoseconds.wrappingAdd(nanoseconds, ordering: .relaxed) }

    var seconds: Double { Double(nanoseconds.load(ordering: .relaxed)) / 1e9 }
}
