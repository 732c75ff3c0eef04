// Metrics of versions that shadow others.

internal import Telemetry

/// The instruments of shadow traffic.
final class ShadowMetrics: Sendable {
    private let requests: CounterFamily
    private let drops: CounterFamily
    private let overlap: HistogramFamily
    private let seconds: HistogramFamily

    init(_ registry: MetricRegistry) {
        requests = registry.counter(
            "genrec_shadow_requests_total",
            help: "Requests that a shadow version also computed.",
            labels: ModelLabels.names,
            seriesLimit: MetricsByModel.limit
        )
        drops = registry.counter(
            "genrec_shadow_dropped_total",
            help: "Requests that a shadow version did not compute, because others were waiting or it could not.",
            labels: ModelLabels.names,
            seriesLimit: MetricsByModel.limit
        )
        overlap = registry.histogram(
            "genrec_shadow_overlap",
            help: "Share of a reply's items that the shadow version also returned.",
            buckets: HistogramBuckets([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]),
            labels: ModelLabels.names,
            seriesLimit: MetricsByModel.limit
        )
        seconds = registry.histogram(
            "genrec_shadow_seconds",
            help: "Duration of a shadow computation.",
            unit: "seconds",
            labels: ModelLabels.names,
            seriesLimit: MetricsByModel.limit
        )
    }

    func computed(_ model: RecommendReply.Model, overlap share: Double, seconds duration: Double) {
        requests.with(model.name, model.version).increment()
        overlap.with(model.name, model.version).observe(share)
        seconds.with(model.name, model.version).observe(duration)
    }

    func dropped(_ model: RecommendReply.Model) { drops.with(model.name, model.version).increment() }
}
