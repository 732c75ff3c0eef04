// Compares bundles on the same users: differences from the first, by groups of users, and their significance.

package import Interactions
internal import JSON

/// A comparison of bundles on the users that all of them could rank.
package struct BundleComparison: Sendable {
    /// A bundle's results on the common users.
    package struct Entry: Sendable {
        package var report: EvaluationReport
        /// Metrics over the common users.
        package var metrics: RankingMetrics
        /// The difference from the first bundle in each of `RankingMetrics.names`; empty for the first.
        package var differences: [Interval]
        /// Users whose target ranks higher (`wins`) or lower (`losses`) than with the first bundle.
        package var wins: Int
        package var losses: Int
    }

    /// Users with similar histories or targets.
    package struct Group: Sendable {
        /// The smallest and largest value in the group.
        package var values: ClosedRange<Int>
        package var users: Int
        /// One entry per bundle.
        package var metrics: [RankingMetrics]
    }

    package let entries: [Entry]
    /// Number of users that all bundles could rank.
    package let users: Int
    /// Deciles of the users by number of events before the target.
    package let byHistoryLength: [Group]
    /// Deciles of the users by how often the target occurs in the log.
    package let byPopularity: [Group]

    /// - Parameter reports: at least one evaluation of `log`; labels need not differ.
    package init(_ reports: [EvaluationReport], log: InteractionLog) {
        var timesSeen = [Int](repeating: 0, count: log.users.count)
        for report in reports {
            for outcome in report.outcomes { timesSeen[outcome.user] += 1 }
        }
        let outcomes = reports.map { report in report.outcomes.filter { timesSeen[$0.user] == reports.count } }
        let first = outcomes.first ?? []
        users = first.count
        entries = zip(reports, outcomes).enumerated().map { index, pair in
            var metrics = RankingMetrics()
            for outcome in pair.1 { metrics.add(rank: outcome.rank) }
            let differences = zip(first, pair.1).flatMap { base, other in
                zip(RankingMetrics.values(rank: other.rank), RankingMetrics.values(rank: base.rank)).map { $0 - $1 }
            }
            var bootstrap = PairedBootstrap()
            return Entry(
                report: pair.0,
                metrics: metrics,
                differences: index == 0
                    ? [] : bootstrap.means(of: differences, quantities: RankingMetrics.names.count),
                wins: zip(first, pair.1).count { $1.rank < $0.rank },
                losses: zip(first, pair.1).count { $1.rank > $0.rank }
            )
        }
        var popularity: [TextKey: Int] = [:]
        for user in log.users {
            for event in user.events { popularity[TextKey(event.item), default: 0] += 1 }
        }
        let lengths = first.map(\.historyLength)
        let popularities = first.map { outcome in
            log.users[outcome.user].events.last.flatMap { popularity[TextKey($0.item)] } ?? 0
        }
        byHistoryLength = Self.groups(by: lengths, outcomes)
        byPopularity = Self.groups(by: popularities, outcomes)
    }

    /// Users in ten groups of nearly equal size, ascending by value. Users with equal values are in the same group, so
    /// there may be fewer groups.
    private static func groups(by values: [Int], _ outcomes: [[UserOutcome]]) -> [Group] {
        let order = values.indices.sorted { (values[$0], $0) < (values[$1], $1) }
        var groups: [Group] = []
        var start = 0
        for tenth in 1...10 {
            var end = max(order.count * tenth / 10, start)
            while end > start, end < order.count, values[order[end]] == values[order[end - 1]] { end += 1 }
            guard end > start else { continue }
            let members = order[start..<end]
            groups.append(
                Group(
                    values: values[order[start]]...values[order[end - 1]],
                    users: members.count,
                    metrics: outcomes.map { outcomes in
                        var metrics = RankingMetrics()
                        for member in members { metrics.add(rank: outcomes[member].rank) }
                        return metrics
                    }
                )
            )
            start = end
        }
        return groups
    }
}
