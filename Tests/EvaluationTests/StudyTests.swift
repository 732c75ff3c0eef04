// Laws fitted to points of a known law, and Pareto fronts.

import JSON
import Testing

@testable import Evaluation

@Suite struct StudyTests {
    @Test func law_IsFoundThroughItsOwnPoints() throws {
        let sizes = [1e3, 1e4, 1e5, 1e6]
        let errors = sizes.map { 0.9 * 1 / Self.power($0, 0.05) }
        let law = try #require(PowerLaw(sizes: sizes, errors: errors))
        #expect(abs(law.exponent - 0.05) < 1e-9)
        #expect(abs(law.coefficient - 0.9) < 1e-9)
        #expect(abs(law.quality(1e5) - (1 - errors[2])) < 1e-9)
    }

    @Test func thereIsNoLaw_OfOneSize() {
        #expect(PowerLaw(sizes: [5, 5, 5], errors: [0.1, 0.2, 0.3]) == nil)
        #expect(PowerLaw(sizes: [5], errors: [0.1]) == nil)
        #expect(PowerLaw(sizes: [5, 6], errors: [0.1, 0]) == nil)
    }

    private static func power(_ base: Double, _ exponent: Double) -> Double {
        // By bisection: the exponent is 0.05, and the tests need no mathematics library.
        var low = 1.0
        var high = base
        for _ in 0..<200 {
            let middle = (low + high) / 2
            var product = 1.0
            for _ in 0..<Int((1 / exponent).rounded()) { product *= middle }
            if product < base { low = middle } else { high = middle }
        }
        return low
    }

    private func entry(_ name: String, _ architecture: String, _ parameters: Int, _ ms: Double, hits: Int) -> StudyEntry
    {
        var metrics = RankingMetrics()
        var outcomes: [UserOutcome] = []
        for user in 0..<100 {
            let rank = user < hits ? 1 : 500
            metrics.add(rank: rank)
            outcomes.append(UserOutcome(user: user, rank: rank, historyLength: 1))
        }
        let report = EvaluationReport(
            label: name,
            metrics: metrics,
            outcomes: outcomes,
            lists: RecommendedLists(catalogueCount: 1),
            skippedUsers: 0,
            unknownEvents: 0,
            unknownExample: nil,
            usersPerSecond: 1
        )
        return StudyEntry(
            architecture: architecture,
            parameters: parameters,
            parametersWithoutItems: parameters / 2,
            milliseconds: ms,
            report: report
        )
    }

    @Test func study_FitsEachArchitecture_AndFindsTheFront() throws {
        let study = Study(
            [
                entry("l", "hstu", 10_000, 4, hits: 50), entry("s", "hstu", 100, 1, hits: 20),
                entry("m", "hstu", 1_000, 2, hits: 35), entry("gpt", "gpt", 1_000, 3, hits: 30),
            ],
            metric: "hr@1"
        )
        #expect(study.entries.map(\.report.label) == ["gpt", "s", "m", "l"])
        #expect(study.users == 100)
        #expect(study.quality.map(\.value) == [0.3, 0.2, 0.35, 0.5])
        #expect(study.isOnFront == [false, true, true, true])
        #expect(study.fits.map(\.architecture) == ["hstu", "hstu"])
        let fit = try #require(study.fits.first)
        #expect(fit.size == .parameters)
        #expect(fit.exponent.low < fit.exponent.value && fit.exponent.value < fit.exponent.high)
        #expect(fit.exponent.low > 0)
        #expect(study.text.contains("no law for gpt"))
        let page = study.html
        #expect(page.contains("stroke dashed") && !page.contains("nan") && !page.contains("http"))
        #expect(study.json["fits"]?["x"] == nil)
    }
}
