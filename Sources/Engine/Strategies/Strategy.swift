// A way to decode: the questions that a request asks of its newest row, pass by pass, and what it does with the
// answers. The scheduler, the cache and admission see only rows, pages and cost.

package import Catalogue
package import Compute

/// A question asked of the newest row of an encoded history.
package enum Question: Sendable {
    /// The best eligible rows, best first, ties toward the smaller row.
    ///
    /// - `count`: how many, at least 1; fewer if fewer are eligible.
    /// - `history`: rows that count as seen.
    case best(count: Int, Eligibility, history: [Int32], CatalogueSnapshot)
    /// The scores of these rows of the item table, in their order.
    case scores(of: [Int32])
    /// The log-probabilities of a search's candidate tokens. In the first round they follow the newest row, in later
    /// rounds each of the beams, which are then the only rows computed.
    case paths(PathRound)

    /// Scans of the whole catalogue, or of the vocabulary, that it needs.
    package var scans: Int {
        switch self {
        case .best: 1
        case .scores: 0
        case .paths(let round): round.queryRows
        }
    }

    /// Beam rows, computed instead of the history's; 0: the history's rows are computed.
    package var beamRows: Int {
        if case .paths(let round) = self { round.beamRows } else { 0 }
    }
}

/// The answer to a question.
package enum Answer: Sendable {
    /// Rows of the item table with their scores.
    case rows([ScoredRow])
    /// The search after the round.
    case round(PathRound)
}

/// The effect of an answer.
package enum Progress: Sendable, Equatable {
    /// Another pass is needed, with this row of the item table appended to the input.
    case goesOn(seeing: Int32)
    /// Another pass is needed, with the same input and another question.
    case asksAgain
    /// Another pass is needed, for the beams of the next question.
    case searches
    case done
    /// The model's scores are not finite numbers.
    case failed
}

/// How one request is decoded, and how far it is. A pure value; the engine's thread advances it.
package protocol Strategy: Sendable {
    /// The question of the next pass.
    var question: Question { get }
    /// The items found, in the reply's order.
    var items: [ScoredRow] { get }
    /// Fewer items were eligible than requested.
    var isExhausted: Bool { get }
    /// The maximum number of passes after the next one.
    var laterSteps: Int { get }
    /// Whether an item is final as soon as it is found, so that callers may receive each.
    var findsItemsOneByOne: Bool { get }

    /// Whether a question has been answered.
    var hasBegun: Bool { get }

    /// Beam rows that the next pass computes; 0: it computes rows of the history.
    var beamRows: Int { get }
    /// Rows that must be kept in addition to the history's until the answer is complete. They are all allocated before
    /// the first pass, so that a started job can always finish. 0: none.
    var reservedRows: Int { get }
    /// The average work of a later pass; nil: the work of one more row.
    func stepWork(after historyRows: Int) -> ComputeWork?
    /// Facts about a search for the reply; nil if there was none.
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
    /// The strategy that answers the request if items are rows of the table.
    package func strategy(_ catalogue: CatalogueSnapshot) -> any Strategy {
        switch mode {
        case .topK, .sequence: Generation(self, catalogue)
        case .rank(let rows): CandidateScoring(rows)
        }
    }
}
