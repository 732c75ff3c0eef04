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

    /// Those of one version. A model keeps them: looking them up for each request would cost more than counting.
    struct Instruments {
        fileprivate let outcomes: [RecommendOutcome: Counter]
        fileprivate let seconds: Histogram
    }

    /// As many pairs of model and version; the others share the label `other`.
    private static let pairLimit = 64

    private let outcomes: CounterFamily
    private let seconds: HistogramFamily
    private let known = Lock<Set<Pair>>([])

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
        let instruments = model.residence.instruments.withLock { own in
            if let own { return own }
            let made = makeInstruments(of: model)
            own = made
            return made
        }
        instruments.outcomes[outcome]?.increment()
        if let arrival { instruments.seconds.observe(Double(Instant.now().nanoseconds(since: arrival)) / 1e9) }
    }

    private func makeInstruments(of model: ServedModel) -> Instruments {
        let pair = Pair(name: model.name.name, version: model.name.version)
        let isNamed = known.withLock { known in
            if known.count < Self.pairLimit { known.insert(pair) }
            return known.contains(pair)
        }
        let (name, version) = isNamed ? (pair.name, pair.version) : ("other", "other")
        return Instruments(
            outcomes: Dictionary(
                uniqueKeysWithValues: RecommendOutcome.allCases.map { ($0, outcomes.with(name, version, $0.rawValue)) }
            ),
            seconds: seconds.with(name, version)
        )
    }

    /// A model is no longer served. Those of its requests that are under way are counted where nobody sees it.
    func removed(_ model: ServedModel) {
        known.withLock { _ = $0.remove(Pair(name: model.name.name, version: model.name.version)) }
        seconds.remove(model.name.name, model.name.version)
        for outcome in RecommendOutcome.allCases {
            outcomes.remove(model.name.name, model.name.version, outcome.rawValue)
        }
    }
}
