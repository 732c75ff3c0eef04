// The bounds within which a call must be; the configuration's `limits` section.

/// What a caller may ask for at most.
package struct CallLimits: Sendable, Equatable {
    /// `k` where the caller does not say.
    package let defaultK: Int
    /// The largest `k`.
    package let maxK: Int
    /// The largest number of events in a history, known or not.
    package let maxHistory: Int
    /// The largest number of entries in each list of `exclude` and `allow`.
    package let maxListed: Int
    /// The largest number of requests in a batch.
    package let maxBatch: Int

    /// Limits as configured; the configuration has checked their ranges.
    package init(defaultK: Int, maxK: Int, maxHistory: Int, maxListed: Int, maxBatch: Int) {
        precondition(defaultK >= 1 && defaultK <= maxK, "the default k is one that a caller may ask for")
        precondition(maxHistory >= 0 && maxListed >= 0 && maxBatch >= 0, "limits are not negative")
        self.defaultK = defaultK
        self.maxK = maxK
        self.maxHistory = maxHistory
        self.maxListed = maxListed
        self.maxBatch = maxBatch
    }

    /// The largest `deadline_ms`, one day: longer than any request may live, and far from overflowing a clock in nanoseconds.
    package static let maxDeadlineMilliseconds = 86_400_000
}
