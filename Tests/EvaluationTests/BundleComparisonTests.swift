// Comparison of bundles on common users, with synthetic outcomes.

import Interactions
import JSON
import Testing

@testable import Evaluation

private func report(
    _ label: String,
    _ ranks: [Int?],
    lengths: [Int]? = nil,
    lists: [[Int32]] = []
) -> EvaluationReport {
    var metrics = RankingMetrics()
    var outcomes: [UserOutcome] = []
    for (user, rank) in ranks.enumerated() {
        guard let rank else { continue }
        metrics.add(rank: rank)
        outcomes.append(UserOutcome(user: user, rank: rank, historyLength: lengths?[user] ?? user + 1))
    }
    var recommended = RecommendedLists(catalogueCount: 10)
    for list in lists { recommended.add(list) }
    return EvaluationReport(
        label: label,
        metrics: metrics,
        outcomes: outcomes,
        lists: recommended,
        skippedUsers: 0,
        unknownEvents: 0,
        unknownExample: nil,
        usersPerSecond: 1
    )
}

/// Users `u0` …, each with an event of item `a` and a later one of the given item.
private func log(_ targets: [String]) throws -> InteractionLog {
    let lines = targets.enumerated().map { "u\($0),a\nu\($0),\($1)\n" }
    return try InteractionLog(parsing: Array(("user,item\n" + lines.joined()).utf8), name: "t")
}

@Suite struct BundleComparisonTests {
    @Test func onlyCommonUsersCount_WithWinsAndLosses() throws {
        let comparison = BundleComparison(
            [report("a", [1, 5, 20, nil, 3]), report("b", [2, 1, 20, 1, nil])],
            log: try log(["x", "x", "y", "z", "z"])
        )
        #expect(comparison.users == 3)
        #expect(comparison.entries.map(\.wins) == [0, 1])
        #expect(comparison.entries.map(\.losses) == [0, 1])
        #expect(comparison.entries[0].metrics["hr@1"] == 1.0 / 3)
        #expect(comparison.entries[1].metrics["hr@10"] == 2.0 / 3)
        #expect(comparison.entries[0].differences.isEmpty)
        #expect(comparison.entries[1].differences.count == RankingMetrics.names.count)
    }

    /// Half of 2 000 users gain a hit, and none loses one: 0.5 ± 1.96 · 0.5 / √2000.
    @Test func interval_IsThatOfTheMean() throws {
        let users = 2_000
        let base = (0..<users).map { _ in 300 as Int? }
        let better = (0..<users).map { $0.isMultiple(of: 2) ? 1 as Int? : 300 }
        let comparison = BundleComparison(
            [report("a", base), report("b", better)],
            log: try log(Array(repeating: "x", count: users))
        )
        let hits = comparison.entries[1].differences[0]
        #expect(hits.value == 0.5)
        #expect(abs(hits.low - 0.478) < 0.003 && abs(hits.high - 0.522) < 0.003, "\(hits)")
        #expect(hits.excludesZero)
        let same = BundleComparison(
            [report("a", base), report("b", base)],
            log: try log(Array(repeating: "x", count: users))
        )
        #expect(same.entries[1].differences.allSatisfy { $0.value == 0 && !$0.excludesZero })
    }

    @Test func groups_AreTenths_AndKeepEqualValuesTogether() throws {
        let lengths = [1, 1, 1, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
        let comparison = BundleComparison(
            [report("a", lengths.map { $0 == 1 ? 1 : 300 }, lengths: lengths)],
            log: try log(lengths.map { $0 < 11 ? "popular" : "rare\($0)" })
        )
        let groups = comparison.byHistoryLength
        #expect(groups.map(\.users) == [6, 2, 2, 2, 2, 2, 2, 2])
        #expect(groups.map(\.values.lowerBound) == [1, 2, 4, 6, 8, 10, 12, 14])
        #expect(groups[0].metrics[0]["hr@1"] == 1 && groups[1].metrics[0]["hr@1"] == 0)
        #expect(comparison.byPopularity.map(\.users) == [5, 15])
        #expect(comparison.byPopularity.map(\.values) == [1...1, 15...15])
    }

    @Test func lists_CoverAndDiffer() {
        var same = RecommendedLists(catalogueCount: 10)
        for _ in 0..<3 { same.add([1, 2]) }
        #expect(same.coverage == 0.2 && abs(same.diversity) < 1e-12)
        var apart = RecommendedLists(catalogueCount: 10)
        for user in 0..<5 as Range<Int32> { apart.add([2 * user, 2 * user + 1]) }
        #expect(apart.coverage == 1 && apart.diversity == 1)
        var half = RecommendedLists(catalogueCount: 4)
        half.add([1, 2])
        half.add([2, 3])
        #expect(abs(half.diversity - 0.5) < 1e-12)
    }

    @Test func text_JSON_AndPage_SayTheSame() throws {
        let comparison = BundleComparison(
            [report("a <1>", [1, 5, 20]), report("b & 2", [2, 1, 20])],
            log: try log(["x", "x", "y"])
        )
        #expect(comparison.text.contains("b & 2 minus a <1>: 1 users better, 1 worse, 1 the same"))
        let second = try #require(comparison.json["bundles"]).elements[1]
        #expect(second["bundle"] == .string("b & 2"))
        #expect(second["wins"] == .integer(1))
        #expect(second["difference"]?["mrr"]?["value"] != nil)
        let page = comparison.html
        #expect(page.contains("a &lt;1&gt;") && page.contains("b &amp; 2") && !page.contains("a <1>"))
        #expect(!page.contains("http") && !page.contains("<script") && !page.contains("nan"))
    }

    @Test func pageOfNobody_IsStillAPage() throws {
        let comparison = BundleComparison([report("a", []), report("b", [])], log: try log([]))
        #expect(comparison.users == 0)
        #expect(comparison.html.hasSuffix("</html>\n") && !comparison.html.contains("nan"))
    }
}

extension JSONValue {
    fileprivate var elements: [JSONValue] {
        if case .array(let elements) = self { return elements }
        return []
    }
}
