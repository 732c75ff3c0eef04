// The limits of a call; the configuration's `limits` section.

/// The most that a call may request.
package struct CallLimits: Sendable, Equatable {
    /// The answer instead of a refusal.
    package enum Fallback: String, Sendable, CaseIterable {
        /// The refusal.
        case none
        /// The most popular items under the same filters.
        case popularity
    }

    /// `k` if the call does not say; at most `maxK`.
    package var defaultK = 10
    /// The fallback if the call does not say.
    package var fallback = Fallback.none
    /// The largest `k`.
    package var maxK = 1_000
    /// The largest number of events in a history, known or not.
    package var maxHistory = 10_000
    /// The largest number of entries in each list of `exclude` and `allow`.
    package var maxListed = 10_000
    /// The largest number of requests in a batch.
    package var maxBatch = 256
    /// The largest number of candidates of a call, known or not.
    package var maxCandidates = 2_048
    /// The largest width of a search over token paths.
    package var maxBeams = 1_000
    /// Whether a history may be looked up in a store of users instead of being sent.
    package var hasStore = false

    /// The latest time, the last second of the year 9999. Later times are almost always in milliseconds, and would make
    /// all events equally new.
    package static let lastSecond: Int64 = 253_402_300_799

    /// The error sentence for a later one.
    ///
    /// - Parameter path: the field.
    static func afterLastSecond(_ path: String) -> String {
        "\(path) lies after the year 9999; times are in seconds since 1970, and this looks like milliseconds"
    }

    /// The largest number of `prompt_tokens`; a model's window is usually less.
    static let maxPromptTokens = 1 << 20

    /// The largest `deadline_ms`, one day: longer than any request may live, and far from overflowing a clock in nanoseconds.
    package static let maxDeadlineMilliseconds = 86_400_000
}
