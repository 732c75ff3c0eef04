// Searches for items that are token paths: one pass for the prompt, and one for each further token of the paths, with
// all beams of a request together.

package import Catalogue
package import Compute
internal import Models

/// Beam search for the best items, or along the paths of items that the caller names.
package struct PathSearch: Strategy {
    private enum Goal: Sendable {
        case best(count: Int)
        /// Rows of the catalogue.
        case scores([Int32])
    }

    private let goal: Goal
    private let widths: [Int]
    private var round: PathRound
    package private(set) var items: [ScoredRow] = []
    package private(set) var isExhausted = false
    private var isExact: Bool?

    package init(_ request: RecommendationRequest, _ paths: PathCatalogue, _ catalogue: CatalogueSnapshot) {
        let trie = paths.trie
        let filter: PathFilter
        var targets: PathFilter?
        if case .rank(let rows) = request.mode {
            goal = .scores(rows)
            // Wide enough to follow every candidate's path to its end. There may be no known candidate.
            widths = (0..<trie.levels).map { max(1, min(rows.count, trie.count(level: $0))) }
            let named = PathFilter(allowed: rows, excluded: [], in: trie)
            if paths.ids.normalization == .allowed {
                // Scores are normalised over all allowed tokens, as in a search without exclusions.
                targets = named
                let missing = catalogue.unavailableRows
                let candidates = Set(missing.isEmpty ? [] : rows)
                filter = PathFilter(allowed: nil, excluded: missing.filter { !candidates.contains($0) }, in: trie)
            } else {
                filter = named
            }
        } else {
            goal = .best(count: request.count)
            widths = request.paths.widths(count: request.count, paths.ids)
            filter = request.eligibility.pathFilter(
                history: request.history,
                catalogue: catalogue,
                in: trie,
                paths.positionSets
            )
        }
        round = PathRound(
            paths,
            BeamSearch(trie: trie, filter: filter, targets: targets, widths: widths, tail: paths.tail)
        )
    }

    package var question: Question { .paths(round) }
    package var hasBegun: Bool { round.search.round > 0 }
    package var beamRows: Int { round.beamRows }
    package var findsItemsOneByOne: Bool { false }

    package var laterSteps: Int { max(0, round.search.rounds - round.search.round - 1) }

    package var reservedRows: Int {
        let trie = round.paths.trie
        return BeamSearch.mostRows(
            widths: widths.enumerated().map { min($1, trie.count(level: $0)) },
            tail: round.paths.tail.count
        )
    }

    package func stepWork(after promptRows: Int) -> ComputeWork? {
        var work = ComputeWork()
        work.rows = hasBegun ? beamRows : max(1, reservedRows / max(1, round.search.rounds - 1))
        work.pairs = work.rows * (promptRows + round.search.round + 1)
        work.queries = work.rows
        return work
    }

    package var facts: Recommendation.PathFacts? {
        guard case .best = goal else { return nil }
        return Recommendation.PathFacts(beams: widths, isExact: isExact)
    }

    package mutating func take(_ answer: Answer) -> Progress {
        guard case .round(let next) = answer, !next.hasFailed else { return .failed }
        round = next
        guard round.search.isFinished else { return .searches }
        switch goal {
        case .best(let count):
            let found = round.search.items(count, itemsPerPath: round.paths.ids.itemsPerPath)
            items = found.map { ScoredRow(row: $0.item, score: $0.score) }
            // Narrow levels before the last one can also leave fewer items.
            isExhausted = items.count < count && round.search.filter.count(in: round.paths.trie) < count
            isExact = round.search.isExact(found, count: count)
        case .scores(let rows):
            let trie = round.paths.trie
            for row in rows {
                // Beams are in the order of their nodes.
                guard let score = round.search.score(ofLeaf: trie.leaf(of: row)) else { return .failed }
                items.append(ScoredRow(row: row, score: score))
            }
        }
        return .done
    }
}

extension PathOptions {
    /// The beam width of each level for this many items.
    func widths(count: Int, _ ids: SemanticIDs) -> [Int] {
        guard let widths else { return [Int](repeating: max(ids.defaultBeams, count), count: ids.levels) }
        return widths.count == ids.levels ? widths : [Int](repeating: widths.first ?? count, count: ids.levels)
    }
}
