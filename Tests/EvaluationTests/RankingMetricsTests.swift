// Metrics of known ranks.

import Testing

@testable import Evaluation

@Suite struct RankingMetricsTests {
    private func mean(_ name: String, of ranks: [Int]) -> Double? {
        var metrics = RankingMetrics()
        for rank in ranks { metrics.add(rank: rank) }
        return metrics.means.first { $0.name == name }?.value
    }

    /// Metrics of the ranks 1, 3, 11 and 200.
    private static let known: [(String, Double)] = [
        ("hr@1", 0.25), ("hr@10", 0.5), ("hr@50", 0.75), ("hr@200", 1),
        // (1/log2(2) + 1/log2(4)) / 4
        ("ndcg@10", 0.375),
        // (1 + 1/3 + 1/11 + 1/200) / 4
        ("mrr", 0.357_310_606_060_606),
    ]

    @Test(arguments: known)
    func meansOfKnownRanks(name: String, value: Double) throws {
        let measured = try #require(mean(name, of: [1, 3, 11, 200]))
        #expect(abs(measured - value) < 1e-12)
    }

    @Test(arguments: [("hr@10", 10, 11), ("hr@200", 200, 201), ("ndcg@50", 50, 51)])
    func cutoffs_AreInclusive(name: String, inside: Int, outside: Int) throws {
        #expect(try #require(mean(name, of: [inside])) > 0)
        #expect(mean(name, of: [outside]) == 0)
    }

    @Test func areZero_WithoutUsers() {
        #expect(RankingMetrics().means.allSatisfy { $0.value == 0 })
    }
}
