// Repeats answered requests on another version, so that it can be judged before users see it.

internal import Catalogue
internal import Compute
internal import Dispatch
internal import Engine

/// Shadow requests of a fleet.
final class ShadowTraffic: Sendable {
    private let fleet: Fleet
    private let metrics: ShadowMetrics
    /// Translates ids in the background; nothing waits for it.
    private let queue = DispatchQueue(label: "genrec.shadow", qos: .background)

    init(_ fleet: Fleet, metrics: ShadowMetrics) {
        self.fleet = fleet
        self.metrics = metrics
    }

    /// Runs an answered request on the versions that shadow its model. A shadow whose engines are busy drops it.
    ///
    /// - Parameters:
    ///   - answer: the reply sent to the caller.
    ///   - user: the user's id, or the request's id if there is none.
    func follow(_ request: RecommendationRequest, _ answer: Recommendation, by model: ServedModel, user: String) {
        // The tokens of a prompt belong to one model.
        guard case .topK = request.mode, answer.source == .model, request.paths.prompt == nil else { return }
        for shadow in fleet.shadows(of: model, user: user) {
            queue.async { self.compute(request, answer, model, shadow) }
        }
    }

    private func compute(
        _ request: RecommendationRequest,
        _ answer: Recommendation,
        _ model: ServedModel,
        _ shadow: ServedModel
    ) {
        guard shadow.engines.isIdle else { return metrics.dropped(shadow.name) }
        let (old, new) = (model.model.catalogue, shadow.model.catalogue)
        let start = Instant.now()
        let translated = request.translated(from: old, to: new, arrival: start)
        guard !translated.history.isEmpty else { return metrics.dropped(shadow.name) }
        do throws(EngineError) {
            _ = try shadow.engines.submit(translated, to: shadow.model) { [metrics] result in
                guard case .success(let found) = result else { return metrics.dropped(shadow.name) }
                let seconds = Double(Instant.now().nanoseconds(since: start)) / 1e9
                metrics.computed(shadow.name, overlap: answer.overlap(with: found, old, new), seconds: seconds)
            }
        } catch {
            metrics.dropped(shadow.name)
        }
    }
}

extension RecommendationRequest {
    /// The same request for another catalogue, at the lowest priority and without items unknown to that catalogue.
    fileprivate func translated(
        from old: CatalogueSnapshot,
        to new: CatalogueSnapshot,
        arrival: Instant
    ) -> RecommendationRequest {
        func row(_ row: Int32) -> Int32? { new.row(of: old.idDescription(row)) }
        func tag(_ tag: Int32) -> Int32? { new.tag(of: old.tagName(tag)) }
        var copy = self
        var kept: [Int] = []
        copy.history = []
        for (index, old) in history.enumerated() {
            guard let new = row(old) else { continue }
            copy.history.append(new)
            kept.append(index)
        }
        copy.timestamps = timestamps.map { times in kept.map { times[$0] } }
        copy.actions = actions.isEmpty ? [] : kept.map { actions[$0] }
        copy.eligibility.excludedRows = eligibility.excludedRows.compactMap(row)
        copy.eligibility.excludedTags = eligibility.excludedTags.compactMap(tag)
        copy.eligibility.allowance = eligibility.allowance.map {
            Eligibility.Allowance(rows: $0.rows.compactMap(row), tags: $0.tags.compactMap(tag))
        }
        copy.priority = .low
        copy.arrival = arrival
        copy.deadline = nil
        return copy
    }
}

extension Recommendation {
    /// The share of this reply's items that the other also has.
    fileprivate func overlap(
        with other: Recommendation,
        _ own: CatalogueSnapshot,
        _ others: CatalogueSnapshot
    ) -> Double {
        guard !items.isEmpty else { return other.items.isEmpty ? 1 : 0 }
        let ids = Set(items.map { own.idDescription($0.row) })
        return Double(other.items.count { ids.contains(others.idDescription($0.row)) }) / Double(items.count)
    }
}
