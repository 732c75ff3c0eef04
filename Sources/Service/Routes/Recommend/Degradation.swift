// Answers with popular items instead of a refusal when the model cannot answer in time.

internal import Catalogue
internal import Dispatch
internal import Engine
internal import Synchronization

extension RequestHandler {
    /// A completion that answers by popularity instead of a refusal.
    ///
    /// - Parameter hasBegun: whether items of the model have already been sent, which cannot be withdrawn.
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

    /// Answers by popularity, with the reason.
    func answerByPopularity(
        _ request: RecommendationRequest,
        _ catalogue: CatalogueSnapshot,
        _ reason: Recommendation.Degradation,
        _ completion: @escaping Engine.Completion
    ) {
        let answer: @Sendable () -> Void = { completion(.success(catalogue.degraded(request, reason))) }
        // The calling thread is a loop's or an engine's, which must not scan a catalogue.
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
    /// The reason for an answer by popularity, as the reply gives it; nil: the error is reported as it is.
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
    /// The most popular items, instead of the model's.
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
