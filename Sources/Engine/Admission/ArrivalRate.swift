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

    /// Nanoseconds until the next one may be expected; the longest there are while nothing is known, and no less than have
    /// passed since the last one.
    func gap(now: Instant) -> UInt64 {
        guard let last, let average, average < Double(UInt64.max) / 4 else { return .max }
        return max(UInt64(average), now.nanoseconds(since: last))
    }
}
