// Metrics of one version of a model: requests, batches, cached user state, searches. EngineMetrics and DeviceMetrics
// cover the queue and the devices, which models share.

internal import Compute
internal import Engine
internal import Locking
internal import Telemetry

/// The labels of a version.
struct ModelLabels: Hashable {
    /// The first labels of every family that is kept per version.
    static let names = ["model", "version"]
    /// The labels of versions beyond the limit.
    static let other = ModelLabels("other", "other")

    let model: String
    let version: String

    init(_ model: String, _ version: String) {
        self.model = model
        self.version = version
    }

    init(_ model: ServedModel) { self.init(model.name.name, model.name.version) }
}

/// The instruments of one version. A model keeps them, because looking them up for each request would cost more than
/// counting. A class, because copying them for each request would, too.
final class ModelInstruments: Sendable {
    let batches: BatchMetrics
    let cache: UserCacheMetrics
    let paths: PathMetrics
    let deduplicated: Counter
    let unknownItems: Counter
    let strangeHistories: Counter
    let historyLength: Histogram
    let candidates: Histogram
    private let outcomes: [RecommendOutcome: Counter]
    private let seconds: Histogram

    fileprivate init(_ families: ModelFamilies, _ labels: ModelLabels) {
        batches = BatchMetrics(families.batches, labels)
        cache = UserCacheMetrics(families.cache, labels)
        paths = PathMetrics(families.paths, labels)
        deduplicated = families.deduplicated.with(labels)
        unknownItems = families.unknownItems.with(labels)
        strangeHistories = families.strangeHistories.with(labels)
        historyLength = families.historyLength.with(labels)
        candidates = families.candidates.with(labels)
        outcomes = families.outcomes.all(RecommendOutcome.self, labels)
        seconds = families.seconds.with(labels)
    }

    /// Counts a request.
    ///
    /// - Parameter arrival: when an answered request arrived; nil: the request was not answered.
    func count(_ outcome: RecommendOutcome, arrival: Instant? = nil) {
        outcomes[outcome]?.increment()
        if let arrival { seconds.observe(Double(Instant.now().nanoseconds(since: arrival)) / 1e9) }
    }
}

/// The families of `ModelInstruments`.
private struct ModelFamilies: Sendable {
    let batches: BatchMetrics.Families
    let cache: UserCacheMetrics.Families
    let paths: PathMetrics.Families
    let deduplicated: CounterFamily
    let unknownItems: CounterFamily
    let strangeHistories: CounterFamily
    let historyLength: HistogramFamily
    let candidates: HistogramFamily
    let outcomes: CounterFamily
    let seconds: HistogramFamily

    init(_ registry: MetricRegistry, scheduler: SchedulerConfiguration, window: Int, maxCandidates: Int) {
        batches = BatchMetrics.Families(registry, scheduler: scheduler)
        cache = UserCacheMetrics.Families(registry)
        paths = PathMetrics.Families(registry)
        deduplicated = registry.counter(
            "genrec_deduplicated_requests_total",
            help: "Requests answered by the computation of an identical waiting request.",
            labels: ModelLabels.names
        )
        unknownItems = registry.counter(
            "genrec_unknown_items_total",
            help: "Item ids in requests that are not in the catalogue.",
            labels: ModelLabels.names
        )
        strangeHistories = registry.counter(
            "genrec_unknown_histories_total",
            help: "Histories of at least five events, less than a tenth of which are in the catalogue.",
            labels: ModelLabels.names
        )
        historyLength = registry.histogram(
            "genrec_history_length",
            help: "Events in the histories of requests, before the window cuts them.",
            buckets: .powersOfTwo(upTo: max(window * 4, 16)),
            labels: ModelLabels.names
        )
        candidates = registry.histogram(
            "genrec_rank_candidates",
            help: "Candidates in ranking requests, known or unknown.",
            buckets: .powersOfTwo(upTo: maxCandidates),
            labels: ModelLabels.names
        )
        outcomes = registry.counter(
            "genrec_model_requests_total",
            help: "Requests for recommendations, by version and outcome.",
            labels: ModelLabels.names + ["outcome"]
        )
        seconds = registry.histogram(
            "genrec_model_request_seconds",
            help: "Time from a request's last byte to its reply, by the version that answered.",
            unit: "seconds",
            labels: ModelLabels.names
        )
    }

    /// Removes the series of a version.
    func remove(_ labels: ModelLabels) {
        batches.remove(labels)
        cache.remove(labels)
        paths.remove(labels)
        for family in [deduplicated, unknownItems, strangeHistories] { family.remove(labels) }
        for family in [historyLength, candidates, seconds] { family.remove(labels) }
        outcomes.remove(RecommendOutcome.self, labels)
    }
}

/// The instruments of all versions, found by served model or by the engines' model id.
final class MetricsByModel: Sendable {
    private struct State {
        /// Versions with labels of their own.
        var named: Set<ModelLabels> = []
        var instruments: [ModelID: ModelInstruments] = [:]
    }

    /// The most versions with labels of their own; the others share the labels `other`.
    static let limit = 64

    private let families: ModelFamilies
    private let state = Lock(State())

    init(_ registry: MetricRegistry, scheduler: SchedulerConfiguration, window: Int, maxCandidates: Int) {
        families = ModelFamilies(registry, scheduler: scheduler, window: window, maxCandidates: maxCandidates)
    }

    /// A model's instruments. From now on they also receive the engines' reports on the model.
    func instruments(of model: ServedModel) -> ModelInstruments {
        model.residence.instruments.withLock { own in
            if let own { return own }
            let labels = ModelLabels(model)
            let made = state.withLock { state in
                if state.named.count < Self.limit { state.named.insert(labels) }
                let made = ModelInstruments(families, state.named.contains(labels) ? labels : .other)
                state.instruments[model.model.id] = made
                return made
            }
            own = made
            return made
        }
    }

    /// The instruments for an engine's report; nil if the model is no longer served, since nobody would see them.
    subscript(id: ModelID) -> ModelInstruments? { state.withLock { $0.instruments[id] } }

    /// Removes the series of a model that is no longer served. Requests still in flight count into the removed series.
    ///
    /// - Parameter next: its replacement. One with the same version continues the same series. One that differs only in
    ///   its items is the same model to the engines.
    func removed(_ model: ServedModel, replacedBy next: ServedModel? = nil) {
        let labels = ModelLabels(model)
        state.withLock { state in
            if next?.model.id != model.model.id { state.instruments[model.model.id] = nil }
            guard next.map({ ModelLabels($0) }) != labels else { return }
            state.named.remove(labels)
            families.remove(labels)
        }
    }
}

extension MetricFamily {
    /// The instrument of a version.
    func with(_ labels: ModelLabels) -> Instrument { with(labels.model, labels.version) }

    /// Removes the series of a version.
    func remove(_ labels: ModelLabels) { remove(labels.model, labels.version) }

    /// A version's instruments for each case of an enumeration whose raw values are those of the family's last label.
    func all<Case: CaseIterable & Hashable & RawRepresentable<String>>(
        _: Case.Type,
        _ labels: ModelLabels
    ) -> [Case: Instrument] {
        Dictionary(
            uniqueKeysWithValues: Case.allCases.map { ($0, with(labels.model, labels.version, $0.rawValue)) }
        )
    }

    /// Removes the series of a version.
    func remove<Case: CaseIterable & RawRepresentable<String>>(_: Case.Type, _ labels: ModelLabels) {
        for value in Case.allCases { remove(labels.model, labels.version, value.rawValue) }
    }
}
