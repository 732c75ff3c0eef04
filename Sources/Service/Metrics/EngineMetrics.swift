// Metrics of an engine's queue, which its models share. Reports on a model go to its ModelInstruments.

internal import Engine
internal import Synchronization
internal import Telemetry

/// The instruments of engines. All engines of the process share them.
final class EngineMetrics: Sendable {
    let devices: DeviceMetrics
    let models: MetricsByModel
    private let queueWait: Histogram
    private let queueDepth: Gauge
    private let cancelled: [CancellationStage: Counter]
    private let wasted = WastedTime()

    init(_ registry: MetricRegistry, _ models: MetricsByModel) {
        self.models = models
        devices = DeviceMetrics(registry)
        queueWait = registry.histogram(
            "genrec_queue_wait_seconds",
            help: "Time from a request's arrival to the start of its batch.",
            unit: "seconds"
        )
        queueDepth = registry.gauge("genrec_queue_depth", help: "Requests waiting to be computed.")
        cancelled = registry.counter(
            "genrec_cancelled_total",
            help: "Requests whose caller disconnected, by stage.",
            labels: ["stage"]
        ).all(CancellationStage.self)
        registry.counter(
            "genrec_wasted_compute_seconds_total",
            help:
                "Device time spent on requests whose callers had disconnected, except for rows that stay in the user cache.",
            unit: "seconds",
            read: { [wasted] in wasted.seconds }
        )
    }

    func waited(nanoseconds: UInt64) { queueWait.observe(Double(nanoseconds) / 1e9) }
    func changeQueueDepth(by difference: Int) { queueDepth.add(difference) }
    func count(_ stage: CancellationStage) { cancelled[stage]?.increment() }
    func computedInVain(nanoseconds: UInt64) { wasted.add(nanoseconds) }
}

/// Accumulated time, read as seconds.
private final class WastedTime: Sendable {
    private let nanoseconds = Atomic<UInt64>(0)

    func add(_ nanoseconds: UInt64) { self.nanoseconds.wrappingAdd(nanoseconds, ordering: .relaxed) }

    var seconds: Double { Double(nanoseconds.load(ordering: .relaxed)) / 1e9 }
}
