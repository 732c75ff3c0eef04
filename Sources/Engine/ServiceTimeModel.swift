// How long work will take, judging by how long it took: what admission compares a deadline with.

/// An estimate of compute time per event of history, kept up with every batch. A pure value.
package struct ServiceTimeModel: Sendable, Equatable {
    /// Share of a new observation in the estimate: about the last ten batches count.
    private static let weight = 0.2

    /// Nanoseconds of a batch per event in it; nil until the first batch has been observed.
    private(set) var nanosecondsPerEvent: Double?

    /// Takes note of a finished batch of `events` rows, at least 1.
    package mutating func observe(events: Int, nanoseconds: UInt64) {
        let observed = Double(nanoseconds) / Double(max(events, 1))
        guard let estimate = nanosecondsPerEvent else {
            nanosecondsPerEvent = observed
            return
        }
        nanosecondsPerEvent = estimate + Self.weight * (observed - estimate)
    }

    /// Predicted nanoseconds of so many events; 0 while nothing has been observed, so that nothing is refused on a guess.
    package func nanoseconds(forEvents events: Int) -> UInt64 {
        UInt64((nanosecondsPerEvent ?? 0) * Double(events))
    }
}
