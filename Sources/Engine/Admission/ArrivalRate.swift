// The arrival rate of requests, which decides whether waiting for a larger batch pays off.

/// The arrival rate of requests.
struct ArrivalRate: Sendable {
    private static let weight = 0.2
    private var last: Instant?
    private var average: Double?

    mutating func note(_ arrival: Instant) {
        if let last {
            let gap = Double(arrival.nanoseconds(since: last))
            average = average.map { $0 + Self.weight * (gap - $0) } ?? gap
        }
        last = max(last ?? arrival, arrival)
    }

    /// The expected nanoseconds between requests: at least the time since the last one, and `.max` before there are
    /// two.
    func gap(now: Instant) -> UInt64 {
        guard let last, let average, average < Double(UInt64.max) / 4 else { return .max }
        return max(UInt64(average), now.nanoseconds(since: last))
    }
}
