// The bucket bounds of a histogram, fixed at its creation, so that observing is a search and an add.

/// Upper bounds of a histogram's buckets, strictly increasing and finite; the bucket up to +∞ is implied.
package struct HistogramBuckets: Sendable, Equatable {
    /// The bounds, in the histogram's unit.
    package let bounds: [Double]

    /// Buckets with these bounds. A list that is empty, not finite or not strictly increasing is a programmer error.
    package init(_ bounds: [Double]) {
        precondition(!bounds.isEmpty, "a histogram has at least one bucket bound")
        precondition(bounds.allSatisfy(\.isFinite), "bucket bounds are finite; +Inf is implied")
        precondition(
            zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 },
            "bucket bounds are strictly increasing"
        )
        self.bounds = bounds
    }

    /// Durations in seconds from 50 µs to 10 s, three per decade: from one kernel call to a hopeless request.
    package static let durations = HistogramBuckets([
        0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
    ])

    /// 1, 2, 4 … up to the first power of two that is at least `limit`: for batch sizes, lengths and token counts,
    /// whose limit is configured.
    package static func powersOfTwo(upTo limit: Int) -> HistogramBuckets {
        var bounds = [1.0]
        while let last = bounds.last, last < Double(limit) { bounds.append(last * 2) }
        return HistogramBuckets(bounds)
    }
}
