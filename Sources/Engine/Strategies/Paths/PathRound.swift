// A beam search between two passes: what the next pass computes, and how its results advance the search.

package import Catalogue
package import Compute

/// A round of a search over token paths.
package struct PathRound: Sendable {
    package let paths: PathCatalogue
    package private(set) var search: BeamSearch
    /// The tokens scored next; nil if the search is over.
    package private(set) var candidates: BeamSearch.Candidates?
    /// The model's scores were not finite numbers.
    package private(set) var hasFailed = false

    init(_ paths: PathCatalogue, _ search: BeamSearch) {
        self.paths = paths
        self.search = search
        candidates = search.isFinished ? nil : search.candidates()
    }

    /// Beam rows to compute. 0 in the first round, which scores after the prompt's newest row.
    package var beamRows: Int { search.round == 0 ? 0 : search.beams.count }
    /// Rows after which tokens are scored.
    package var queryRows: Int { candidates.map { $0.offsets.count - 1 } ?? 0 }
    /// Beam rows stored in earlier rounds.
    package var keptRows: Int { search.keptRows }
    /// Whether later rounds read the keys and values of this one's rows.
    package var keepsRows: Bool { search.round + 1 < search.rounds }
    /// The normalisation of the token probabilities.
    package var normalization: TokenNormalization { paths.normalization(level: search.level) }

    /// The round after this one.
    ///
    /// - Parameter logProbabilities: one per token of `candidates`.
    package func advanced(_ logProbabilities: [Float]) -> PathRound {
        guard let candidates else { return self }
        var next = self
        next.hasFailed = !logProbabilities.allSatisfy(\.isFinite)
        next.search.advance(candidates, logProbabilities: logProbabilities)
        next.candidates = next.search.isFinished ? nil : next.search.candidates()
        return next
    }
}
