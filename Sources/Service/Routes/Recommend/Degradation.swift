// Answers in place of refusals: the popular items, when the model cannot be asked in time.

internal import Catalogue
internal import Dispatch
internal import Engine
internal import Synchronization

extension RequestHandler {
    /// A completion that answers by popularity what would be refused.
    ///
    /// - Parameter hasBegun: whether the caller has been told of items of the model's already; those cannot be taken back.
    func degrading(
        _ request: RecommendationRequest,
        _ catalogue: CatalogueSnapshot,
        hasBegun: @escaping @Sendable () -> Bool,
        _ completion: @escaping Engine.Completion
    ) -> Engine.Completion {
        { [self] result in
            guard case .failure(let error) = result, let reason = error.degradation, !hasBegun() else {
                return completion(result)
            }
            answerByPopularity(request, catalogue, reason, completion)
        }
    }

    /// Answers by popularity, and says why.
    func answerByPopularity(
        _ request: RecommendationRequest,
        _ catalogue: CatalogueSnapshot,
        _ reason: Recommendation.Degradation,
        _ completion: @escaping Engine.Completion
    ) {
        let answer: @Sendable () -> Void = { completion(.success(catalogue.degraded(request, reason))) }
        // Who calls is a loop or an engine's thread: neither walks through a catalogue.
        if request.eligibility.isCheap { answer() } else { batches.async(execute: answer) }
    }
}

/// A flag that is set once.
final class Flag: Sendable {
    private let value = Atomic<Bool>(false)

    var isSet: Bool { value.load(ordering: .acquiring) }
    func set() { value.store(true, ordering: .releasing) }
}

extension EngineError {
    /// What the reply says of an answer by popularity; nil: there is none in place of this.
    var degradation: Recommendation.Degradation? {
        switch code {
        case .queueFull: .queueFull
        case .deadlineUnreachable: .deadline
        case .expired: .expired
        case .deviceFailed, .recovering: .device
        case .unavailable, .computationFailed, .tooLarge: nil
        }
    }
}

extension CatalogueSnapshot {
    /// The most popular items, in place of the model's.
    fileprivate func degraded(
        _ request: RecommendationRequest,
        _ reason: Recommendation.Degradation
    ) -> Recommendation {
        let items = mostPopular(request.count, request.eligibility, history: request.history)
        var answer = Recommendation(
            items: items,
            source: .popularity,
            historyUsed: 0,
            exhausted: items.count < request.count,
            timing: .init()
        )
        answer.degradation = reason
        return answer
    }
}
