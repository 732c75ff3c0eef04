// A request on its way through the engine, pass after pass: one pass for the k best items, one pass an item for a sequence,
// each generated item fed back before the next. A pure value; the engine's thread moves it on.

package import Compute

/// What a request asks to be computed next, and what it has got so far.
package struct Generation: Sendable {
    /// What a pass came to.
    package enum Progress: Sendable, Equatable {
        /// Another pass is needed.
        case goesOn
        case done
        /// The model's scores are not finite numbers.
        case failed
    }

    private let original: RecommendationRequest
    private var sampler: Sampler?
    /// What the next pass computes: the request with what was generated so far at the end of its history.
    package private(set) var next: RecommendationRequest
    /// Best or earliest first.
    package private(set) var items: [ScoredRow] = []
    /// Fewer items were eligible than asked for.
    package private(set) var isExhausted = false

    package init(_ request: RecommendationRequest) {
        original = request
        next = request
        guard case .sequence(let sampling) = request.mode else { return }
        sampler = sampling.map(Sampler.init)
        next.count = sampler == nil ? 1 : Sampler.maximumCandidates
    }

    /// Takes what a pass selected, best first.
    package mutating func take(_ selection: [ScoredRow]) -> Progress {
        guard selection.allSatisfy({ $0.score.isFinite }) else { return .failed }
        guard case .sequence = original.mode else {
            items = selection
            isExhausted = items.count < original.count
            return .done
        }
        guard let item = sampler == nil ? selection.first : sampler?.draw(selection) else {
            isExhausted = true
            return .done
        }
        items.append(item)
        // The model has seen the item as if it had happened at the time of the request.
        next.history.append(item.row)
        next.timestamps?.append(original.requestTime)
        if !next.actions.isEmpty { next.actions.append(0) }
        return items.count < original.count ? .goesOn : .done
    }
}
