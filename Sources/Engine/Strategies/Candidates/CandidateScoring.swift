// Scores the rows that the caller names. The cost depends on their number, not on the size of the catalogue.

package import Compute

/// Query · candidates: one pass, every candidate's score in the candidates' order.
package struct CandidateScoring: Strategy {
    private let rows: [Int32]
    package private(set) var items: [ScoredRow] = []

    /// - Parameter rows: distinct rows of the item table.
    package init(_ rows: [Int32]) {
        self.rows = rows
    }

    package var question: Question { .scores(of: rows) }
    package var isExhausted: Bool { false }
    package var laterSteps: Int { 0 }
    package var findsItemsOneByOne: Bool { false }

    package mutating func take(_ answer: Answer) -> Progress {
        guard case .rows(let answer) = answer, answer.allSatisfy({ $0.score.isFinite }) else { return .failed }
        items = answer
        return .done
    }
}
