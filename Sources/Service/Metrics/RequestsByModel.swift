// What becomes of requests by the version that answers them: what the outcome of a split is read from.

internal import Engine
internal import Locking
internal import Telemetry

/// The instruments of requests by model and version.
final class RequestsByModel: Sendable {
    private struct Pair: Hashable {
        let name: String
        let version: String
    }

    private struct Instruments {
        let outcomes: [RecommendOutcome: Counter]
        let seconds: Histogram
    }

    /// As many pairs of model and version; the others share the label `other`.
    private static let pairLimit = 64

    private let outcomes: CounterFamily
    private let seconds: HistogramFamily
    private let known = Lock<[Pair: Instruments]>([:])

    init(_ registry: MetricRegistry) {
        outcomes = registry.counter(
            "genrec_model_requests_total",
            help: "Requests for recommendations by the version that they were for, and how they ended.",
            labels: ["model", "version", "outcome"],
            seriesLimit: (Self.pairLimit + 1) * RecommendOutcome.allCases.count
        )
        seconds = registry.histogram(
            "genrec_model_request_seconds",
            help: "Time from a request's last byte to its answer, by the version that answered.",
            unit: "seconds",
            labels: ["model", "version"],
            seriesLimit: Self.pairLimit + 1
        )
    }

    /// Counts a request.
    ///
    /// - Parameter arrival: of an answer that was given; nil: of a request without one.
    func count(_ outcome: RecommendOutcome, of model: ServedModel, arrival: Instant? = nil) {
        let pair = Pair(name: model.name.name, version: model.name.version)
        let instruments = known.withLock { known in
            if let own = known[pair] { return own }
            let name = known.count < Self.pairLimit ? (model.name.name, model.name.version) : ("other", "other")
            let own = Instruments(
                outcomes: Dictionary(
                    uniqueKeysWithValues: RecommendOutcome.allCases.map {
                        ($0, outcomes.with(name.0, name.1, $0.rawValue))
                    }
                ),
                seconds: seconds.with(name.0, name.1)
            )
            known[pair] = own
            return own
        }
        instruments.outcomes[outcome]?.increment()
        if let arrival { instruments.seconds.observe(Double(Instant.now().nanoseconds(since: arrival)) / 1e9) }
    }

    /// A model is served, perhaps again.
    func added(_ model: ServedModel) {
        known.withLock { $0[Pair(name: model.name.name, version: model.name.version)] = nil }
    }

    /// A model is no longer served. Those of its requests that are under way are counted where nobody sees it.
    func removed(_ model: ServedModel) {
        seconds.remove(model.name.name, model.name.version)
        for outcome in RecommendOutcome.allCases {
            outcomes.remove(model.name.name, model.name.version, outcome.rawValue)
        }
    }
}
