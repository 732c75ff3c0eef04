// Whether a difference between bundles is significant: users are resampled repeatedly, with both bundles' outcomes of
// each kept together (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13).

internal import Random

/// A mean with the interval in which 95 of 100 repetitions of it lie.
package struct Interval: Sendable, Equatable {
    package var value: Double
    package var low: Double
    package var high: Double

    /// Whether all of it is on one side of 0.
    package var excludesZero: Bool { low > 0 || high < 0 }

    /// The interval from the 2.5 % to the 97.5 % quantile of repetitions; `value` alone without any.
    init(_ value: Double, repetitions: [Double]) {
        let sorted = repetitions.filter(\.isFinite).sorted()
        self.value = value
        low = value
        high = value
        guard !sorted.isEmpty else { return }
        low = sorted[Int(0.025 * Double(sorted.count - 1))]
        high = sorted[Int((0.975 * Double(sorted.count - 1)).rounded(.up))]
    }
}

/// Draws users with replacement. The same seed draws the same users, so that a report can be repeated.
struct PairedBootstrap {
    /// Repetitions for this many users: enough for two digits of an interval, fewer if a repetition takes long.
    static func repetitions(users: Int) -> Int { max(200, min(2_000, 200_000_000 / max(users, 1))) }

    private var random: SplitMix64

    init(seed: UInt64 = 19) { random = SplitMix64(seed: seed) }

    /// Intervals of the means of several quantities.
    ///
    /// - Parameter values: the quantities of every user in turn; `values.count` is a multiple of `quantities`.
    mutating func means(of values: [Double], quantities: Int) -> [Interval] {
        let users = values.count / quantities
        func mean(_ sums: [Double]) -> [Double] { sums.map { $0 / Double(max(users, 1)) } }
        var total = [Double](repeating: 0, count: quantities)
        for (index, value) in values.enumerated() { total[index % quantities] += value }
        var repeated = [[Double]](repeating: [], count: quantities)
        for _ in 0..<Self.repetitions(users: users) where users > 0 {
            var sums = [Double](repeating: 0, count: quantities)
            for _ in 0..<users {
                let start = random.below(users) * quantities
                for quantity in 0..<quantities { sums[quantity] += values[start + quantity] }
            }
            for (quantity, value) in mean(sums).enumerated() { repeated[quantity].append(value) }
        }
        return zip(mean(total), repeated).map { Interval($0, repetitions: $1) }
    }
}
