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

    /// Scans of the whole catalogue that it takes.
    package var scans: Int {
        switch self {
        case .best: 1
        case .scores: 0
        }
    }
}

/// What an answer came to.
package enum Progress: Sendable, Equatable {
    /// Another pass is needed, which sees this row of the item table behind all that the one before saw.
    case goesOn(seeing: Int32)
    /// Another pass is needed, which sees what the one before saw and is asked something else.
    case asksAgain
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

    /// Takes the answer to `question`.
    mutating func take(_ answer: [ScoredRow]) -> Progress
}

extension RecommendationRequest {
    /// The strategy that answers the request.
    package func strategy(_ catalogue: CatalogueSnapshot) -> any Strategy {
        switch mode {
        case .topK, .sequence: Generation(self, catalogue)
        case .rank(let rows): CandidateScoring(rows)
        }
    }
}
