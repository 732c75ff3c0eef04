// The bounds within which a call must be; the configuration's `limits` section.

/// What a caller may ask for at most.
package struct CallLimits: Sendable, Equatable {
    /// `k` where the caller does not say; at most `maxK`.
    package var defaultK = 10
    /// The largest `k`.
    package var maxK = 1_000
    /// The largest number of events in a history, known or not.
    package var maxHistory = 10_000
    /// The largest number of entries in each list of `exclude` and `allow`.
    package var maxListed = 10_000
    /// The largest number of requests in a batch.
    package var maxBatch = 256

    /// The largest `deadline_ms`, one day: longer than any request may live, and far from overflowing a clock in nanoseconds.
    package static let maxDeadlineMilliseconds = 86_400_000
}
