// Selects rows of the item table by their scores over the whole catalogue: one pass for the k best items, or one pass
// per item of a sequence, with each generated item fed back. A limit on tags may need more passes.

package import Catalogue
package import Compute

/// Query · catalogue: the k best items, or one item after another.
package struct Generation: Strategy {
    private let count: Int
    private let eligibility: Eligibility
    private let catalogue: CatalogueSnapshot
    private let isSequence: Bool
    private var sampler: Sampler?
    /// The tag counts of the items; nil: tags are not limited.
    private var quota: TagQuota?
    /// The request's history, followed by generated items.
    private var history: [Int32]
    package private(set) var items: [ScoredRow] = []
    package private(set) var isExhausted = false

    package init(_ request: RecommendationRequest, _ catalogue: CatalogueSnapshot) {
        count = request.count
        eligibility = request.eligibility
        self.catalogue = catalogue
        history = request.history
        quota = request.eligibility.diversity.map { TagQuota($0, catalogue) }
        guard case .sequence(let sampling) = request.mode else {
            isSequence = false
            return
        }
        isSequence = true
        sampler = sampling.map(Sampler.init)
    }

    package var question: Question { .best(count: wanted, remaining, history: history, catalogue) }
    package var laterSteps: Int { isSequence ? max(0, count - items.count - 1) : 0 }
    package var findsItemsOneByOne: Bool { isSequence }

    /// How many items are requested.
    private var wanted: Int {
        if isSequence { return sampler == nil ? 1 : Sampler.maximumCandidates }
        // The quota will skip some. A longer list costs little; another pass costs much.
        return quota == nil ? count : 4 * (count - items.count)
    }

    /// The rows still allowed.
    private var remaining: Eligibility {
        guard let quota, !items.isEmpty else { return eligibility }
        var eligibility = eligibility
        // This also excludes the skipped rows, which all have one of these tags.
        eligibility.excludedTags += quota.usedUpTags
        if !isSequence { eligibility.excludedRows += items.map(\.row) }
        return eligibility
    }

    package mutating func take(_ answer: Answer) -> Progress {
        guard case .rows(let answer) = answer, answer.allSatisfy({ $0.score.isFinite }) else { return .failed }
        guard isSequence else { return takeBest(answer) }
        guard let item = sampler == nil ? answer.first : sampler?.draw(answer) else {
            isExhausted = true
            return .done
        }
        _ = quota?.takes(item.row)
        items.append(item)
        history.append(item.row)
        return items.count < count ? .goesOn(seeing: item.row) : .done
    }

    private mutating func takeBest(_ answer: [ScoredRow]) -> Progress {
        let isAll = answer.count < wanted
        if quota == nil {
            items = answer
        } else {
            for item in answer where items.count < count && quota?.takes(item.row) ?? true { items.append(item) }
            // The first item of an answer is never skipped, so this terminates.
            if items.count < count, !isAll { return .asksAgain }
        }
        isExhausted = items.count < count
        return .done
    }
}
