// The mathematics of the split: shares, the users who move when shares change, and dependence on the user alone.

import Testing

@testable import Service

@Suite struct TrafficSplitTests {
    private static func split(_ shares: (String, Double)...) -> TrafficSplit {
        TrafficSplit(shares.map { TrafficSplit.Share($0.0, $0.1) })
    }

    private static func versions(_ split: TrafficSplit, users: Int = 100_000) -> [String?] {
        (0..<users).map { split.version(for: "user-\($0)", of: "movies") }
    }

    /// Three standard deviations of a binomial.
    private static func isNear(_ found: Int, _ percent: Double, of users: Int) -> Bool {
        let share = percent / 100
        let deviation = (Double(users) * share * (1 - share)).squareRoot()
        return abs(Double(found) - Double(users) * share) <= 3 * deviation
    }

    @Test(arguments: [[("7", 95.0), ("8", 5.0)], [("7", 50), ("8", 30), ("9", 20)], [("7", 99.5), ("8", 0.5)]])
    func everyVersionHasItsShare(shares: [(String, Double)]) {
        let split = TrafficSplit(shares.map { TrafficSplit.Share($0.0, $0.1) })
        let versions = Self.versions(split)
        for (version, percent) in shares {
            #expect(Self.isNear(versions.count { $0 == version }, percent, of: versions.count), "\(version)")
        }
    }

    @Test func aShareThatGrows_TakesUsers_AndGivesNone() {
        var before = Self.versions(Self.split(("7", 100), ("8", 0)))
        #expect(before.allSatisfy { $0 == "7" })
        for percent in [1.0, 5, 10, 50, 90, 100] {
            let after = Self.versions(Self.split(("7", 100 - percent), ("8", percent)))
            for (old, new) in zip(before, after) where old != new { #expect(old == "7" && new == "8") }
            #expect(Self.isNear(after.count { $0 == "8" }, percent, of: after.count))
            before = after
        }
    }

    @Test func theOrderOfTheVersions_AndTheProcess_PlayNoRole() {
        let split = Self.split(("7", 60), ("8", 40))
        #expect(Self.versions(split, users: 1_000) == Self.versions(Self.split(("8", 40), ("7", 60)), users: 1_000))
        // Fixed permanently: other replicas and later releases must agree.
        let users = ["u-1", "u-2", "u-3", "u-4", "u-5", "u-6", "u-7", "u-8", "", "é"]
        #expect(users.map { split.version(for: $0, of: "movies") ?? "" }.joined() == Self.known)
        #expect(users.map { split.version(for: $0, of: "books") ?? "" }.joined() != Self.known)
    }

    private static let known = "7878877877"

    @Test func aShadow_IsChosenApartFromTheSplit() {
        let split = Self.split(("7", 50), ("8", 50))
        let users = (0..<100_000).map { "user-\($0)" }
        let chosen = users.filter { TrafficSplit.includes($0, of: "movies", version: "9", percent: 10) }
        #expect(Self.isNear(chosen.count, 10, of: users.count))
        #expect(Self.isNear(chosen.count { split.version(for: $0, of: "movies") == "8" }, 50, of: chosen.count))
        #expect(!users.contains { TrafficSplit.includes($0, of: "movies", version: "9", percent: 0) })
        #expect(users.allSatisfy { TrafficSplit.includes($0, of: "movies", version: "9", percent: 100) })
    }

    @Test func nothingIsChosen_WhereNothingHasAShare() {
        #expect(TrafficSplit([]).version(for: "u", of: "movies") == nil)
        #expect(Self.split(("7", 0)).version(for: "u", of: "movies") == nil)
        #expect(Self.split(("7", 100)).replacing("7", by: "8").version(for: "u", of: "movies") == "8")
    }
}
