// Tests whether a difference between bundles is significant: users are resampled, keeping both bundles' outcomes of
// each user together (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13).

internal import Random

/// A mean with its 95 % interval.
package struct Interval: Sendable, Equatable {
    package var value: Double
    package var low: Double
    package var high: Double

    /// Whether the whole interval is on one side of 0.
    package var excludesZero: Bool { low > 0 || high < 0 }

    /// The interval from the 2.5 % to the 97.5 % quantile of the repetitions; `value` alone if there are none.
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

/// Draws users with replacement. The seed determines the draws, so that reports are reproducible.
struct PairedBootstrap {
    /// The number of repetitions: enough for two digits of an interval, fewer if a repetition takes long.
    static func repetitions(users: Int) -> Int { max(200, min(2_000, 200_000_000 / max(users, 1))) }

    private var random: SplitMix64

    init(seed: UInt64 = 19) { random = SplitMix64(seed: seed) }

    /// Intervals of the means of several quantities.
    ///
    /// - Parameter values: the quantities of one user after the other; `values.count` is a multiple of `quantities`.
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
