// Metrics of a full ranking with one relevant item a user, as generative-recommenders computes them
// (research/data/eval.py): HR@K = [rank ≤ K], NDCG@K = [rank ≤ K] / log2(rank + 1), MRR = 1 / rank.

internal import Foundation

/// Sums over users; a pure value.
package struct RankingMetrics: Sendable, Equatable {
    package static let hitRateCutoffs = [1, 10, 50, 200]
    package static let gainCutoffs = [10, 50, 200]

    package private(set) var users = 0
    private var hits = [Int](repeating: 0, count: hitRateCutoffs.count)
    private var gains = [Double](repeating: 0, count: gainCutoffs.count)
    private var reciprocalRanks = 0.0

    package init() {}

    /// Counts a user whose relevant item came at `rank` (1 is best).
    package mutating func add(rank: Int) {
        users += 1
        for (index, cutoff) in Self.hitRateCutoffs.enumerated() where rank <= cutoff { hits[index] += 1 }
        for (index, cutoff) in Self.gainCutoffs.enumerated() where rank <= cutoff {
            gains[index] += 1 / log2(Double(rank) + 1)
        }
        reciprocalRanks += 1 / Double(rank)
    }

    /// Names and means in the order in which they are reported: `hr@…`, `ndcg@…`, `mrr`. All 0 without users.
    package var means: [(name: String, value: Double)] {
        let count = Double(max(users, 1))
        return zip(Self.hitRateCutoffs, hits).map { ("hr@\($0)", Double($1) / count) }
            + zip(Self.gainCutoffs, gains).map { ("ndcg@\($0)", $1 / count) }
            + [("mrr", reciprocalRanks / count)]
    }
}
