// Rows of the item table by their scores over the whole catalogue: one pass for the k best items, one pass an item for a
// sequence, each generated item fed back before the next.

package import Catalogue
package import Compute

/// Query · catalogue: the k best, or one item after another.
package struct Generation: Strategy {
    private let count: Int
    private let eligibility: Eligibility
    private let catalogue: CatalogueSnapshot
    private let isSequence: Bool
    private var sampler: Sampler?
    /// Of the request, and what was generated since.
    private var history: [Int32]
    package private(set) var items: [ScoredRow] = []
    package private(set) var isExhausted = false

    package init(_ request: RecommendationRequest, _ catalogue: CatalogueSnapshot) {
        count = request.count
        eligibility = request.eligibility
        self.catalogue = catalogue
        history = request.history
        guard case .sequence(let sampling) = request.mode else {
            isSequence = false
            return
        }
        isSequence = true
        sampler = sampling.map(Sampler.init)
    }

    package var question: Question {
        let wanted = isSequence ? (sampler == nil ? 1 : Sampler.maximumCandidates) : count
        return .best(count: wanted, eligibility, history: history, catalogue)
    }
    package var laterSteps: Int { isSequence ? max(0, count - items.count - 1) : 0 }
    package var findsItemsOneByOne: Bool { isSequence }

    package mutating func take(_ answer: [ScoredRow]) -> Progress {
        guard answer.allSatisfy({ $0.score.isFinite }) else { return .failed }
        guard isSequence else {
            items = answer
            isExhausted = items.count < count
            return .done
        }
        guard let item = sampler == nil ? answer.first : sampler?.draw(answer) else {
            isExhausted = true
            return .done
        }
        items.append(item)
        history.append(item.row)
        return items.count < count ? .goesOn(seeing: item.row) : .done
    }
}
