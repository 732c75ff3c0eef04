// Compares bundles of several sizes and architectures on the same users: what do more parameters, or more time, buy?

internal import Foundation
package import Models
internal import Random

/// A bundle of a study.
package struct StudyEntry: Sendable {
    package var architecture: String
    /// Elements of all tensors, with and without the item table.
    package var parameters: Int
    package var parametersWithoutItems: Int
    /// Median milliseconds of one request with a full window, including scoring.
    package var milliseconds: Double
    package var report: EvaluationReport
}

extension StudyEntry {
    /// The entry of a bundle.
    package init(_ inspection: BundleInspection, milliseconds: Double, report: EvaluationReport) {
        self.init(
            architecture: inspection.configuration.architecture.name.rawValue,
            parameters: inspection.parameterCount,
            parametersWithoutItems: inspection.parameterCountWithoutItems,
            milliseconds: milliseconds,
            report: report
        )
    }
}

/// The results of a study.
package struct Study: Sendable {
    /// The quantity on the x axis.
    package enum Size: String, Sendable, CaseIterable {
        case parameters
        case milliseconds
    }

    /// A law fitted to one architecture.
    package struct Fit: Sendable {
        package var architecture: String
        package var size: Size
        package var law: PowerLaw
        /// The exponent with its interval over users.
        package var exponent: Interval
    }

    /// The metric of the study, one of `RankingMetrics.names`.
    package let metric: String
    /// Ordered by architecture, then by parameters.
    package let entries: [StudyEntry]
    /// The metric of each entry over the common users, with its interval.
    package let quality: [Interval]
    /// Number of users that all bundles could rank.
    package let users: Int
    /// For each architecture with at least three bundles of different sizes.
    package let fits: [Fit]
    /// Whether the entry is Pareto-optimal: no other is at least as fast and as good, and better in one of the two.
    package let isOnFront: [Bool]

    /// - Parameter entries: at least one; all evaluations of the same log.
    package init(_ entries: [StudyEntry], metric: String) {
        let entries = entries.sorted { ($0.architecture, $0.parameters) < ($1.architecture, $1.parameters) }
        let column = RankingMetrics.names.firstIndex(of: metric) ?? 0
        var timesSeen: [Int: Int] = [:]
        for outcome in entries.flatMap(\.report.outcomes) { timesSeen[outcome.user, default: 0] += 1 }
        // One row per user, one column per entry.
        let columns = entries.map { entry in
            entry.report.outcomes.filter { timesSeen[$0.user] == entries.count }
                .map { RankingMetrics.values(rank: $0.rank)[column] }
        }
        let users = columns.first?.count ?? 0
        let repetitions = Self.repeatedMeans(columns, users: users)
        let means = columns.map { $0.reduce(0, +) / Double(max(users, 1)) }
        self.metric = metric
        self.entries = entries
        self.users = users
        quality = means.enumerated().map { index, mean in Interval(mean, repetitions: repetitions.map { $0[index] }) }
        var fits: [Fit] = []
        for architecture in Set(entries.map(\.architecture)).sorted() {
            let members = entries.indices.filter { entries[$0].architecture == architecture }
            for size in Size.allCases {
                let sizes = members.map { entries[$0].size(size) }
                guard Set(sizes).count > 2 else { continue }
                func law(_ means: [Double]) -> PowerLaw? {
                    PowerLaw(sizes: sizes, errors: members.map { 1 - means[$0] })
                }
                guard let fitted = law(means) else { continue }
                let exponents = repetitions.compactMap { law($0)?.exponent }
                fits.append(
                    Fit(
                        architecture: architecture,
                        size: size,
                        law: fitted,
                        exponent: Interval(fitted.exponent, repetitions: exponents)
                    )
                )
            }
        }
        self.fits = fits
        isOnFront = entries.indices.map { index in
            !entries.indices.contains { other in
                let isFaster = entries[other].milliseconds < entries[index].milliseconds
                let isBetter = means[other] > means[index]
                return (isFaster && means[other] >= means[index])
                    || (isBetter && entries[other].milliseconds <= entries[index].milliseconds)
            }
        }
    }

    /// Means of the columns over users drawn with replacement; every column uses the same draws.
    private static func repeatedMeans(_ columns: [[Double]], users: Int) -> [[Double]] {
        guard users > 0 else { return [] }
        var random = SplitMix64(seed: 19)
        return (0..<PairedBootstrap.repetitions(users: users)).map { _ in
            var sums = [Double](repeating: 0, count: columns.count)
            for _ in 0..<users {
                let user = random.below(users)
                for column in columns.indices { sums[column] += columns[column][user] }
            }
            return sums.map { $0 / Double(users) }
        }
    }
}

extension StudyEntry {
    /// The entry's size; above 0.
    func size(_ size: Study.Size) -> Double {
        switch size {
        case .parameters: Double(parameters)
        case .milliseconds: milliseconds
        }
    }
}
