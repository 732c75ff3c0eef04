// All metrics of the service. Each group declares its instruments next to the code that counts. This file has the
// outcomes of requests for recommendations.

package import Engine
package import Telemetry

/// The outcome of a request for recommendations; the label of `genrec_recommend_outcomes_total`.
package enum RecommendOutcome: String, Sendable, CaseIterable {
    /// The model's items, as many as requested.
    case ok
    /// Fewer items than requested, because no more were eligible.
    case partial
    /// Answered by popularity, because there is no history.
    case coldStart = "cold_start"
    /// Answered by popularity instead of a refusal.
    case degraded
    /// Refused: the queue was full.
    case rejectedQueue = "rejected_queue"
    /// Refused: the deadline could not be met.
    case rejectedDeadline = "rejected_deadline"
    /// The deadline passed in the queue.
    case expired
    /// The caller disconnected.
    case cancelled
    /// The body was malformed, or a value was not usable.
    case invalid
    /// The engine was not ready, the device failed, or the model's scores were not numbers.
    case failed
}

/// All instruments, created once.
package final class ServiceMetrics: Sendable {
    package let registry: MetricRegistry
    let http: HTTPMetrics
    let engine: EngineMetrics
    let model: ModelMetrics
    let shadow: ShadowMetrics
    let models: MetricsByModel
    let tls: TLSMetrics
    let store: StoreMetrics
    private let outcomes: [RecommendOutcome: Counter]

    /// - Parameters:
    ///   - scheduler: the limits of a batch, which bound the histograms of batches.
    ///   - window: the events that the model sees, which bound the histogram of histories.
    ///   - maxCandidates: the most candidates of a request, which bounds their histogram.
    package init(registry: MetricRegistry, scheduler: SchedulerConfiguration, window: Int, maxCandidates: Int) {
        self.registry = registry
        http = HTTPMetrics(registry)
        models = MetricsByModel(registry, scheduler: scheduler, window: window, maxCandidates: maxCandidates)
        engine = EngineMetrics(registry, models)
        model = ModelMetrics(registry)
        shadow = ShadowMetrics(registry)
        tls = TLSMetrics(registry: registry)
        store = StoreMetrics(registry)
        outcomes = registry.counter(
            "genrec_recommend_outcomes_total",
            help: "Requests for recommendations, by outcome.",
            labels: ["outcome"]
        ).all(RecommendOutcome.self)
        registry.gauge(
            "genrec_build_info",
            help: "The build of this process; always 1.",
            labels: ["version", "commit"]
        ).with(BuildInfo.version, BuildInfo.commit).set(1)
        ProcessMetrics.register(in: registry)
    }

    /// Records that a model is served and, if it replaces another, that the other no longer is.
    func served(_ next: ServedModel, replacing previous: ServedModel? = nil) {
        model.served(next, replacing: previous)
        _ = models.instruments(of: next)
        if let previous { models.removed(previous, replacedBy: next) }
    }

    /// Removes the metrics of a model that is no longer served.
    func removed(_ gone: ServedModel) {
        model.removed(gone)
        models.removed(gone)
    }

    func count(_ outcome: RecommendOutcome) { outcomes[outcome]?.increment() }
}

extension MetricFamily {
    /// An instrument for each case of an enumeration whose raw values are those of the family's only label.
    func all<Case: CaseIterable & Hashable & RawRepresentable<String>>(_: Case.Type) -> [Case: Instrument] {
        Dictionary(uniqueKeysWithValues: Case.allCases.map { ($0, with($0.rawValue)) })
    }
}
