// A way to decode: what a request asks of its newest row, pass after pass, and what it makes of the answers. The scheduler, the
// cache and admission see rows, pages and cost; what they are for is known here alone.

package import Catalogue
package import Compute

/// What is asked of the newest row of a history once it is encoded.
package enum Question: Sendable {
    /// The best rows that a request may be answered with, best first, ties toward the smaller row.
    ///
    /// - `count`: how many, at least 1; fewer come where fewer are eligible.
    /// - `history`: rows that count as seen.
    case best(count: Int, Eligibility, history: [Int32], CatalogueSnapshot)
    /// The scores of these rows of the item table, in their order.
    case scores(of: [Int32])
    /// The probabilities of the tokens that a search goes on with: after the newest row in its first round, after each of its
    /// beams in later ones, which are then all that is computed.
    case paths(PathRound)

    /// Scans of the whole catalogue, or of the vocabulary, that it takes.
    package var scans: Int {
        switch self {
        case .best: 1
        case .scores: 0
        case .paths(let round): round.queryRows
        }
    }

    /// Rows that are computed in place of the history's; 0: the history's are.
    package var beamRows: Int {
        if case .paths(let round) = self { round.beamRows } else { 0 }
    }
}

/// What a question is answered with.
package enum Answer: Sendable {
    /// Rows of the item table with their scores.
    case rows([ScoredRow])
    /// The search after the round.
    case round(PathRound)
}

/// What an answer came to.
package enum Progress: Sendable, Equatable {
    /// Another pass is needed, which sees this row of the item table behind all that the one before saw.
    case goesOn(seeing: Int32)
    /// Another pass is needed, which sees what the one before saw and is asked something else.
    case asksAgain
    /// Another pass is needed, for the beams of the next question.
    case searches
    case done
    /// The model's scores are not finite numbers.
    case failed
}

/// A request on its way through the engine. A pure value; the engine's thread moves it on.
package protocol Strategy: Sendable {
    /// What the newest row is asked.
    var question: Question { get }
    /// What has been found, in the order of the reply.
    var items: [ScoredRow] { get }
    /// Fewer items were eligible than asked for.
    var isExhausted: Bool { get }
    /// Passes after the next one, at most.
    var laterSteps: Int { get }
    /// Whether an item is final as soon as it is found, so that callers may be told of each.
    var findsItemsOneByOne: Bool { get }

    /// Whether a question has been answered.
    var hasBegun: Bool { get }

    /// Rows of beams that the next pass computes; 0: rows of the history.
    var beamRows: Int { get }
    /// Rows that must be kept beside the history's until the answer is there. They and the history's have their places before
    /// the first pass, so that whatever has begun can end. 0: it gets by without any.
    var reservedRows: Int { get }
    /// What a later pass takes, on average, where that is not one row more; nil: it is.
    func stepWork(after historyRows: Int) -> ComputeWork?
    /// What a reply says of a search; nil: there was none.
    var facts: Recommendation.PathFacts? { get }

    /// Takes the answer to `question`.
    mutating func take(_ answer: Answer) -> Progress
}

extension Strategy {
    package var hasBegun: Bool { !items.isEmpty }
    package var beamRows: Int { 0 }
    package var reservedRows: Int { 0 }
    package func stepWork(after historyRows: Int) -> ComputeWork? { nil }
    package var facts: Recommendation.PathFacts? { nil }
}

extension RecommendationRequest {
    /// The strategy that answers the request, where items are rows of the table.
    package func strategy(_ catalogue: CatalogueSnapshot) -> any Strategy {
        switch mode {
        case .topK, .sequence: Generation(self, catalogue)
        case .rank(let rows): CandidateScoring(rows)
        }
    }
}
