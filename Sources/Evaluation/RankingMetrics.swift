// Metrics of a full ranking with one relevant item per user, as generative-recommenders computes them
// (research/data/eval.py): HR@K = [rank ≤ K], NDCG@K = [rank ≤ K] / log2(rank + 1), MRR = 1 / rank.

internal import Foundation

/// Sums over users; a pure value.
package struct RankingMetrics: Sendable, Equatable {
    private static let hitRateCutoffs = [1, 10, 50, 200]
    private static let gainCutoffs = [10, 50, 200]

    /// Ranks beyond it count only in `mrr`.
    static var largestCutoff: Int? { (hitRateCutoffs + gainCutoffs).max() }

    /// The metrics in report order: `hr@…`, `ndcg@…`, `mrr`.
    package static let names = hitRateCutoffs.map { "hr@\($0)" } + gainCutoffs.map { "ndcg@\($0)" } + ["mrr"]

    package private(set) var users = 0
    private var sums = [Double](repeating: 0, count: names.count)

    package init() {}

    /// The metrics of one user whose relevant item has rank `rank` (1 is best), in the order of `names`.
    package static func values(rank: Int) -> [Double] {
        let gain = 1 / log2(Double(rank) + 1)
        var values: [Double] = hitRateCutoffs.map { rank <= $0 ? 1 : 0 }
        values += gainCutoffs.map { rank <= $0 ? gain : 0 }
        values.append(1 / Double(rank))
        return values
    }

    /// Counts a user whose relevant item has rank `rank` (1 is best).
    package mutating func add(rank: Int) {
        users += 1
        for (index, value) in Self.values(rank: rank).enumerated() { sums[index] += value }
    }

    /// The means over the users, in the order of `names`; all 0 without users.
    package var values: [Double] { sums.map { $0 / Double(max(users, 1)) } }

    /// Names and means.
    package var means: [(name: String, value: Double)] { Array(zip(Self.names, values)).map { ($0, $1) } }

    /// The mean of a metric; nil for an unknown name.
    package subscript(_ name: String) -> Double? { Self.names.firstIndex(of: name).map { values[$0] } }
}
